//! Submission.

use facteur_runtime::Protocol;

use crate::world::{Client, World};

const LOOPBACK: &str = "127.0.0.1:4242";

/// Logged in as alice.
async fn login(world: &World) -> Client {
    let mut client = world.connect_from(Protocol::Submission, LOOPBACK).await;
    client.say("EHLO [127.0.0.1]", "250").await;
    // \0alice@here.example\0secret
    client
        .say(
            "AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ=",
            "235 2.7.0",
        )
        .await;
    client
}

#[tokio::test]
async fn mail_needs_auth_and_auth_needs_tls_or_loopback() {
    let world = World::new();
    let mut client = world.connect_from(Protocol::Submission, LOOPBACK).await;
    let capabilities = client.say("EHLO c", "250").await;
    assert!(capabilities.contains("AUTH PLAIN LOGIN"));
    client
        .say("MAIL FROM:<alice@here.example>", "530 5.7.0")
        .await;
    let mut stranger = world.connect(Protocol::Submission).await;
    let capabilities = stranger.say("EHLO c", "250").await;
    assert!(!capabilities.contains("AUTH"));
    stranger
        .say("AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ=", "502")
        .await;
}

#[tokio::test]
async fn login_mechanism_asks_for_name_and_password() {
    let world = World::new();
    let mut client = world.connect_from(Protocol::Submission, LOOPBACK).await;
    client.say("EHLO c", "250").await;
    client.say("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    client
        .say("YWxpY2VAaGVyZS5leGFtcGxl", "334 UGFzc3dvcmQ6")
        .await;
    client.say("c2VjcmV0", "235 2.7.0").await;
    client.say("AUTH LOGIN", "503").await;
}

#[tokio::test]
async fn failed_exchanges_say_what_failed() {
    let world = World::new();
    let mut client = world.connect_from(Protocol::Submission, LOOPBACK).await;
    client.say("EHLO c", "250").await;
    client.say("AUTH CRAM-MD5", "504 5.5.4").await;
    client.say("AUTH PLAIN !!!", "501 5.5.2").await;
    client.say("AUTH LOGIN", "334").await;
    client.say("*", "501 5.7.0").await;
    world.directory_goes_down();
    client
        .say(
            "AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ=",
            "454 4.7.0",
        )
        .await;
}

#[tokio::test]
async fn sender_must_belong_to_the_account() {
    let world = World::new();
    let mut client = login(&world).await;
    client.say("MAIL FROM:<bob@here.example>", "250").await;
    client.say("RCPT TO:<x@else.example>", "553 5.7.1").await;
    client.say("RSET", "250").await;
    client.say("MAIL FROM:<sales@here.example>", "250").await;
    client.say("RCPT TO:<x@else.example>", "250").await;
    client.say("RSET", "250").await;
    client
        .say("MAIL FROM:<alice+tag@here.example>", "250")
        .await;
    client.say("RCPT TO:<x@else.example>", "250").await;
}

#[tokio::test]
async fn missing_headers_are_added_and_bcc_goes() {
    let mut world = World::new();
    world.intake.smtpd_sasl_authenticated_header = true;
    let mut client = login(&world).await;
    client.say("MAIL FROM:<alice@here.example>", "250").await;
    client.say("RCPT TO:<x@else.example>", "250").await;
    client.say("RCPT TO:<bob@here.example>", "250").await;
    client
        .data(
            "Subject: s\r\nBcc: bob@here.example,\r\n q@w.example\r\nTo: x\r\n\r\nBcc: stays",
            "250",
        )
        .await;
    let (entry, body) = world.spooled().remove(0);
    assert_eq!(body, "Subject: s\r\nTo: x\r\n\r\nBcc: stays\r\n");
    assert!(entry.prefix.contains("\r\nDate: "));
    assert!(entry.prefix.contains(&format!(
        "\r\nMessage-ID: <{}@mx.here.example>\r\n",
        entry.queue_id
    )));
    assert!(
        entry
            .prefix
            .contains("(Authenticated sender: alice@here.example)")
    );
    assert!(entry.prefix.contains("with ESMTPA id"));
    assert_eq!(
        entry.origin.authenticated.as_deref(),
        Some("alice@here.example")
    );
    let copy = world.messages("bob", "INBOX").remove(0);
    assert!(copy.contains("Message-ID: <") && !copy.contains("q@w.example"));
    client.say("MAIL FROM:<alice@here.example>", "250").await;
    client.say("RCPT TO:<bob@here.example>", "250").await;
    client
        .data("Date: d\r\nMessage-ID: <m>\r\n\r\nx", "250")
        .await;
    let copy = world.messages("bob", "INBOX").remove(1);
    assert_eq!(copy.matches("Date: ").count(), 1);
    assert_eq!(copy.matches("Message-ID: ").count(), 1);
}
