//! A server whose accounts PostfixAdmin keeps, in PostgreSQL and in MariaDB.

#![expect(
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

use facteur_tests::{
    Facteur, Imap, Pop3, Setup, Smtp,
    database::{Database, MariaDb, PostfixAdmin, Postgres, require},
    wait_for,
};

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";
const ALICE_PASSWORD: &str = "alice-secret";
const BOB_PASSWORD: &str = "bob-secret";

/// What an administrator enters in PostfixAdmin, and as PostfixAdmin stores it: an alias beside each
/// account, passwords as `md5crypt` and as `crypt(3)` makes them.
const ENTERED: &[&str] = &[
    "INSERT INTO domain (domain, description, transport) VALUES \
     ('example.org', '', 'virtual'), ('example.net', '', 'virtual'), ('alias.example', '', 'virtual')",
    "INSERT INTO domain (domain, description, transport, backupmx) VALUES ('backup.example', '', 'virtual', TRUE)",
    "INSERT INTO domain (domain, description, transport, active) VALUES ('off.example', '', 'virtual', FALSE)",
    "INSERT INTO mailbox (username, password, name, maildir, quota, local_part, domain) VALUES \
     ('bob@example.org', '$1$abcdefgh$lgkKdTg0RDRjVDfkxfIQu1', 'Bob', 'example.org/bob/', 1048576, 'bob', 'example.org'), \
     ('alice@example.org', '$6$abcdefgh$k015NcXY/JRngrq3qZf4P7v4.qmN9NyFgDUBKddbXgcYLbgW8i6PBu0SbfCaO9hZwaHsucltJ26m.Fsw8kuA90', \
      'Alice', 'example.org/alice/', 0, 'alice', 'example.org')",
    "INSERT INTO alias (address, goto, domain) VALUES \
     ('bob@example.org', 'bob@example.org', 'example.org'), \
     ('alice@example.org', 'alice@example.org', 'example.org'), \
     ('info@example.org', 'bob@example.org,alice@example.org', 'example.org'), \
     ('@example.net', 'alice@example.org', 'example.net')",
    "INSERT INTO alias (address, goto, domain, active) VALUES ('stopped@example.org', 'bob@example.org', 'example.org', FALSE)",
    "INSERT INTO alias_domain (alias_domain, target_domain) VALUES ('alias.example', 'example.org')",
];

/// A server that reads PostfixAdmin's tables in this database, as a user who may only SELECT.
fn start(database: &dyn Database, postfixadmin: &PostfixAdmin) -> Facteur {
    postfixadmin.upgrade(&database.postfixadmin_settings());
    for sql in ENTERED {
        database.execute(sql);
    }
    Setup::new()
        .top("mynetworks = []")
        .directory(&database.url("reader"))
        .start()
}

fn smtp(server: &Facteur) -> Smtp {
    let mut smtp = server.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    smtp
}

fn message(subject: &str) -> String {
    format!("From: x@remote.test\r\nSubject: {subject}\r\n\r\nbody\r\n")
}

/// How many messages of this subject a user has.
fn count(server: &Facteur, user: &str, password: &str, subject: &str) -> usize {
    let mut imap = server.imap(user, password);
    imap.must("SELECT INBOX");
    let found = imap.must(&format!("SEARCH SUBJECT \"{subject}\""));
    let line = found.with("SEARCH").next().unwrap_or_default();
    line.split(' ').skip(1).count()
}

fn expect_mail_in(server: &Facteur) {
    let mut smtp = smtp(server);
    for (recipient, to_bob, to_alice) in [
        (BOB, 1, 0),
        ("BOB+detail@Example.Org", 1, 0),
        ("info@example.org", 1, 1),
        ("bob@alias.example", 1, 0),
        ("info@alias.example", 1, 1),
        ("whoever@example.net", 0, 1),
    ] {
        let subject = format!("to {recipient}");
        let sent = smtp.send("x@remote.test", &[recipient], &message(&subject));
        assert_eq!(sent.code, 250, "{recipient}: {sent:?}");
        let bobs = count(server, BOB, BOB_PASSWORD, &subject);
        assert_eq!(bobs, to_bob, "{recipient}");
        let alices = count(server, ALICE, ALICE_PASSWORD, &subject);
        assert_eq!(alices, to_alice, "{recipient}");
    }
    smtp.expect("MAIL FROM:<x@remote.test>", 250);
    for (recipient, code) in [
        ("nobody@example.org", 550),
        ("nobody@alias.example", 550),
        ("stopped@example.org", 550),
        ("x@off.example", 554),
        ("x@elsewhere.example", 554),
        ("x@backup.example", 250),
    ] {
        smtp.expect(&format!("RCPT TO:<{recipient}>"), code);
    }
}

fn expect_submission(server: &Facteur) {
    let mut smtp = server.smtp("submission");
    smtp.expect("EHLO client.example", 250);
    let mut smtp = smtp.starttls(&server.certificate());
    let login = |password| facteur_tests::base64(format!("\0{BOB}\0{password}").as_bytes());
    smtp.expect(&format!("AUTH PLAIN {}", login("wrong")), 535);
    smtp.expect(&format!("AUTH PLAIN {}", login(BOB_PASSWORD)), 235);
    // Bob's own addresses, by his alias and by the alias domain; and another's.
    for (from, code) in [
        (BOB, 250),
        ("info@example.org", 250),
        ("bob@alias.example", 250),
        (ALICE, 553),
        ("stopped@example.org", 553),
    ] {
        let mail = smtp.command(&format!("MAIL FROM:<{from}>"));
        let rcpt = smtp.command(&format!("RCPT TO:<{ALICE}>"));
        let said = if mail.code == 250 { rcpt } else { mail };
        assert_eq!(said.code, code, "{from}: {said:?}");
        smtp.expect("RSET", 250);
    }
}

fn expect_only_reading(server: &Facteur) {
    let show = server.must(&["account", "show", BOB], "");
    assert!(show.contains(BOB), "{show}");
    let add = server.cli(&["account", "add", "carol@example.org"], "secret\n");
    assert!(!add.status.success(), "{add:?}");
}

/// A database that goes away and comes back: later, never "unknown".
fn expect_recovery(server: &Facteur, database: &mut dyn Database) {
    let mut early = server.imap(BOB, BOB_PASSWORD);
    early.must("SELECT INBOX");
    database.stop();
    let mut transaction = smtp(server);
    transaction.expect("MAIL FROM:<x@remote.test>", 250);
    for recipient in [BOB, "nobody@example.org"] {
        let reply = transaction.expect(&format!("RCPT TO:<{recipient}>"), 451);
        assert!(reply.lines[0].starts_with("4.3.0 "), "{reply:?}");
    }
    let mut imap = Imap::connect(server.address("imap"));
    let login = imap.command(&format!("LOGIN {ALICE} {ALICE_PASSWORD}"));
    assert!(login.tagged.starts_with("NO [UNAVAILABLE]"), "{login:?}");
    let mut pop3 = Pop3::connect(server.address("pop3"));
    pop3.must(&format!("USER {ALICE}"));
    let pass = pop3.command(&format!("PASS {ALICE_PASSWORD}"));
    assert!(pass.starts_with("-ERR [SYS/TEMP]"), "{pass}");
    // Who is in already does not need it.
    early.must("UID FETCH 1:* (FLAGS)");
    early.must("CREATE Meanwhile");

    database.resume();
    wait_for("recipient after the database's return", || {
        let reply = transaction.command(&format!("RCPT TO:<{BOB}>"));
        (reply.code == 250).then_some(())
    });
    transaction.expect("RCPT TO:<nobody@example.org>", 550);
    assert_eq!(transaction.data(&message("after")).code, 250);
    assert_eq!(count(server, BOB, BOB_PASSWORD, "after"), 1);
    imap.login(ALICE, ALICE_PASSWORD);
}

fn suite(mut database: impl Database) {
    let Some(postfixadmin) = require(PostfixAdmin::unpack()) else {
        return;
    };
    let server = start(&database, &postfixadmin);
    expect_mail_in(&server);
    expect_submission(&server);
    expect_only_reading(&server);
    expect_recovery(&server, &mut database);
}

#[test]
fn postfixadmin_on_postgresql_is_our_directory() {
    if let Some(database) = require(Postgres::start()) {
        suite(database);
    }
}

#[test]
fn postfixadmin_on_mariadb_is_our_directory() {
    if let Some(database) = require(MariaDb::start()) {
        suite(database);
    }
}
