//! To Dovecot with `facteur account export`, and back: no flag, keyword or UID is lost on the way.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

use std::{collections::BTreeSet, path::Path};

use facteur_tests::{Facteur, Imap, Setup, Workdir, require_peer};

const BOB: &str = "bob@example.test";

fn bob(server: &Facteur) -> Imap {
    server.imap_tls(BOB, "bob-password")
}

/// Bob's mailboxes, with flags, keywords and gaps.
fn fill(server: &Facteur) {
    let mut imap = bob(server);
    for at in 0..5 {
        let message = format!("Subject: {at}\r\n\r\nbody {at}\r\n");
        imap.append("INBOX (\\Seen) \"01-Feb-2003 04:05:06 +0000\"", &message);
    }
    imap.must("CREATE &AMk-t&AOk-/2026");
    imap.must("SUBSCRIBE &AMk-t&AOk-/2026");
    imap.must("SELECT INBOX");
    imap.must("STORE 2 +FLAGS (\\Flagged $Forwarded Work)");
    imap.must("STORE 3 -FLAGS (\\Seen)");
    imap.must("COPY 2:4 &AMk-t&AOk-/2026");
    imap.must("STORE 1 +FLAGS (\\Deleted)");
    imap.must("EXPUNGE");
}

/// What a mailbox's messages are, and its numbers.
fn seen(imap: &mut Imap, mailbox: &str) -> BTreeSet<String> {
    let examined = imap.must(&format!("EXAMINE {mailbox}"));
    let numbers = ["UIDVALIDITY", "UIDNEXT"];
    let numbers = examined.untagged.iter().filter_map(|line| {
        let at = numbers.iter().find_map(|number| line.find(number))?;
        Some(line.get(at..)?.split(']').next()?.to_owned())
    });
    let mut seen: BTreeSet<String> = numbers.collect();
    let fetched = imap.must("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)");
    seen.extend(fetched.untagged.iter().map(|line| {
        let mut words: Vec<&str> = line
            .split([' ', '(', ')'])
            .filter(|word| !word.is_empty() && *word != "\\Recent")
            .collect();
        words.sort_unstable();
        words.join(" ")
    }));
    seen
}

const MAILBOXES: [&str; 2] = ["INBOX", "&AMk-t&AOk-/2026"];

/// Dovecot's configuration, for a copy in the work folder.
fn configure(work: &Workdir, location: &str) {
    let folder = work.path().display();
    work.write(
        "dovecot.conf",
        &format!(
            "base_dir = {folder}/run\nlog_path = /dev/stderr\nssl = no\nprotocols =\n\
             first_valid_uid = 1\nfirst_valid_gid = 1\nmail_location = {location}\n\
             namespace {{\n  inbox = yes\n  separator = /\n}}\n"
        ),
    );
}

fn doveadm(work: &Workdir, program: &Path, arguments: &[&str]) -> String {
    let all = [&["-c", "dovecot.conf"], arguments].concat();
    work.must(program, &all, "")
}

/// Puts Dovecot's tree, in which it changed one message, in the place of ours.
fn come_back(server: &mut Facteur, copy: &str, before: &[BTreeSet<String>]) {
    let home = server.data().join("mail/example.test/bob");
    std::fs::remove_dir_all(&home).expect("Bob's home goes");
    std::fs::rename(copy, &home).expect("the copy comes");
    server.restart();
    let mut imap = bob(server);
    let after: Vec<_> = MAILBOXES.iter().map(|name| seen(&mut imap, name)).collect();
    assert_eq!(after[1], before[1]);
    let differ: Vec<&String> = after[0].symmetric_difference(&before[0]).collect();
    assert_eq!(differ.len(), 2, "{differ:?}");
    let gained = differ.iter().find(|line| line.contains("OnlyDovecot"));
    assert!(
        gained.is_some_and(|line| line.contains("\\Answered")),
        "{differ:?}"
    );
    let subscribed = imap.must("LSUB \"\" *");
    let subscribed = subscribed
        .untagged
        .iter()
        .any(|line| line.contains("&AMk-t&AOk-/2026"));
    assert!(subscribed);
}

#[test]
fn an_account_goes_to_dovecot_and_comes_back() {
    let Some(program) = require_peer("doveadm") else {
        return;
    };
    let mut server = Setup::new().with_alice_and_bob().start();
    fill(&server);
    let before: Vec<_> = MAILBOXES
        .iter()
        .map(|name| seen(&mut bob(&server), name))
        .collect();
    let work = Workdir::new(&server, "dovecot");
    let copy = work.path().join("copy").display().to_string();
    let export = ["account", "export", "--to-dovecot", BOB, &copy];
    let refused = server.cli(&export, "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("the server is running: stop it first"),
        "{said}"
    );
    server.stop();

    let nobody = [
        "account",
        "export",
        "--to-dovecot",
        "nobody@example.test",
        &copy,
    ];
    assert_eq!(server.cli(&nobody, "").status.code(), Some(1));
    assert!(!Path::new(&copy).exists());
    let said = server.must(&[&export[..], &["--json"]].concat(), "");
    for part in [
        "\"messages\": 7",
        "\"mailboxes\": 7",
        "\"linked\": 0",
        "\"sdbox\"",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let again = server.cli(&export, "");
    assert_eq!(again.status.code(), Some(1), "the folder is not empty");

    configure(&work, &format!("sdbox:{copy}"));
    let shown = doveadm(
        &work,
        &program,
        &["-f", "flow", "fetch", "uid flags", "mailbox", "INBOX"],
    );
    let lines: Vec<&str> = shown.lines().map(|line| line.trim_end()).collect();
    let flags = "uid=2 flags=\\Flagged \\Seen $Forwarded Work";
    assert!(lines.contains(&flags), "{shown}");
    assert_eq!(lines.len(), 4, "{shown}");
    let changed = [
        "flags",
        "add",
        "\\Answered OnlyDovecot",
        "mailbox",
        "INBOX",
        "uid",
        "5",
    ];
    doveadm(&work, &program, &changed);
    doveadm(&work, &program, &["force-resync", "INBOX"]);

    come_back(&mut server, &copy, &before);
}

#[test]
fn an_exported_maildir_has_what_the_account_has() {
    let Some(program) = require_peer("doveadm") else {
        return;
    };
    let mut server = Setup::new().with_alice_and_bob().start();
    fill(&server);
    server.stop();
    let work = Workdir::new(&server, "dovecot");
    let copy = work.path().join("copy").display().to_string();
    let export = [
        "account",
        "export",
        "--to-dovecot",
        "--format",
        "maildir",
        BOB,
        &copy,
    ];
    let said = server.must(&export, "");
    assert!(said.contains("7 messages in 7 mailboxes"), "{said}");
    assert!(
        said.contains(&format!("mail_location = maildir:{copy}")),
        "{said}"
    );
    configure(&work, &format!("maildir:{copy}"));
    let query = [
        "-f",
        "flow",
        "fetch",
        "uid flags date.received.unixtime",
        "mailbox",
        "INBOX",
        "uid",
        "2",
    ];
    let shown = doveadm(&work, &program, &query);
    assert!(
        shown.contains("uid=2 flags=\\Flagged \\Seen $Forwarded Work"),
        "{shown}"
    );
    assert!(
        shown.contains("date.received.unixtime=1044072306"),
        "{shown}"
    );
}
