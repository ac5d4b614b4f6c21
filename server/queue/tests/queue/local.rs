//! Recipients that are here.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use facteur_spool::{Destination, RecipientState};

use crate::{
    peer::{Manner, Peer},
    world::{GRACE, MESSAGE, START, World, address},
};

#[tokio::test]
async fn local_recipient_that_waited_is_delivered_once() {
    let mut world = World::new();
    let mut entry = world.entry(&["alice@here.test"], MESSAGE);
    entry.recipients[0].destination = Destination::Account { detail: None };
    world.commit(&entry, MESSAGE);
    let queue = world.queue(world.options());
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    // As after a crash before the entry was removed: the copy is recognised.
    world.commit(&entry, MESSAGE);
    let queue = world.queue(world.options());
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    let inbox = world.inbox();
    assert_eq!(inbox.len(), 1);
    assert!(
        inbox[0].ends_with(MESSAGE) && inbox[0].contains("Received: by here\r\n"),
        "{inbox:?}"
    );
}

#[tokio::test]
async fn alias_leads_to_an_account_and_elsewhere_once_each() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let team = vec!["alice@here.test".to_owned(), "b@far.test".to_owned()];
    world
        .directory
        .aliases
        .insert(address("team@here.test"), team);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["team@here.test"]);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<b@far.test>"]);
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    assert_eq!(world.inbox().len(), 1);
}

#[tokio::test]
async fn alias_is_resolved_once_and_not_again_with_each_attempt() {
    let manner =
        Manner::scripted(|line| line.starts_with("RCPT").then(|| "450 later\r\n".to_owned()));
    let (mut world, peer) = (World::new(), Peer::start(manner).await);
    let alice = vec!["alice@here.test".to_owned(), "b@far.test".to_owned()];
    world
        .directory
        .aliases
        .insert(address("alice@here.test"), alice);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["alice@here.test"]);
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    assert_eq!(waiting[0].recipients.len(), 1);
    assert_eq!(waiting[0].recipients[0].destination, Destination::Remote);
    world.clock.set(START + 300);
    world.until(|spooled| spooled[0].attempts == 2).await;
    queue.stop(GRACE).await;
    assert_eq!(world.inbox().len(), 1);
}

#[tokio::test]
async fn directory_that_is_down_delays_and_never_refuses() {
    let mut world = World::new();
    world.directory.down = true;
    let queue = world.queue(world.options());
    world.send(&["alice@here.test"]);
    let waiting = world.until(|spooled| spooled[0].attempts == 1).await;
    let RecipientState::Pending { last: Some(status) } = &waiting[0].recipients[0].state else {
        panic!("{waiting:?}")
    };
    assert_eq!(status.enhanced, "4.3.0");
    queue.stop(GRACE).await;
    world.directory.down = false;
    world.clock.set(START + 300);
    let queue = world.queue(world.options());
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    assert_eq!(world.inbox().len(), 1);
}

#[tokio::test]
async fn refusal_does_not_undo_what_a_script_before_it_filed() {
    let mut world = World::new();
    let before = world.dir.path().join("before.sieve");
    let copy = "require [\"fileinto\", \"copy\"]; fileinto :copy \"INBOX\";";
    std::fs::write(&before, copy).unwrap();
    world.delivery.sieve.before = vec![before];
    let alice = world.alice();
    alice
        .put_script("main", b"require \"reject\"; reject \"no thanks\";")
        .unwrap();
    alice.set_active_script(Some("main")).unwrap();
    let peer = Peer::start(Manner::default()).await;
    let mut options = world.relaying_to(&peer);
    options.double_bounce_recipient = None;
    let queue = world.queue(options);
    world.send(&["alice@here.test"]);
    let mut peer = peer;
    let notice = peer.next().await;
    assert!(notice.data.contains("no thanks"), "{}", notice.data);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
    assert_eq!(world.inbox().len(), 1);
}

/// What is logged, by every test of this program.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn delivery_from_the_queue_writes_a_save_line() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let mut world = World::new();
    let queue = world.queue(world.options());
    let id = world.send(&["alice@here.test"]);
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let save = log
        .lines()
        .find(|line| line.contains("mail_log") && line.contains(&format!("queue_id={id}")));
    let save = save.unwrap_or_else(|| panic!("{log}"));
    for field in [
        "user=\"alice@here.test\"",
        "event=\"save\"",
        "mailbox=INBOX",
        "uid=1",
    ] {
        assert!(save.contains(field), "{field}: {save}");
    }
}
