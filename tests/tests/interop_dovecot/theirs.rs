//! The server goes on with a tree that Dovecot wrote, and Dovecot with what the server leaves.

use std::{fs, path::Path, time::Duration};

use facteur_tests::{Facteur, Imap, require_peer};

use crate::{
    BOB, bob,
    dovecot::{Dovecot, Shown},
    home,
    messages::AWKWARD,
    shown, start,
};

/// Mailboxes that Dovecot makes, as they are on the wire and as it names them.
const MAILBOXES: [(&str, &str); 4] = [
    ("INBOX", "INBOX"),
    ("&AMk-t&AOk- &- Hiver/&ZeVnLA-", "Été & Hiver/日本"),
    ("Archive/2026", "Archive/2026"),
    ("Empty", "Empty"),
];

/// Gives a tree to whoever owns `like`.
fn give(path: &Path, like: &Path) {
    let owner = fs::metadata(like).expect("an owner");
    use std::os::unix::fs::MetadataExt as _;
    let owner = format!("{}:{}", owner.uid(), owner.gid());
    let given = std::process::Command::new("chown")
        .args(["-R", &owner])
        .arg(path)
        .status();
    assert!(given.expect("chown").success());
}

/// Has Dovecot make mailboxes with flags, keywords, expunges, moves and subscriptions.
fn live(dovecot: &Dovecot, home: &Path) {
    let folder = dovecot.work.path();
    fs::create_dir_all(home).expect("Bob's home");
    let top = home.ancestors().nth(2).expect("the folder of all mail");
    give(top, folder);
    let source = folder.join("source");
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(source.join(sub)).expect("a folder");
    }
    for (at, message) in AWKWARD.iter().enumerate() {
        let path = source.join("cur").join(format!("{at:03}.x:2,"));
        fs::write(&path, message).expect("a message");
        let file = fs::File::options().write(true).open(&path).expect("it");
        let received = Duration::from_secs(1_233_531_090 + at as u64 * 86_400);
        file.set_modified(std::time::UNIX_EPOCH + received)
            .expect("its date");
    }
    give(&source, folder);
    for (_, mailbox) in &MAILBOXES[1..] {
        dovecot.doveadm(&["mailbox", "create", mailbox]);
    }
    dovecot.doveadm(&["mailbox", "subscribe", "INBOX", MAILBOXES[1].1]);
    let location = format!("maildir:{}", source.display());
    dovecot.doveadm(&["-o", "mail_save_crlf=yes", "import", &location, "", "all"]);
    dovecot.doveadm(&["copy", MAILBOXES[1].1, "mailbox", "INBOX", "uid", "1:9"]);
    let flags = |flags: &str, uids: &str| {
        dovecot.doveadm(&["flags", "add", flags, "mailbox", "INBOX", "uid", uids]);
    };
    flags("\\Seen $Forwarded work", "1:3");
    flags("\\Deleted \\Draft", "5");
    flags("\\Answered \\Flagged NonJunk", "6:8");
    dovecot.doveadm(&["expunge", "mailbox", "INBOX", "uid", "4,24"]);
    dovecot.doveadm(&["move", MAILBOXES[2].1, "mailbox", "INBOX", "uid", "7,11"]);
}

/// Changes every kind of thing over every protocol that can.
fn change(server: &Facteur, imap: &mut Imap) {
    let mut smtp = server.smtp("lmtp");
    smtp.expect("LHLO client.example", 250);
    let sent = smtp.send("a@b.example", &[BOB], "Subject: by LMTP\r\n\r\nbody\r\n");
    assert_eq!(sent.code, 250);
    imap.must("SELECT INBOX");
    imap.must("UID STORE 1 -FLAGS (\\Seen work)");
    imap.must("UID STORE 2,9 +FLAGS (\\Flagged work fresh)");
    imap.must("UID EXPUNGE 5");
    let (hiver, archive) = (MAILBOXES[1].0, MAILBOXES[2].0);
    imap.must(&format!("UID COPY 1:3 \"{hiver}\""));
    imap.must(&format!("UID MOVE 8,12 \"{archive}\""));
    let keyword = "INBOX (\\Seen $Label1) \"01-Feb-2013 23:31:30 +0000\"";
    assert!(
        imap.append(keyword, "Subject: appended\r\n\r\nx\r\n")
            .is_ok()
    );
    imap.must("CREATE New/Mailbox");
    imap.must("SUBSCRIBE New/Mailbox");
    imap.must("UNSUBSCRIBE INBOX");
    imap.must("UID COPY 2 New/Mailbox");
    imap.must(&format!("RENAME \"{archive}\" Archive/Old"));
    imap.must("DELETE Empty");
}

/// The mailboxes after [`change`].
const CHANGED: [(&str, &str); 4] = [
    MAILBOXES[0],
    MAILBOXES[1],
    ("Archive/Old", "Archive/Old"),
    ("New/Mailbox", "New/Mailbox"),
];

/// The names that LIST or LSUB says.
fn names(imap: &mut Imap, command: &str) -> Vec<String> {
    let listed = imap.must(command);
    let names = listed.untagged.iter().filter_map(|line| {
        let (_, name) = line.split_once(" \"/\" ")?;
        Some(name.trim_matches('"').to_owned())
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

/// POP3's numbers and unique names.
fn uidls(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let lines = lines.into_iter();
    lines
        .map(|line| line.trim_end().to_owned())
        .filter(|line| line.starts_with(|byte: char| byte.is_ascii_digit()))
        .collect()
}

fn in_turn(format: &str) {
    let Some(doveadm) = require_peer("doveadm") else {
        return;
    };
    let mut server = start(format);
    assert!(server.stop().success());
    let home = home(&server);
    let dovecot = Dovecot::on_the_home(doveadm, &server, format);
    live(&dovecot, &home);
    let theirs: Vec<Shown> = MAILBOXES.map(|(_, name)| dovecot.shown(name)).into();
    assert!(theirs[0].1.len() == AWKWARD.len() - 4 && theirs[3].1.is_empty());
    if format == "maildir" {
        // As Dovecot's migration from another POP3 server leaves it.
        let list = home.join("dovecot-uidlist");
        let text = fs::read_to_string(&list).expect("the list");
        let text = text.replace("\n2 ", "\n2 PUID2-77 ");
        assert!(text.contains("PUID2-77 "), "{text}");
        fs::write(&list, text).expect("the list is written");
    }
    let unique = dovecot.pop3("UIDL\r\nQUIT\r\n");
    let unique = uidls(unique.lines().map(str::to_owned));
    assert_eq!(unique.len(), theirs[0].1.len());
    assert_eq!(
        unique.contains(&"2 UID2-77".to_owned()),
        format == "maildir"
    );

    server.restart();
    let mut imap = bob(&server);
    let listed = names(&mut imap, "LIST \"\" *");
    for ((wire, _), theirs) in MAILBOXES.iter().zip(&theirs) {
        assert!(listed.iter().any(|name| name == wire), "{listed:?}");
        assert_eq!(shown(&mut imap, wire), *theirs, "{wire}");
    }
    let subscribed = names(&mut imap, "LSUB \"\" *");
    assert!(
        ["INBOX", MAILBOXES[1].0]
            .iter()
            .all(|name| subscribed.iter().any(|s| s == name)),
        "{subscribed:?}"
    );
    let mut pop3 = server.pop3(BOB, "bob-password");
    assert_eq!(uidls(pop3.lines("UIDL")), unique);
    drop(pop3);
    change(&server, &mut imap);
    let ours: Vec<Shown> = CHANGED.map(|(wire, _)| shown(&mut imap, wire)).into();
    drop(imap);
    assert!(server.stop().success());
    for ((_, name), ours) in CHANGED.iter().zip(&ours) {
        if format == "sdbox" {
            // Of an sdbox flags go by `facteur account export`.
            dovecot.doveadm(&["force-resync", name]);
            let (validity, messages) = dovecot.shown(name);
            let texts = |messages: &[crate::Message]| -> Vec<_> {
                let texts = messages.iter();
                texts.map(|one| (one.uid, one.text.clone())).collect()
            };
            assert_eq!(texts(&messages), texts(&ours.1), "{name}");
            // It knows nothing of mailboxes that we made; those of its own stay what they were.
            if MAILBOXES.iter().any(|(_, of_its_own)| of_its_own == name) {
                assert_eq!(validity, ours.0, "{name}");
            }
        } else {
            assert_eq!(dovecot.shown(name), *ours, "{name}");
        }
    }
    let listed = dovecot.lines(&["mailbox", "list"]);
    assert!(!listed.contains(&"Empty".to_owned()), "{listed:?}");
    let subscribed = dovecot.lines(&["mailbox", "list", "-s"]);
    assert!(
        subscribed.contains(&"New/Mailbox".to_owned()),
        "{subscribed:?}"
    );
    assert!(!subscribed.contains(&"INBOX".to_owned()), "{subscribed:?}");
}

#[test]
fn an_sdbox_tree_that_dovecot_wrote_is_ours_and_then_its_own_again() {
    in_turn("sdbox");
}

#[test]
fn a_maildir_that_dovecot_wrote_is_ours_and_then_its_own_again() {
    in_turn("maildir");
}
