//! LMTP.

use facteur_runtime::Protocol;

use crate::world::World;

const MESSAGE: &str = "From: x@else.example\r\nSubject: hello\r\n\r\nbody\r\n.\r\n";

async fn envelope(client: &mut crate::world::Client, to: &[&str]) {
    client.say("LHLO client.example", "250").await;
    client.say("MAIL FROM:<x@else.example>", "250").await;
    for to in to {
        client.say(&format!("RCPT TO:<{to}>"), "250").await;
    }
    client.say("DATA", "354").await;
    client.send(MESSAGE).await;
}

#[tokio::test]
async fn each_recipient_has_a_reply_and_a_copy() {
    let world = World::new();
    let mut client = world.connect(Protocol::Lmtp).await;
    envelope(
        &mut client,
        &[
            "alice@here.example",
            "bob@here.example",
            "alice@here.example",
        ],
    )
    .await;
    for _ in 0..3 {
        assert!(client.reply().await.starts_with("250 2.0.0"));
    }
    assert_eq!(world.messages("alice", "INBOX").len(), 1);
    assert_eq!(world.messages("bob", "INBOX").len(), 1);
    client.say("QUIT", "221").await;
    client.end().await;
}

#[tokio::test]
async fn nothing_is_relayed_even_from_known_networks() {
    let world = World::new();
    let mut client = world.connect_from(Protocol::Lmtp, "127.0.0.1:4242").await;
    client.say("LHLO c", "250").await;
    client.say("MAIL FROM:<>", "250").await;
    client.say("RCPT TO:<y@else.example>", "554 5.7.1").await;
    client.say("RCPT TO:<no@here.example>", "550 5.1.1").await;
    client.say("DATA", "503 5.5.1").await;
}

#[tokio::test]
async fn script_that_rejects_is_told_per_recipient() {
    let world = World::new();
    world.script("bob", "require \"reject\"; reject \"not here\";");
    let mut client = world.connect(Protocol::Lmtp).await;
    envelope(&mut client, &["alice@here.example", "bob@here.example"]).await;
    assert!(client.reply().await.starts_with("250 2.0.0"));
    assert_eq!(client.reply().await, "550 5.7.1 not here");
    assert!(world.spooled().is_empty());
}

#[tokio::test]
async fn smtp_rejects_only_when_all_do_and_else_notifies_the_sender() {
    let world = World::new();
    world.script("bob", "require \"reject\"; reject \"not here\";");
    let mut client = world.connect(Protocol::Smtp).await;
    client.begin("x@else.example", &["bob@here.example"]).await;
    client
        .data("Subject: one\r\n\r\nx", "550 5.7.1 not here")
        .await;
    assert!(world.spooled().is_empty());
    client
        .begin(
            "x@else.example",
            &["alice@here.example", "bob@here.example"],
        )
        .await;
    client.data("Subject: two\r\n\r\nx", "250").await;
    assert_eq!(world.messages("alice", "INBOX").len(), 1);
    let spooled = world.spooled();
    assert_eq!(spooled.len(), 1);
    let (notice, body) = &spooled[0];
    assert_eq!(notice.reverse_path, "");
    assert_eq!(notice.recipients[0].forward_path, "x@else.example");
    assert!(
        body.contains("not here") && body.contains("Subject: two"),
        "{body}"
    );
    client
        .begin("", &["alice@here.example", "bob@here.example"])
        .await;
    client.data("Subject: three\r\n\r\nx", "250").await;
    assert_eq!(world.spooled().len(), 1, "no notice answers a notice");
}
