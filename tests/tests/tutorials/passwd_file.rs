//! Virtual mailboxes whose users are lines of a file, a relay host and a transport table.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
};

use facteur_tests::{Facteur, Setup, wait_for};

use crate::{example, greeted, message};

const BOB: &str = "bob@mondomaine.com";

/// Another server, which has one account at this domain.
fn another(domain: &str) -> Facteur {
    Setup::new()
        .domain(domain)
        .account(&format!("x@{domain}"), "a-password")
        .start()
}

fn expect_arrival(at: &Facteur, user: &str) {
    wait_for("message at the other server", || {
        let status = at.imap(user, "a-password").must("STATUS INBOX (MESSAGES)");
        status.with("MESSAGES 1").next().map(drop)
    });
}

#[test]
fn passwd_file_relayhost_and_transport_table_move() {
    let (relay, neighbour) = (another("ailleurs.test"), another("monvoisin.fr"));
    let home = tempfile::tempdir().unwrap();
    // The server's user is not ours.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(home.path(), Some(65534), Some(65534)).unwrap();
    }
    let folder = home.path().display();
    let users = home.path().join("users");
    let line = |name: &str| {
        format!(
            "{name}@mondomaine.com:{{PLAIN}}password:5000:5000::{folder}/mondomaine.com/{name}/\n"
        )
    };
    fs::write(&users, line("bob") + &line("alice")).unwrap();
    let hop = |server: &Facteur| format!("[127.0.0.1]:{}", server.address("smtp").port());
    let text = example(
        "passwd-file.toml",
        &[
            ("/etc/dovecot/users", &users.to_string_lossy()),
            ("/var/mail/vmail/%d", &format!("{folder}/%d")),
            ("[svrmail.formatux.lan]", &hop(&relay)),
            ("[172.16.96.100]:25", &hop(&neighbour)),
            ("*:25\"", "127.0.0.1:0\""),
            ("*:143", "127.0.0.1:0"),
        ],
    );
    let server = Setup::whole(&text).start();

    let mut smtp = greeted(server.smtp("smtp"));
    let sent = smtp.send("x@ailleurs.test", &[BOB], &message("to bob"));
    assert_eq!(sent.code, 250, "{sent:?}");
    smtp.expect("MAIL FROM:<x@ailleurs.test>", 250);
    smtp.expect("RCPT TO:<personne@mondomaine.com>", 550);
    smtp.expect("RCPT TO:<personne@autre.com>", 550);
    smtp.expect("RSET", 250);
    let mut imap = facteur_tests::Imap::connect(server.address("imap"));
    imap = imap.starttls(&server.certificate());
    imap.login(BOB, "password");
    imap.must("SELECT INBOX");
    assert!(imap.fetch_text(1).contains("body of to bob"));
    let stored = home.path().join("mondomaine.com/bob/new");
    let stored = fs::read_dir(&stored).map(Iterator::count);
    assert_eq!(stored.unwrap_or(0), 1, "the Maildir of bob's line");

    // mynetworks may relay: by the table, and all else by the relay host.
    for (to, at) in [("x@monvoisin.fr", &neighbour), ("x@ailleurs.test", &relay)] {
        let sent = smtp.send(BOB, &[to], &message("out"));
        assert_eq!(sent.code, 250, "{sent:?}");
        expect_arrival(at, to);
    }
    let said = server.must(&["account", "test", BOB], "password");
    assert!(said.contains(BOB), "{said}");
}
