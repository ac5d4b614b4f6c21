//! What one server of a domain puts off, another may take in the same attempt.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use facteur_queue::TlsPolicy;
use facteur_spool::{Entry, RecipientState, Status};

use crate::{
    dns::Dns,
    peer::{Manner, Peer},
    routes::asking,
    world::{GRACE, World},
};

/// The servers of `far.test`, best first.
async fn servers<const N: usize>(manners: [Manner; N]) -> (Vec<Peer>, Dns) {
    let (mut peers, mut records, mut port) = (Vec::new(), Vec::new(), 0);
    for (n, manner) in manners.into_iter().enumerate() {
        let peer = Peer::at(&format!("127.0.0.{}:{port}", n + 2), manner).await;
        port = peer.address.port();
        peers.push(peer);
        records.push(format!("far.test MX {n} mx{n}.test"));
        records.push(format!("mx{n}.test A 127.0.0.{}", n + 2));
    }
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    (peers, Dns::start(&records).await)
}

fn answering(start: &'static str, answer: &'static str) -> Manner {
    Manner::scripted(move |line| line.starts_with(start).then(|| answer.to_owned()))
}

fn delay(entries: &[Entry]) -> &Status {
    match &entries[0].recipients[0].state {
        RecipientState::Pending { last: Some(status) } => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn recipient_put_off_by_one_server_is_offered_to_the_next_at_once() {
    let (mut peers, dns) = servers([
        answering("RCPT TO:<c@", "451 4.3.0 not now\r\n"),
        Manner::default(),
    ])
    .await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, peers[0].address.port()));
    world.send(&["b@far.test", "c@far.test"]);
    assert_eq!(peers[0].next().await.rcpts, ["RCPT TO:<b@far.test>"]);
    assert_eq!(peers[1].next().await.rcpts, ["RCPT TO:<c@far.test>"]);
    world.until(|spooled| spooled.is_empty()).await;
    // The next message begins with the best one again.
    world.send(&["d@far.test"]);
    peers[0].next().await;
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn message_put_off_at_any_stage_is_offered_to_the_next_server_at_once() {
    for stage in ["MAIL", "DATA", "."] {
        let (mut peers, dns) =
            servers([answering(stage, "451 4.3.0 not now\r\n"), Manner::default()]).await;
        let mut world = World::new();
        let queue = world.queue(asking(&world, &dns, peers[0].address.port()));
        world.send(&["b@far.test"]);
        assert_eq!(peers[1].next().await.rcpts, ["RCPT TO:<b@far.test>"]);
        queue.stop(GRACE).await;
        assert_eq!(world.spooled(), [], "{stage}");
    }
}

#[tokio::test]
async fn refusal_by_the_best_server_is_final() {
    let (mut peers, dns) =
        servers([answering("RCPT", "550 5.1.1 nobody\r\n"), Manner::default()]).await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, peers[0].address.port()));
    let mut entry = world.entry(&["b@far.test"], "x: y\r\n\r\n");
    entry.reverse_path = "alice@here.test".into();
    world.commit(&entry, "x: y\r\n\r\n");
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    assert_eq!(world.inbox().len(), 1);
    assert!(peers[1].received.try_recv().is_err());
}

#[tokio::test]
async fn no_third_server_is_asked_in_one_attempt() {
    let busy = || answering("MAIL", "451 4.3.0 not now\r\n");
    let (mut peers, dns) = servers([busy(), busy(), Manner::default()]).await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, peers[0].address.port()));
    world.send(&["b@far.test"]);
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    assert_eq!(delay(&waiting).text, "451 4.3.0 not now");
    queue.stop(GRACE).await;
    assert!(peers[2].received.try_recv().is_err());
}

#[tokio::test]
async fn message_that_may_have_been_taken_is_not_offered_to_the_next_server() {
    let (mut peers, dns) = servers([answering(".", "HANGUP"), Manner::default()]).await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, peers[0].address.port()));
    world.send(&["b@far.test"]);
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    assert_eq!(delay(&waiting).enhanced, "4.4.2");
    queue.stop(GRACE).await;
    assert!(peers[1].received.try_recv().is_err());
}

#[tokio::test]
async fn used_connection_that_takes_no_more_messages_is_replaced_at_once() {
    let (mails, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let manner = Manner::scripted(move |line| {
        if line.starts_with("MAIL") && mails.fetch_add(1, Ordering::SeqCst) == 1 {
            ended.store(true, Ordering::SeqCst);
            return Some("421 4.7.0 too many messages\r\n".to_owned());
        }
        ended
            .swap(false, Ordering::SeqCst)
            .then(|| "HANGUP".to_owned())
    });
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let mut options = world.relaying_to(&peer);
    options.destination_concurrency_limit = 1;
    let queue = world.queue(options);
    world.send(&["b@far.test"]);
    assert_eq!(peer.next().await.connection, 0);
    world.send(&["c@far.test"]);
    let again = peer.next().await;
    assert_eq!((again.connection, again.rcpts.len()), (1, 1));
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn encrypt_does_not_connect_again_in_clear_after_a_failed_handshake() {
    let manner = Manner {
        ehlo: "250-peer\r\n250 STARTTLS\r\n",
        ..Manner::default()
    };
    let (mut world, peer) = (World::new(), Peer::start(manner).await);
    let mut options = world.relaying_to(&peer);
    options.tls = TlsPolicy::Encrypt;
    let queue = world.queue(options);
    world.send(&["b@far.test"]);
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    assert_eq!(delay(&waiting).enhanced, "4.7.5");
    queue.stop(GRACE).await;
}
