//! Real programs in a user's Maildir while a client is connected.

use facteur_tests::{Workdir, require_peer};

use crate::{BOB, Idle, deliver, files, flags, maildir, message, start};

/// What a program that delivers gets on its standard input.
fn mail(subject: &str) -> String {
    message(subject).replace("\r\n", "\n")
}

#[test]
fn what_procmail_delivers_is_told_at_once() {
    let Some(procmail) = require_peer("procmail") else {
        return;
    };
    let facteur = start();
    deliver(&facteur, "one");
    let mut other = facteur.imap(BOB, "bob-password");
    other.must("CREATE Lists/rust");
    let idle = Idle::new(other);
    let mut lists = facteur.imap(BOB, "bob-password");
    lists.must("SELECT Lists/rust");
    let home = maildir(&facteur);
    let work = Workdir::new(&facteur, "procmail");
    let home = home.display();
    work.write(
        "rc",
        &format!("DEFAULT={home}/\n:0\n* ^Subject: filed\n{home}/.Lists.rust/\n"),
    );
    work.must(&procmail, &["./rc"], &mail("filed"));
    work.must(&procmail, &["./rc"], &mail("dropped"));
    let mut idle = idle;
    idle.hears(&["* 2 EXISTS"]);
    let mut imap = idle.done();
    // It ends lines with LF, IMAP does not.
    assert!(imap.fetch_text(2).ends_with("\r\n\r\nbody of dropped\r\n"));
    let noop = lists.must("NOOP");
    assert!(noop.untagged.contains(&"1 EXISTS".to_owned()), "{noop:?}");
    assert!(lists.fetch_text(1).ends_with("body of filed\r\n"));
    let status = imap.must("STATUS Lists/rust (MESSAGES UNSEEN)");
    let status = status.with("STATUS").next();
    assert!(status.is_some_and(|line| line.contains("MESSAGES 1 UNSEEN 1")));
}

#[test]
fn neomutt_flags_copies_and_deletes_beside_the_server() {
    let (Some(neomutt), Some(script)) = (require_peer("neomutt"), require_peer("script")) else {
        return;
    };
    let facteur = start();
    for subject in ["one", "two", "three"] {
        deliver(&facteur, subject);
    }
    let mut imap = facteur.imap(BOB, "bob-password");
    imap.must("CREATE Archive2");
    imap.must("SELECT INBOX");
    imap.must("STORE 2 +FLAGS (work)");
    let home = maildir(&facteur);
    let mut idle = Idle::new(imap);
    let work = Workdir::new(&facteur, "neomutt");
    work.write(
        "rc",
        &format!(
            "set mbox_type = Maildir\nset folder = \"{home}\"\nset spoolfile = \"{home}\"\n\
             set confirmappend = no\nset confirmcreate = no\nset wait_key = no\nset quit = yes\n\
             set move = no\nset delete = yes\nset sort = mailbox-order\nset maildir_trash = no\n\
             push \"<tag-pattern>~s two<enter><tag-prefix><copy-message>{home}/.Archive2<enter>\
             <tag-prefix><flag-message><untag-pattern>~A<enter>\
             <delete-pattern>~s one<enter><quit>\"\n",
            home = home.display()
        ),
    );
    let command = format!("TERM=xterm {} -n -F rc", neomutt.display());
    work.must(&script, &["-qec", &command, "/dev/null"], "");
    idle.hears(&["\\Flagged"]);
    let mut imap = idle.done();
    imap.must("NOOP");
    let fetched = imap.must("UID FETCH 1:* (FLAGS)");
    let lines: Vec<&str> = fetched.with("FETCH").collect();
    assert_eq!(lines.len(), 2, "{fetched:?}");
    // The keyword stays.
    assert!(
        lines[0].contains("UID 2") && lines[0].contains("\\Flagged") && lines[0].contains("work"),
        "{fetched:?}"
    );
    imap.must("SELECT Archive2");
    assert!(imap.fetch_text(1).ends_with("body of two\r\n"));
}

#[test]
fn mbsync_keeps_a_maildir_and_another_the_same_beside_the_server() {
    let Some(mbsync) = require_peer("mbsync") else {
        return;
    };
    let facteur = start();
    deliver(&facteur, "one");
    let home = maildir(&facteur);
    let mut idle = Idle::new(facteur.imap(BOB, "bob-password"));
    let work = Workdir::new(&facteur, "mbsync");
    work.folder("copy");
    for folder in ["copy/cur", "copy/new", "copy/tmp"] {
        work.folder(folder);
    }
    work.write("copy/new/1.far", &mail("from far"));
    work.write(
        "rc",
        &format!(
            "MaildirStore near\nInbox {home}\nSubFolders Maildir++\nAltMap yes\n\nMaildirStore far\nInbox {work}/copy\nSubFolders Maildir++\n\
             AltMap yes\n\nChannel all\nFar :far:\nNear :near:\nPatterns INBOX\nExpunge Both\n\
             SyncState {work}/state\n",
            home = home.display(),
            work = work.path().display()
        ),
    );
    work.must(&mbsync, &["-c", "rc", "all"], "");
    idle.hears(&["* 2 EXISTS"]);
    let mut imap = idle.done();
    assert!(imap.fetch_text(2).ends_with("body of from far\r\n"));
    imap.must("STORE 1 +FLAGS (\\Flagged)");
    imap.must("STORE 2 +FLAGS (\\Deleted)");
    imap.must("EXPUNGE");
    assert!(facteur.cli(&["account", "sync", BOB], "").status.success());
    work.must(&mbsync, &["-c", "rc", "all"], "");
    let copy = work.path().join("copy");
    assert_eq!(files(&copy).len(), 1);
    assert!(flags(&copy)[0].contains('F'), "{:?}", files(&copy));
    let fetched = imap.must("UID FETCH 1:* (FLAGS)");
    assert_eq!(fetched.with("UID 1").count(), 1, "{fetched:?}");
}
