//! Servers that are slow, few of connections, or dead: nobody else waits for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use facteur_queue::{NextHop, Options, Pattern};

use crate::{
    peer::{Manner, Peer},
    world::{GRACE, World},
};

/// A server that lets everyone connect and never says a word.
struct Silent(std::net::TcpListener);

impl Silent {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// Whether somebody connected, who is then hung up on.
    fn was_called(&self) -> bool {
        self.0.accept().is_ok()
    }

    /// Makes it the server of a domain.
    fn serve(&self, domain: &str, options: &mut Options) {
        let port = self.0.local_addr().unwrap().port();
        let hop = NextHop::parse_transport(&format!("smtp:[127.0.0.1]:{port}")).unwrap();
        let silent: Pattern = domain.parse().unwrap();
        options.transports.push((silent, hop));
    }
}

#[tokio::test]
async fn server_that_takes_one_connection_gets_everything_through_it() {
    let greetings = AtomicUsize::new(0);
    let manner = Manner::scripted(move |line| {
        let more = line == "GREETING" && greetings.fetch_add(1, Ordering::SeqCst) > 0;
        more.then(|| "421 4.7.0 too many connections\r\n".to_owned())
    });
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    for _ in 0..40 {
        world.send(&["b@far.test"]);
    }
    for _ in 0..40 {
        assert_eq!(peer.next().await.connection, 0);
    }
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn silent_server_with_a_long_backlog_holds_nobody_else_up() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let silent = Silent::start();
    let mut options = world.relaying_to(&peer);
    silent.serve("silent.test", &mut options);
    options.message_active_limit = 16;
    options.destination_concurrency_limit = 2;
    let queue = world.queue(options);
    for _ in 0..100 {
        world.send(&["b@silent.test"]);
    }
    for _ in 0..5 {
        world.send(&["c@far.test"]);
        assert_eq!(peer.next().await.rcpts, ["RCPT TO:<c@far.test>"]);
    }
    drop(silent);
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn recipient_who_has_it_is_struck_off_while_another_server_is_waited_for() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let silent = Silent::start();
    let mut options = world.relaying_to(&peer);
    silent.serve("silent.test", &mut options);
    let queue = world.queue(options);
    world.send(&["b@silent.test", "c@far.test"]);
    peer.next().await;
    let waiting = world
        .until(|spooled| spooled[0].recipients.len() == 1)
        .await;
    assert_eq!(waiting[0].recipients[0].forward_path, "b@silent.test");
    assert_eq!(waiting[0].attempts, 0);
    drop(silent);
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn fresh_message_does_not_wait_behind_a_backlog_for_many_silent_servers() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let mut options = world.relaying_to(&peer);
    options.message_active_limit = 8;
    let mut silent = Vec::new();
    for n in 0..20 {
        let (server, domain) = (Silent::start(), format!("silent{n}.test"));
        server.serve(&domain, &mut options);
        world.send(&[&format!("b@{domain}")]);
        silent.push(server);
    }
    let queue = world.queue(options);
    // It has begun with the backlog.
    while !silent.iter().any(Silent::was_called) {
        tokio::task::yield_now().await;
    }
    world.send(&["c@far.test"]);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<c@far.test>"]);
    drop(silent);
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn stop_does_not_wait_for_a_server_that_is_silent() {
    let mut world = World::new();
    let (silent, mut options) = (Silent::start(), world.options());
    silent.serve("silent.test", &mut options);
    let queue = world.queue(options);
    world.send(&["b@silent.test"]);
    let connection = loop {
        if let Ok((connection, _)) = silent.0.accept() {
            break connection;
        }
        tokio::task::yield_now().await;
    };
    let stopping = queue.stop(GRACE);
    let stopped = tokio::time::timeout(GRACE / 2, stopping).await;
    assert!(stopped.is_ok());
    drop(connection);
    assert_eq!(world.spooled()[0].attempts, 0);
}
