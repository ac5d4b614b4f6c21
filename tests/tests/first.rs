//! The main job through the real binary: mail in by each way, out by each way.

use facteur_tests::{Imap, Pop3, Setup, Smtp};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
const MESSAGE: &str = "From: alice@example.test\r\nTo: bob@example.test\r\nSubject: Hello\r\n\
                       Message-ID: <1@example.test>\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000\r\n\r\n\
                       Hello, Bob.\r\n.a line with a dot\r\n";

#[test]
fn message_by_smtp_is_read_by_imap_and_pop3() {
    let facteur = Setup::new().with_alice_and_bob().start();
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    assert_eq!(smtp.send(ALICE, &[BOB], MESSAGE).code, 250);
    smtp.expect("QUIT", 221);

    let mut imap = facteur.imap(BOB, "bob-password");
    let select = imap.must("SELECT INBOX");
    assert!(
        select.untagged.contains(&"1 EXISTS".to_owned()),
        "{select:?}"
    );
    let text = imap.fetch_text(1);
    assert!(
        text.starts_with("Return-Path: <alice@example.test>\r\n"),
        "{text}"
    );
    assert!(text.ends_with(MESSAGE), "{text}");

    let mut pop3 = facteur.pop3(BOB, "bob-password");
    let retrieved = pop3.lines("RETR 1").join("\r\n") + "\r\n";
    assert_eq!(retrieved, text);
}

#[test]
fn message_by_lmtp_has_a_reply_for_each_recipient() {
    let facteur = Setup::new().with_alice_and_bob().start();
    let mut lmtp = Smtp::connect(facteur.address("lmtp"));
    lmtp.expect("LHLO client.example", 250);
    lmtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
    lmtp.expect(&format!("RCPT TO:<{ALICE}>"), 250);
    lmtp.expect("RCPT TO:<nobody@example.test>", 550);
    lmtp.expect(&format!("RCPT TO:<{BOB}>"), 250);
    assert_eq!(lmtp.data(MESSAGE).code, 250);
    assert_eq!(lmtp.reply().code, 250);
    for (user, password) in [(ALICE, "alice-password"), (BOB, "bob-password")] {
        let status = facteur.imap(user, password).must("STATUS INBOX (MESSAGES)");
        assert!(status.untagged[0].contains("MESSAGES 1"), "{status:?}");
    }
}

#[test]
fn idle_client_hears_of_a_submitted_message_at_once() {
    let facteur = Setup::new().with_alice_and_bob().start();
    let certificate = facteur.certificate();
    let mut watcher = Imap::connect_tls(facteur.address("imaps"), &certificate);
    watcher.login(BOB, "bob-password");
    watcher.must("SELECT INBOX");
    let tag = watcher.send("IDLE");
    assert!(watcher.connection.line().starts_with('+'));

    let mut smtp = facteur.smtp("submission");
    smtp.expect("EHLO client.example", 250);
    let mut smtp = smtp.starttls(&certificate);
    // \0alice@example.test\0alice-password
    smtp.expect(
        "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZS1wYXNzd29yZA==",
        235,
    );
    assert_eq!(smtp.send(ALICE, &[BOB], MESSAGE).code, 250);

    assert_eq!(watcher.connection.line(), "* 1 EXISTS");
    watcher.connection.send_line("DONE");
    assert!(watcher.finish(&tag).is_ok());
}

#[test]
fn stranger_cannot_relay_and_unknown_recipients_are_refused() {
    // 192.0.2.1 stands for the stranger: loopback may relay.
    let setup = Setup::new().with_alice_and_bob().top("mynetworks = []");
    let facteur = setup.start();
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    smtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
    smtp.expect("RCPT TO:<someone@elsewhere.example>", 554);
    smtp.expect("RCPT TO:<nobody@example.test>", 550);
    smtp.expect(&format!("RCPT TO:<{BOB}>"), 250);
}

#[test]
fn acknowledged_message_is_there_after_a_kill() {
    let mut facteur = Setup::new().with_alice_and_bob().start();
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    for _ in 0..5 {
        assert_eq!(smtp.send(ALICE, &[ALICE, BOB], MESSAGE).code, 250);
    }
    facteur.kill();
    facteur.restart();
    for (user, password) in [(ALICE, "alice-password"), (BOB, "bob-password")] {
        let status = facteur.imap(user, password).must("STATUS INBOX (MESSAGES)");
        assert!(status.untagged[0].contains("MESSAGES 5"), "{status:?}");
    }
}

#[test]
fn every_protocol_greets_and_starts_tls() {
    let facteur = Setup::new().with_alice_and_bob().start();
    let certificate = facteur.certificate();
    let mut smtp = Smtp::connect_tls(facteur.address("submissions"), &certificate);
    assert_eq!(smtp.greeting.code, 220);
    smtp.expect("QUIT", 221);
    let pop3 = Pop3::connect_tls(facteur.address("pop3s"), &certificate);
    assert!(pop3.greeting.starts_with("+OK"), "{}", pop3.greeting);
    let mut imap = Imap::connect(facteur.address("imap")).starttls(&certificate);
    imap.login(ALICE, "alice-password");
    let mut sieve = facteur_tests::Connection::plain(facteur.address("managesieve"));
    while !sieve.line().starts_with("OK") {}
    sieve.send_line("STARTTLS");
    assert!(sieve.line().starts_with("OK"));
    let mut sieve = sieve.into_tls(&certificate);
    while !sieve.line().starts_with("OK") {}
}
