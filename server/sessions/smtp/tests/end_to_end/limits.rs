//! Clients that are slow, rude, or gone; a server that stops.

use std::time::Duration;

use facteur_runtime::Protocol;
use tokio::io::AsyncWriteExt as _;

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn silent_client_is_told_and_closed() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    assert!(client.reply().await.starts_with("421 4.4.2"));
    client.end().await;
}

#[tokio::test(start_paused = true)]
async fn client_that_sends_an_octet_a_minute_is_closed_too() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    for _ in 0..6 {
        let _ = client.stream.write_all(b"x").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(client.reply().await.starts_with("421 4.4.2"));
}

#[tokio::test]
async fn half_closed_client_gets_its_replies() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    client.send("EHLO c\r\nNOOP\r\n").await;
    client.stream.shutdown().await.unwrap();
    assert!(client.reply().await.starts_with("250-mx"));
    assert!(client.reply().await.starts_with("250 2.0.0"));
    client.end().await;
}

#[tokio::test]
async fn message_cut_off_in_the_middle_is_not_delivered() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    client.begin("", &["alice@here.example"]).await;
    client.say("DATA", "354").await;
    client.send("Subject: x\r\n\r\nhalf\r\n.\r").await;
    client.stream.shutdown().await.unwrap();
    client.end().await;
    assert!(world.messages("alice", "INBOX").is_empty());
}

#[tokio::test]
async fn million_recipients_end_the_connection() {
    let mut world = World::new();
    world.options.smtpd_recipient_limit = 10;
    world.options.smtpd_error_sleep_time = Duration::ZERO;
    let mut client = world.connect_from(Protocol::Smtp, "127.0.0.1:4242").await;
    client.say("EHLO c", "250").await;
    client.say("MAIL FROM:<>", "250").await;
    let (mut read, mut write) = client.stream.into_split();
    let flood = tokio::spawn(async move {
        let line = "RCPT TO:<x@else.example>\r\n".repeat(1000);
        for _ in 0..1000 {
            if write.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let mut replies = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut replies).await;
    drop(read);
    flood.await.unwrap();
    client.task.await.unwrap();
    let replies = String::from_utf8(replies).unwrap();
    assert_eq!(replies.matches("250 2.1.5").count(), 10);
    assert!(replies.matches("452 4.5.3").count() <= 1020);
    assert!(replies.ends_with("421 4.7.0 Too many errors, closing connection\r\n"));
}

#[tokio::test]
async fn drain_lets_a_transaction_end_and_then_says_421() {
    let world = World::new();
    let mut idle = world.connect(Protocol::Smtp).await;
    let mut busy = world.connect(Protocol::Smtp).await;
    busy.begin("", &["alice@here.example"]).await;
    world.token.cancel();
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    idle.end().await;
    busy.data("Subject: x\r\n\r\nx", "250").await;
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    assert_eq!(world.messages("alice", "INBOX").len(), 1);
}
