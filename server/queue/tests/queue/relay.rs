//! Messages to other servers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use facteur_queue::{NextHop, TlsPolicy};
use facteur_spool::RecipientState;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{
    peer::{Manner, Peer},
    world::{GRACE, MESSAGE, START, World},
};

#[tokio::test]
async fn message_is_relayed_with_its_prefix_and_struck_off() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["b@far.test", "c@far.test"]);
    let received = peer.next().await;
    assert_eq!(
        received.mail,
        format!("MAIL FROM:<sender@there.test> SIZE={}", MESSAGE.len() + 19)
    );
    assert_eq!(
        received.rcpts,
        ["RCPT TO:<b@far.test>", "RCPT TO:<c@far.test>"]
    );
    assert_eq!(
        received.data,
        format!(
            "Received: by here\r\n{}",
            MESSAGE.replace("\r\n.", "\r\n..")
        )
    );
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn entries_that_waited_at_the_start_are_relayed() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    world.send(&["b@far.test"]);
    world.send(&["c@far.test"]);
    let queue = world.queue(world.relaying_to(&peer));
    let mut rcpts = [peer.next().await.rcpts, peer.next().await.rcpts].concat();
    rcpts.sort();
    assert_eq!(rcpts, ["RCPT TO:<b@far.test>", "RCPT TO:<c@far.test>"]);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn connection_is_used_again_for_the_next_message() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let mut options = world.relaying_to(&peer);
    options.destination_concurrency_limit = 1;
    let queue = world.queue(options);
    for _ in 0..5 {
        world.send(&["b@far.test"]);
        assert_eq!(peer.next().await.connection, 0);
    }
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn many_messages_take_no_more_connections_than_allowed() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let mut options = world.relaying_to(&peer);
    options.destination_concurrency_limit = 3;
    options.message_active_limit = 10;
    let queue = world.queue(options);
    for _ in 0..60 {
        world.send(&["b@far.test"]);
    }
    let mut connections = std::collections::HashSet::new();
    for _ in 0..60 {
        connections.insert(peer.next().await.connection);
    }
    assert!((1..=3).contains(&connections.len()), "{connections:?}");
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn connection_closed_while_idle_is_replaced_and_nothing_is_lost() {
    let (closed, peer_closed) = tokio::sync::watch::channel(0);
    let manner = Manner::scripted(move |line| {
        if line == "." {
            closed.send_modify(|n| *n += 1);
        }
        // Taken, and then it hangs up on the next MAIL of the same connection.
        None
    });
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let mut options = world.relaying_to(&peer);
    options.destination_concurrency_limit = 1;
    let queue = world.queue(options);
    world.send(&["b@far.test"]);
    peer.next().await;
    assert_eq!(*peer_closed.borrow(), 1);
    drop(peer_closed);
    world.send(&["c@far.test"]);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<c@far.test>"]);
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn reused_connection_that_dies_at_mail_is_tried_once_more() {
    let mails = Arc::new(AtomicUsize::new(0));
    let manner = Manner::scripted(move |line| {
        let second = line.starts_with("MAIL") && mails.fetch_add(1, Ordering::SeqCst) == 1;
        second.then(|| "HANGUP".to_owned())
    });
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let mut options = world.relaying_to(&peer);
    options.destination_concurrency_limit = 1;
    let queue = world.queue(options);
    world.send(&["b@far.test"]);
    assert_eq!(peer.next().await.connection, 0);
    world.send(&["c@far.test"]);
    assert_eq!(peer.next().await.connection, 1);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn delayed_recipient_is_tried_again_when_its_time_has_come() {
    let rcpts = Arc::new(AtomicUsize::new(0));
    let manner = Manner::scripted(move |line| {
        let first = line.contains("c@far.test") && rcpts.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| "450 4.2.1 greylisted\r\n".to_owned())
    });
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["b@far.test", "c@far.test"]);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<b@far.test>"]);
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    assert_eq!(waiting[0].next_attempt_at, START + 300);
    let left = &waiting[0].recipients;
    assert_eq!(left.len(), 1);
    let RecipientState::Pending { last: Some(status) } = &left[0].state else {
        panic!("{left:?}")
    };
    assert_eq!(
        (status.enhanced.as_str(), status.text.as_str()),
        ("4.2.1", "450 4.2.1 greylisted")
    );
    world.clock.set(START + 300);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<c@far.test>"]);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn connection_lost_after_the_final_dot_is_delayed() {
    let manner = Manner::scripted(|line| (line == ".").then(|| "HANGUP".to_owned()));
    let (mut world, peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["b@far.test"]);
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    let RecipientState::Pending { last: Some(status) } = &waiting[0].recipients[0].state else {
        panic!("{waiting:?}")
    };
    assert_eq!(status.enhanced, "4.4.2");
    assert!(
        status.text.ends_with("while sending end of data"),
        "{}",
        status.text
    );
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn dead_server_delays_everything_that_waits_for_it() {
    let mut world = World::new();
    let mut options = world.options();
    // Nothing listens there: the port was just given back.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    options.relayhost = Some(format!("[127.0.0.1]:{port}").parse().unwrap());
    let queue = world.queue(options);
    for _ in 0..10 {
        world.send(&["b@far.test"]);
    }
    let waiting = world
        .until(|spooled| spooled.iter().all(|e| e.attempts == 1))
        .await;
    assert_eq!(waiting.len(), 10);
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn held_entry_stays_until_it_is_released() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let mut held = world.entry(&["b@far.test"], MESSAGE);
    held.held = true;
    world.commit(&held, MESSAGE);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["c@far.test"]);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<c@far.test>"]);
    queue.hold(&held.queue_id, false).unwrap();
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<b@far.test>"]);
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn flush_tries_at_once_what_waits_for_later() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let mut later = world.entry(&["b@far.test"], MESSAGE);
    later.next_attempt_at = START + 1000;
    world.commit(&later, MESSAGE);
    let queue = world.queue(world.relaying_to(&peer));
    queue.flush(&later.queue_id).unwrap();
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<b@far.test>"]);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn large_message_streams_through() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let queue = world.queue(world.relaying_to(&peer));
    let body = format!(
        "Subject: big\r\n\r\n{}",
        "0123456789abcdef\r\n".repeat(40_000)
    );
    world.commit(&world.entry(&["b@far.test"], &body), &body);
    assert_eq!(
        peer.next().await.data,
        format!("Received: by here\r\n{body}")
    );
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn recipients_beyond_the_limit_go_in_another_transaction() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let mut options = world.relaying_to(&peer);
    options.destination_recipient_limit = 2;
    let queue = world.queue(options);
    world.send(&["b@far.test", "c@far.test", "d@far.test"]);
    let mut counts = [peer.next().await.rcpts.len(), peer.next().await.rcpts.len()];
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn lmtp_next_hop_answers_for_each_recipient() {
    let finals = Arc::new(AtomicUsize::new(0));
    let script = move |line: &str| {
        let second = line == "." && finals.fetch_add(1, Ordering::SeqCst) == 1;
        second.then(|| "452 4.2.2 full\r\n".to_owned())
    };
    let manner = Manner {
        lmtp: true,
        ..Manner::scripted(script)
    };
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let mut options = world.options();
    let hop = NextHop::parse_transport(&format!("lmtp:inet:{}", peer.next_hop())).unwrap();
    options.transports = vec![("far.test".parse().unwrap(), hop)];
    let queue = world.queue(options);
    world.send(&["b@far.test", "c@far.test"]);
    peer.next().await;
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    let left: Vec<_> = waiting[0]
        .recipients
        .iter()
        .map(|r| r.forward_path.as_str())
        .collect();
    assert_eq!(left, ["c@far.test"]);
    queue.stop(GRACE).await;
}

fn acceptor() -> TlsAcceptor {
    let key = rcgen::generate_simple_self_signed(["peer.test".to_owned()]).unwrap();
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], der)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn starttls_is_used_where_it_is_offered_whatever_the_certificate() {
    let manner = Manner {
        tls: Some(acceptor()),
        ..Manner::default()
    };
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["b@far.test"]);
    let received = peer.next().await;
    assert!(received.tls);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn failed_handshake_is_followed_by_a_connection_in_clear() {
    // It says that it goes ahead, and hangs up.
    let manner = Manner {
        ehlo: "250-peer\r\n250 STARTTLS\r\n",
        ..Manner::default()
    };
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["b@far.test"]);
    let received = peer.next().await;
    assert!(!received.tls && received.connection == 1);
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn encrypt_never_sends_in_clear() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let mut options = world.relaying_to(&peer);
    options.tls = TlsPolicy::Encrypt;
    let queue = world.queue(options);
    world.send(&["b@far.test"]);
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    let RecipientState::Pending { last: Some(status) } = &waiting[0].recipients[0].state else {
        panic!("{waiting:?}")
    };
    assert_eq!(status.enhanced, "4.7.4");
    queue.stop(GRACE).await;
    assert!(peer.received.try_recv().is_err());
}
