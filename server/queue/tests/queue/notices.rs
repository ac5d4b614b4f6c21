//! What senders are told.

use facteur_spool::Entry;

use crate::{
    peer::{Manner, Peer},
    world::{GRACE, MESSAGE, START, World, address},
};

fn from_alice(world: &World, recipients: &[&str]) -> Entry {
    let mut entry = world.entry(recipients, MESSAGE);
    entry.reverse_path = "alice@here.test".to_owned();
    entry
}

fn refusing(who: &'static str, answer: &'static str) -> Manner {
    Manner::scripted(move |line| {
        (line.starts_with("RCPT") && line.contains(who)).then(|| answer.to_owned())
    })
}

#[tokio::test]
async fn refused_recipient_is_returned_to_a_local_sender_and_the_others_are_relayed() {
    let manner = refusing("c@", "550 5.1.1 no such user\r\n");
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.commit(&from_alice(&world, &["b@far.test", "c@far.test"]), MESSAGE);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<b@far.test>"]);
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    let inbox = world.inbox();
    assert_eq!(inbox.len(), 1);
    for text in [
        "From: Mail Delivery System <MAILER-DAEMON@mail.here.test>\r\n",
        "To: <alice@here.test>\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "Final-Recipient: rfc822; c@far.test\r\n",
        "Action: failed\r\nStatus: 5.1.1\r\n",
        "Remote-MTA: dns; 127.0.0.1\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
        "Content-Type: message/rfc822\r\n",
        "Subject: hello\r\n",
    ] {
        assert!(inbox[0].contains(text), "{text:?} is missing: {}", inbox[0]);
    }
    assert!(!inbox[0].contains("b@far.test"));
}

#[tokio::test]
async fn notice_to_a_sender_elsewhere_has_the_null_reverse_path() {
    let manner = refusing("c@", "550 5.1.1 no such user\r\n");
    let (mut world, mut peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["c@far.test"]);
    let notice = peer.next().await;
    assert!(notice.mail.starts_with("MAIL FROM:<> "), "{}", notice.mail);
    assert_eq!(notice.rcpts, ["RCPT TO:<sender@there.test>"]);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn notice_is_never_answered() {
    let manner = refusing("@", "550 5.1.1 nobody is here\r\n");
    let (mut world, peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.send(&["c@far.test"]);
    // The message, then the notice about it, which is refused as well; and that is the end.
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn undeliverable_notice_goes_to_who_looks_after_them() {
    let manner = refusing("@", "550 5.1.1 nobody is here\r\n");
    let (mut world, peer) = (World::new(), Peer::start(manner).await);
    let mut options = world.relaying_to(&peer);
    options.double_bounce_recipient = Some(address("alice@here.test"));
    let queue = world.queue(options);
    let mut notice = world.entry(&["c@far.test"], MESSAGE);
    notice.reverse_path = String::new();
    world.commit(&notice, MESSAGE);
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    assert_eq!(world.inbox().len(), 1);
}

#[tokio::test]
async fn message_tried_for_its_lifetime_is_returned_with_the_last_reason() {
    let manner = refusing("c@", "451 4.7.1 come back later\r\n");
    let (mut world, peer) = (World::new(), Peer::start(manner).await);
    let queue = world.queue(world.relaying_to(&peer));
    world.commit(&from_alice(&world, &["c@far.test"]), MESSAGE);
    let mut attempts = 0;
    while world.inbox().is_empty() {
        let waiting = world
            .until(|spooled| {
                spooled
                    .first()
                    .is_none_or(|entry| entry.attempts > attempts)
            })
            .await;
        let Some(entry) = waiting.first().filter(|e| !e.reverse_path.is_empty()) else {
            world.until(|spooled| spooled.is_empty()).await;
            continue;
        };
        attempts = entry.attempts;
        world.clock.set(entry.next_attempt_at);
    }
    queue.stop(GRACE).await;
    // 300, 600, 1200, 2400, 4800 s, then every 4000 s for five days.
    assert_eq!(attempts, 112);
    assert!(world.inbox()[0].contains("Diagnostic-Code: smtp; 451 4.7.1 come back later\r\n"));
}

#[tokio::test]
async fn late_message_is_announced_once_and_goes_on_being_tried() {
    let manner = refusing("c@", "451 4.7.1 come back later\r\n");
    let (mut world, peer) = (World::new(), Peer::start(manner).await);
    let mut options = world.relaying_to(&peer);
    options.delay_warning_time = 600;
    let queue = world.queue(options);
    world.commit(&from_alice(&world, &["c@far.test"]), MESSAGE);
    for (at, attempts) in [
        (START + 300, 1),
        (START + 600, 2),
        (START + 1200, 3),
        (START + 2400, 4),
    ] {
        world
            .until(|spooled| spooled.len() == 1 && spooled[0].attempts == attempts)
            .await;
        world.clock.set(at);
    }
    world
        .until(|spooled| spooled.len() == 1 && spooled[0].attempts == 5)
        .await;
    queue.stop(GRACE).await;
    let inbox = world.inbox();
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].contains("Subject: Your message is delayed\r\n"));
    assert!(inbox[0].contains("Action: delayed\r\n") && inbox[0].contains("Will-Retry-Until:"));
}

#[tokio::test]
async fn script_that_rejects_is_quoted_in_the_notice() {
    let mut world = World::new();
    let spec = facteur_model::AccountSpec {
        id: facteur_model::AccountId::new("alice@here.test"),
        home: world.dir.path().join("alice"),
        format: facteur_model::MailFormat::Sdbox,
        quota: facteur_model::QuotaLimits::default(),
    };
    let account = world.store.account(&spec).unwrap();
    let script = b"require \"reject\"; if header \"subject\" \"hello\" { reject \"Not to me.\"; }";
    account.put_script("no", script).unwrap();
    account.set_active_script(Some("no")).unwrap();
    let queue = world.queue(world.options());
    world.commit(&from_alice(&world, &["alice@here.test"]), MESSAGE);
    world.until(|spooled| spooled.is_empty()).await;
    queue.stop(GRACE).await;
    let inbox = world.inbox();
    assert_eq!(inbox.len(), 1);
    assert!(
        inbox[0].contains("Subject: Your message was refused\r\n"),
        "{}",
        inbox[0]
    );
    assert!(inbox[0].contains("Not to me.") && inbox[0].contains("Status: 5.7.1"));
}
