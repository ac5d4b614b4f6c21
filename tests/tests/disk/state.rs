//! The disk of the server's own folder, full: spool, journal, directory.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
};

use facteur_tests::{Setup, wait_for};

use crate::{Ledger, bob, by_lmtp, calm, small::Small};

/// A server whose own folder is small, and whose mail is elsewhere.
#[test]
fn full_state_disk_takes_no_mail_for_now_and_serves_what_is_there() {
    let Some(small) = Small::new("64m") else {
        return;
    };
    let mail = tempfile::tempdir().unwrap();
    fs::set_permissions(mail.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let location = format!("sdbox:{}/%d/%n", mail.path().display());
    let data = small.path().join("data");
    fs::create_dir(&data).unwrap();
    chown(&data, Some(65534), Some(65534)).unwrap();
    let facteur = Setup::new()
        .with_alice_and_bob()
        .data_in(&data)
        .top("message_size_limit = \"1M\"")
        .sections(&format!("[storage]\nmail_location = \"{location}\"\n"))
        .start();
    let mut ledger = Ledger::default();
    for _ in 0..5 {
        ledger.must_send(&facteur, 20_000);
    }
    let mut open = bob(&facteur);
    open.must("SELECT INBOX");
    small.fill();

    // Known when the sender is named: nobody sends a body in vain (queue_minfree). What the file
    // system said last is good for a second.
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    let refused = wait_for("MAIL is refused", || {
        let reply = smtp.command("MAIL FROM:<>");
        smtp.expect("RSET", 250);
        (reply.code != 250).then_some(reply)
    });
    assert_eq!(refused.code, 452, "{refused:?}");
    assert!(refused.lines[0].starts_with("4.3.1 "), "{refused:?}");
    let bodies = open.must("FETCH 1:* (FLAGS BODY.PEEK[])");
    assert_eq!(bodies.with("FETCH").count(), 5);
    ledger.holds(&facteur);

    small.empty();
    wait_for("MAIL is accepted again", || {
        let reply = smtp.command("MAIL FROM:<>");
        smtp.expect("RSET", 250);
        (reply.code == 250).then_some(())
    });
    ledger.must_send(&facteur, 20_000);
    assert!(
        by_lmtp(&facteur, "later", 1000)
            .iter()
            .all(|(code, _)| *code == 250)
    );
    open.must("STORE 1 +FLAGS (\\Seen)");
    ledger.holds(&facteur);
    facteur.must(&["account", "check", "--all"], "");
    calm(&facteur);
}
