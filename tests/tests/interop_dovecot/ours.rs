//! Dovecot reads the tree that the server leaves.

use std::{
    fs,
    path::{Path, PathBuf},
};

use facteur_tests::{Facteur, Setup, require_peer};

use crate::{ALICE, BOB, bob, dovecot::Dovecot, home, messages::AWKWARD, start, texts};

type Mailboxes = [(&'static str, &'static str); 6];

/// Mailboxes, as they are on the wire and as `doveadm` names them.
const MAILBOXES: Mailboxes = [
    ("INBOX", "INBOX"),
    ("Archive", "Archive"),
    ("Archive/2026/January", "Archive/2026/January"),
    ("&AMk-t&AOk- &- Hiver/&ZeVnLA-", "Été & Hiver/日本"),
    (".hidden", ".hidden"),
    ("Tab \\\"quoted\\\"", "Tab \"quoted\""),
];

/// The same where no name has a dot.
fn mailboxes(format: &str) -> Mailboxes {
    let dot = |name: &'static str| match format {
        "maildir" => name.trim_start_matches('.'),
        _ => name,
    };
    MAILBOXES.map(|(wire, name)| (dot(wire), dot(name)))
}

/// Fills all of Bob's mailboxes by delivery, APPEND, COPY and MOVE, with gaps in the UIDs.
fn fill(server: &Facteur, mailboxes: &Mailboxes) {
    let mut smtp = server.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    for subject in ["one", "two"] {
        let message = format!("From: {ALICE}\r\nSubject: {subject}\r\n\r\n.dot\r\n");
        assert_eq!(smtp.send(ALICE, &[BOB, ALICE], &message).code, 250);
    }
    let mut imap = bob(server);
    for (mailbox, _) in &mailboxes[2..] {
        imap.must(&format!("CREATE \"{mailbox}\""));
    }
    for message in AWKWARD {
        let (mailbox, _) = mailboxes[1];
        let appended = imap.append_bytes(
            &format!("\"{mailbox}\" \"01-Feb-2009 23:31:30 +0000\""),
            message,
        );
        assert!(appended.is_ok(), "{message:?}: {appended:?}");
    }
    imap.must("SELECT Archive");
    for (at, (mailbox, _)) in (1..).zip(&mailboxes[2..]) {
        imap.must(&format!("UID COPY 1:{at},7 \"{mailbox}\""));
    }
    imap.must(&format!("UID MOVE 3 \"{}\"", mailboxes[4].0));
    imap.must("UID STORE 5 +FLAGS.SILENT (\\Deleted)");
    imap.must("EXPUNGE");
    imap.must("SUBSCRIBE \"&AMk-t&AOk- &- Hiver/&ZeVnLA-\"");
    imap.must("UNSUBSCRIBE Drafts");
}

#[test]
fn dovecot_reads_our_sdbox_tree_byte_for_byte() {
    read_by_dovecot("sdbox");
}

#[test]
fn dovecot_reads_our_maildir_tree_byte_for_byte() {
    read_by_dovecot("maildir");
}

fn read_by_dovecot(format: &str) {
    let Some(doveadm) = require_peer("doveadm") else {
        return;
    };
    let mut server = start(format);
    let names = mailboxes(format);
    fill(&server, &names);
    let mut imap = bob(&server);
    let ours = names.map(|(wire, name)| (name, texts(&mut imap, wire)));
    drop(imap);
    assert!(server.stop().success());
    let dovecot = Dovecot::on_a_copy(doveadm, &server, format);
    for (mailbox, texts) in ours {
        assert!(!texts.is_empty(), "{mailbox}");
        if format == "sdbox" {
            dovecot.doveadm(&["force-resync", mailbox]);
        }
        let listed = dovecot.doveadm(&["-f", "flow", "fetch", "uid", "mailbox", mailbox, "all"]);
        let expected: String = texts
            .iter()
            .map(|(uid, _)| format!("uid={uid}\n"))
            .collect();
        assert_eq!(String::from_utf8_lossy(&listed), expected, "{mailbox}");
        for (uid, text) in texts {
            assert!(
                dovecot.fetch("text", mailbox, uid) == text,
                "{mailbox} {uid}"
            );
            let size = dovecot.fetch("size.virtual", mailbox, uid);
            assert_eq!(size, text.len().to_string().as_bytes(), "{mailbox} {uid}");
            if mailbox != "INBOX" {
                let received = dovecot.fetch("date.received.unixtime", mailbox, uid);
                assert_eq!(received, b"1233531090", "{mailbox} {uid}");
            }
        }
    }
    let mut mailboxes = vec![
        names[4].1,
        "Archive",
        "Archive/2026",
        "Archive/2026/January",
        "Drafts",
        "INBOX",
        "Junk",
        "Sent",
        "Tab \"quoted\"",
        "Trash",
        "Été & Hiver",
        "Été & Hiver/日本",
    ];
    mailboxes.sort_unstable();
    assert_eq!(dovecot.lines(&["mailbox", "list"]), mailboxes);
    let subscribed = [
        "Archive",
        "INBOX",
        "Junk",
        "Sent",
        "Trash",
        "Été & Hiver/日本",
    ];
    assert_eq!(dovecot.lines(&["mailbox", "list", "-s"]), subscribed);
}

/// A message of some hundred kilobytes that can be compressed.
fn large() -> Vec<u8> {
    let mut text = String::from("Subject: large\r\nFrom: a@b.example\r\n\r\n");
    for line in 0..20_000_u32 {
        text.push_str(&format!(
            "line {line} of it {:x}\r\n",
            line.wrapping_mul(2_654_435_761)
        ));
    }
    text.push_str("the needle at its end\r\n");
    text.into_bytes()
}

/// The files of INBOX's messages.
fn files(home: &Path) -> Vec<PathBuf> {
    let folders = ["mailboxes/INBOX/dbox-Mails", "new", "cur"];
    let files = folders
        .iter()
        .filter_map(|folder| fs::read_dir(home.join(folder)).ok());
    let files = files.flatten().map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.is_file()).collect()
}

#[test]
fn dovecot_and_clients_read_what_we_compressed_in_sdbox() {
    compressed("sdbox");
}

#[test]
fn dovecot_and_clients_read_what_we_compressed_in_a_maildir() {
    compressed("maildir");
}

fn compressed(format: &str) {
    let Some(doveadm) = require_peer("doveadm") else {
        return;
    };
    let setup = Setup::new().with_alice_and_bob();
    let setup = setup.format(format).storage("zlib_save = \"zstd\"");
    let mut server = setup.start();
    let mut imap = bob(&server);
    let large = large();
    for message in AWKWARD.into_iter().chain([&large[..]]) {
        assert!(imap.append_bytes("INBOX", message).is_ok());
    }
    let last = u32::try_from(AWKWARD.len() + 1).expect("few messages");
    let stored = files(&home(&server)).into_iter();
    let stored = stored.map(|path| (path.metadata().expect("its size").len(), path));
    let (stored, path) = stored.max().expect("a file");
    assert!(
        stored > 10_000 && stored < large.len() as u64 * 2 / 3,
        "it is compressed"
    );
    if format == "maildir" {
        let sizes = format!(",S={0},W={0}", large.len());
        assert!(path.to_string_lossy().ends_with(&sizes), "{path:?}");
    }
    let ours = texts(&mut imap, "INBOX");
    assert!(ours.last().is_some_and(|(_, text)| *text == large));
    let found = imap.must("UID SEARCH BODY \"needle at its\"");
    assert_eq!(
        found.with("SEARCH").next(),
        Some(&*format!("SEARCH {last}"))
    );
    let size = format!("RFC822.SIZE {}", large.len());
    let fetched = imap.must(&format!("UID FETCH {last} (RFC822.SIZE)"));
    assert!(
        fetched
            .with("FETCH")
            .next()
            .is_some_and(|line| line.contains(&size))
    );
    let part = imap.must(&format!(
        "UID FETCH {last} BODY.PEEK[]<{}.13>",
        large.len() - 15
    ));
    let part = part.with("FETCH").next().expect("a part").to_owned();
    assert!(part.ends_with("{13}\r\nle at its end)"), "{part}");
    imap.must("CREATE Copies");
    imap.must("SELECT INBOX");
    imap.must(&format!("UID COPY {last} Copies"));
    assert_eq!(texts(&mut imap, "Copies"), [(1, large.clone())]);
    let mut pop3 = server.pop3(BOB, "bob-password");
    let lines = pop3.lines(&format!("RETR {last}"));
    assert_eq!(lines.join("\r\n") + "\r\n", String::from_utf8_lossy(&large));
    assert_eq!(pop3.lines(&format!("TOP {last} 1")).len(), 4);
    drop(pop3);
    drop(imap);
    assert!(server.stop().success());
    let dovecot = Dovecot::with_plugins(doveadm, &server, format, "zlib");
    if format == "sdbox" {
        dovecot.doveadm(&["force-resync", "INBOX"]);
        dovecot.doveadm(&["force-resync", "Copies"]);
    }
    for (uid, text) in ours {
        assert!(dovecot.fetch("text", "INBOX", uid) == text, "{uid}");
        for field in ["size.virtual", "size.physical"] {
            let size = dovecot.fetch(field, "INBOX", uid);
            assert_eq!(size, text.len().to_string().as_bytes(), "{field} {uid}");
        }
    }
    assert!(dovecot.fetch("text", "Copies", 1) == large);
}
