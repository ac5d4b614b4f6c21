//! Clients of others that keep a copy of the mail, or show it: mbsync, OfflineIMAP, NeoMutt.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so and ends"
)]

use std::{fs, path::PathBuf};

use facteur_tests::{Facteur, Imap, Setup, Workdir, require_peer};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn start() -> Facteur {
    Setup::new()
        .with_alice_and_bob()
        .sections("[auth]\nplaintext_auth_on_loopback = false\nauth_failure_delay = \"0s\"\n")
        .start()
}

fn bob(server: &Facteur) -> Imap {
    server.imap_tls(BOB, "bob-password")
}

fn message(subject: &str) -> String {
    format!("From: {ALICE}\r\nSubject: {subject}\r\n\r\n.dot\r\nbody of {subject}\r\n")
}

fn append(imap: &mut Imap, mailbox: &str, subject: &str) {
    let appended = imap.append(&format!("\"{mailbox}\""), &message(subject));
    assert!(appended.is_ok(), "{appended:?}");
}

/// A copy of the mail in Maildir folders.
struct Copy(PathBuf);

impl Copy {
    /// The file of the message with this subject in a folder.
    fn find(&self, folder: &str, subject: &str) -> Option<PathBuf> {
        let header = format!("Subject: {subject}\n");
        ["cur", "new"]
            .iter()
            .filter_map(|part| fs::read_dir(self.0.join(folder).join(part)).ok())
            .flat_map(|files| files.flatten().map(|file| file.path()))
            .find(|file| {
                let text = fs::read(file).expect("a message");
                String::from_utf8_lossy(&text)
                    .replace("\r\n", "\n")
                    .contains(&header)
            })
    }

    fn must_find(&self, folder: &str, subject: &str) -> PathBuf {
        let found = self.find(folder, subject);
        found.unwrap_or_else(|| panic!("no {subject} in {folder}"))
    }

    /// Its Maildir flags.
    fn flags(&self, folder: &str, subject: &str) -> String {
        let file = self.must_find(folder, subject);
        let name = file.display().to_string();
        name.rsplit_once(":2,")
            .map_or_else(String::new, |(_, flags)| flags.to_owned())
    }

    /// Gives it other flags, as a Maildir reader does.
    fn set_flags(&self, folder: &str, subject: &str, flags: &str) {
        let file = self.must_find(folder, subject);
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let unique = name.split(":2,").next().unwrap_or_default();
        let cur = self.0.join(folder).join("cur");
        fs::rename(&file, cur.join(format!("{unique}:2,{flags}"))).expect("renamed");
    }
}

/// A new message in a copy, as another program would leave it.
fn deliver(work: &Workdir, path: &str, subject: &str) {
    work.write(path, &message(subject).replace("\r\n", "\n"));
}

/// The flags of the message with this subject; `None` when it is not there.
fn flags(imap: &mut Imap, mailbox: &str, subject: &str) -> Option<String> {
    imap.must(&format!("SELECT \"{mailbox}\""));
    let found = imap.must(&format!("UID SEARCH SUBJECT \"{subject}\""));
    let line = found.with("SEARCH").next()?.to_owned();
    let uid: u32 = line.split(' ').nth(1)?.parse().ok()?;
    let text = imap.fetch_text(uid);
    assert!(
        text.ends_with(&format!("\r\n.dot\r\nbody of {subject}\r\n")),
        "{text}"
    );
    let fetched = imap.must(&format!("UID FETCH {uid} (FLAGS)"));
    let line = fetched.with("FLAGS").next()?.to_owned();
    let (_, rest) = line.split_once("FLAGS (")?;
    Some(rest.split(')').next()?.to_owned())
}

/// Everything in `mail/`, both ways.
fn mbsync_settings(server: &Facteur, work: &Workdir) -> String {
    let folder = work.path().display();
    format!(
        "IMAPAccount facteur\nHost localhost\nPort {}\nUser {BOB}\nPass bob-password\n\
             SSLType STARTTLS\nCertificateFile {}\n\nIMAPStore far\nAccount facteur\n\n\
             MaildirStore near\nPath {folder}/mail/\nInbox {folder}/mail/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nRemove Both\n\
             Expunge Both\nSyncState *\n",
        server.address("imap").port(),
        server.certificate().display()
    )
}

#[test]
fn mbsync_keeps_both_sides_the_same() {
    let Some(mbsync) = require_peer("mbsync") else {
        return;
    };
    let server = start();
    let work = Workdir::new(&server, "mbsync");
    let mut imap = bob(&server);
    imap.must("CREATE \"Projects/&AMk-t&AOk- &- co\"");
    for subject in ["one", "two", "three"] {
        append(&mut imap, "INBOX", subject);
    }
    append(&mut imap, "Projects/&AMk-t&AOk- &- co", "filed");
    work.write("mbsyncrc", &mbsync_settings(&server, &work));
    work.folder("mail");
    let sync = || work.must(&mbsync, &["-c", "mbsyncrc", "-a"], "");
    let copy = Copy(work.path().join("mail"));
    sync();
    for subject in ["one", "two", "three"] {
        assert_eq!(copy.flags("INBOX", subject), "", "{subject}");
    }
    // Folder names are modified UTF-7 there, as on the wire.
    let filed = fs::read_dir(copy.0.join("Projects"))
        .expect("the folder")
        .flatten();
    assert_eq!(filed.filter(|entry| entry.path().is_dir()).count(), 1);

    // Both sides change: flags, a message gone, a new one, a new folder.
    imap.must("SELECT INBOX");
    imap.must("UID STORE 1 +FLAGS (\\Seen \\Flagged)");
    append(&mut imap, "INBOX", "from far");
    imap.must("CREATE Far");
    append(&mut imap, "Far", "in far");
    copy.set_flags("INBOX", "two", "RS");
    copy.set_flags("INBOX", "three", "ST");
    deliver(&work, "mail/INBOX/new/1.near", "from near");
    for folder in [
        "mail/Near",
        "mail/Near/cur",
        "mail/Near/new",
        "mail/Near/tmp",
    ] {
        work.folder(folder);
    }
    deliver(&work, "mail/Near/cur/2.near:2,F", "in near");
    sync();
    assert_eq!(copy.flags("INBOX", "one"), "FS");
    assert!(copy.find("INBOX", "from far").is_some());
    assert!(copy.find("INBOX", "three").is_none());
    assert!(copy.find("Far", "in far").is_some());
    let two = flags(&mut imap, "INBOX", "two").expect("it is there");
    assert!(
        two.contains("\\Seen") && two.contains("\\Answered"),
        "{two}"
    );
    assert_eq!(flags(&mut imap, "INBOX", "three"), None);
    let near = flags(&mut imap, "INBOX", "from near").expect("it is there");
    assert!(!near.contains("\\Seen"), "{near}");
    let near = flags(&mut imap, "Near", "in near").expect("it is there");
    assert!(near.contains("\\Flagged"), "{near}");

    // The far side deletes messages, and then a folder: mbsync follows when it is empty.
    for (mailbox, uid) in [("INBOX", 1), ("Far", 1)] {
        imap.must(&format!("SELECT {mailbox}"));
        imap.must(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
        imap.must("EXPUNGE");
    }
    sync();
    assert!(copy.find("INBOX", "one").is_none());
    assert!(copy.find("Far", "in far").is_none());
    imap.must("SELECT INBOX");
    imap.must("DELETE Far");
    sync();
    assert!(!copy.0.join("Far").exists(), "the folder is gone");
    for subject in ["two", "from far", "from near"] {
        assert!(copy.find("INBOX", subject).is_some(), "{subject}");
    }
    let last = imap.must("STATUS INBOX (MESSAGES)");
    assert!(last.untagged[0].contains("MESSAGES 3"), "{last:?}");
}

#[test]
fn offlineimap_copies_and_brings_changes_back() {
    let Some(offlineimap) = require_peer("offlineimap") else {
        return;
    };
    let server = start();
    let work = Workdir::new(&server, "offlineimap");
    let mut imap = bob(&server);
    append(&mut imap, "INBOX", "one");
    append(&mut imap, "Archive", "filed");
    let folder = work.path().display();
    work.write(
        "offlineimaprc",
        &format!(
            "[general]\naccounts = facteur\nmetadata = {folder}/metadata\nui = basic\n\
             [Account facteur]\nlocalrepository = near\nremoterepository = far\n\
             [Repository near]\ntype = Maildir\nlocalfolders = {folder}/mail\n\
             [Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {}\n\
             remoteuser = {BOB}\nremotepass = bob-password\nssl = yes\nsslcacertfile = {}\n",
            server.address("imaps").port(),
            server.certificate().display()
        ),
    );
    let sync = || work.must(&offlineimap, &["-c", "offlineimaprc", "-o"], "");
    let copy = Copy(work.path().join("mail"));
    sync();
    assert!(copy.find("Archive", "filed").is_some());
    copy.set_flags("INBOX", "one", "FS");
    deliver(&work, "mail/INBOX/new/1.near", "from near");
    append(&mut imap, "INBOX", "from far");
    sync();
    assert!(copy.find("INBOX", "from far").is_some());
    let one = flags(&mut imap, "INBOX", "one").expect("it is there");
    assert!(one.contains("\\Seen") && one.contains("\\Flagged"), "{one}");
    assert!(flags(&mut imap, "INBOX", "from near").is_some());
}

#[test]
fn neomutt_sends_reads_and_deletes() {
    let (Some(neomutt), Some(script)) = (require_peer("neomutt"), require_peer("script")) else {
        return;
    };
    let server = start();
    let work = Workdir::new(&server, "neomutt");
    let common = format!(
        "set ssl_force_tls = yes\nset certificate_file = \"{}\"\n",
        server.certificate().display()
    );
    work.write(
        "send",
        &format!(
            "{common}set from = \"{ALICE}\"\nset smtp_url = \"smtp://{ALICE}@localhost:{}/\"\n\
             set smtp_pass = \"alice-password\"\nset copy = no\n",
            server.address("submission").port()
        ),
    );
    let send = |subject: &str| {
        let body = format!(".dot\nbody of {subject}\n");
        work.must(&neomutt, &["-n", "-F", "send", "-s", subject, BOB], &body);
    };
    send("one");
    send("two");

    // It wants a terminal: script gives it one.
    work.write(
        "read",
        &format!(
            "{common}set imap_user = \"{BOB}\"\nset imap_pass = \"bob-password\"\n\
             set folder = \"imaps://localhost:{port}/\"\nset spoolfile = \"imaps://localhost:{port}/INBOX\"\n\
             set mbox_type = mbox\nset confirmappend = no\nset confirmcreate = no\nset wait_key = no\n\
             set quit = yes\nset move = no\nset delete = yes\nset sort = mailbox-order\n\
             push \"<tag-pattern>~A<enter><tag-prefix><copy-message>{}/copied<enter>\
             <delete-pattern>~s one<enter><quit>\"\n",
            work.path().display(),
            port = server.address("imaps").port(),
        ),
    );
    let command = format!("TERM=xterm {} -n -F read", neomutt.display());
    work.must(&script, &["-qec", &command, "/dev/null"], "");
    let copied = work.read("copied");
    for subject in ["one", "two"] {
        let body = format!("\n\n.dot\nbody of {subject}\n");
        assert!(copied.contains(&body), "{subject}: {copied}");
    }
    let mut imap = bob(&server);
    assert_eq!(flags(&mut imap, "INBOX", "one"), None);
    assert!(flags(&mut imap, "INBOX", "two").is_some());
}
