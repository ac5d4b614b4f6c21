//! One account's disk, full to the last octet: nobody else notices.

use std::{fs, os::unix::fs as unix};

use facteur_tests::{Facteur, wait_for};

use crate::{ALICE, BOB, Ledger, calm, message, setup, small::Small};

/// How many messages an account's INBOX has.
fn count(facteur: &Facteur, user: &str, password: &str) -> usize {
    let mut imap = facteur.imap(user, password);
    imap.must("SELECT INBOX");
    imap.must("UID FETCH 1:* (FLAGS)").with("FETCH").count()
}

#[test]
fn full_disk_of_one_account_keeps_no_mail_from_the_others() {
    let Some(small) = Small::new("8m") else {
        return;
    };
    let mail = tempfile::tempdir().unwrap();
    let domain = mail.path().join("example.test");
    fs::create_dir(&domain).unwrap();
    for folder in [mail.path(), &*domain] {
        unix::chown(folder, Some(65534), Some(65534)).unwrap();
    }
    unix::symlink(small.path(), domain.join("bob")).unwrap();
    let location = format!("sdbox:{}/%d/%n", mail.path().display());
    let facteur = setup(&format!("[storage]\nmail_location = \"{location}\"\n")).start();
    let mut ledger = Ledger::default();
    ledger.must_send(&facteur, 1000);
    small.fill();

    // For bob alone the sender's queue is the better one; for both, alice does not wait for him.
    assert_eq!(ledger.send(&facteur, 1000).0, 452);
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    let reply = smtp.send("", &[BOB, ALICE], &message("for both", 1000));
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!(count(&facteur, ALICE, "alice-password"), 1);
    assert_eq!(count(&facteur, BOB, "bob-password"), 1);
    let waiting = facteur.must(&["queue", "list"], "");
    assert!(waiting.contains("bob@example.test: delayed"), "{waiting}");

    small.empty();
    facteur.must(&["queue", "flush"], "");
    wait_for("bob's copy", || {
        (count(&facteur, BOB, "bob-password") == 2).then_some(())
    });
    assert_eq!(count(&facteur, ALICE, "alice-password"), 1);
    facteur.must(&["account", "check", "--all"], "");
    calm(&facteur);
}
