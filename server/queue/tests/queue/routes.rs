//! Where mail goes: MX, transports, loops.

use facteur_queue::{NextHop, Options};
use facteur_spool::RecipientState;

use crate::{
    dns::Dns,
    peer::{Manner, Peer},
    world::{GRACE, World},
};

pub(crate) fn asking(world: &World, dns: &Dns, port: u16) -> Options {
    let mut options = world.options();
    options.nameservers = dns.nameservers();
    options.port = port;
    options
}

/// What the recipient of the only entry is told, after one attempt that came to nothing.
async fn refusal(domain: &str, dns: &Dns, change: impl Fn(&mut Options)) -> (String, String) {
    let mut world = World::new();
    let mut options = asking(&world, dns, 2);
    change(&mut options);
    // With the null sender nothing is returned; the entry goes.
    let mut entry = world.entry(&[&format!("b@{domain}")], "x: y\r\n\r\n");
    entry.reverse_path = "alice@here.test".into();
    let queue = world.queue(options);
    world.commit(&entry, "x: y\r\n\r\n");
    let inbox = loop {
        let spooled = world.spooled();
        if let Some(waiting) = spooled.iter().find(|e| e.attempts > 0)
            && let RecipientState::Pending { last: Some(status) } = &waiting.recipients[0].state
        {
            queue.stop(GRACE).await;
            return (status.enhanced.clone(), status.text.clone());
        }
        if spooled.is_empty() {
            break world.inbox();
        }
        tokio::task::yield_now().await;
    };
    queue.stop(GRACE).await;
    let field = |name: &str| {
        let line = inbox[0].split_once(name).unwrap().1;
        line.lines().next().unwrap().trim().to_owned()
    };
    (
        field("\r\nStatus:"),
        field("\r\nDiagnostic-Code: X-Facteur;"),
    )
}

#[tokio::test]
async fn mx_hosts_are_tried_in_order_of_preference() {
    let mut best = Peer::at("127.0.0.2:0", Manner::default()).await;
    let port = best.address.port();
    let mut second = Peer::at(&format!("127.0.0.3:{port}"), Manner::default()).await;
    let dns = Dns::start(&[
        "far.test MX 20 second.test",
        "far.test MX 10 best.test",
        "best.test A 127.0.0.2",
        "second.test A 127.0.0.3",
    ])
    .await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, port));
    world.send(&["b@far.test"]);
    best.next().await;
    queue.stop(GRACE).await;
    drop(best);
    let queue = world.queue(asking(&world, &dns, port));
    world.send(&["c@far.test"]);
    assert_eq!(second.next().await.rcpts, ["RCPT TO:<c@far.test>"]);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn server_that_refuses_to_talk_is_passed_over() {
    let busy = Manner::scripted(|line| (line == "GREETING").then(|| "554 not me\r\n".to_owned()));
    let busy = Peer::at("127.0.0.2:0", busy).await;
    let port = busy.address.port();
    let mut second = Peer::at(&format!("127.0.0.3:{port}"), Manner::default()).await;
    let dns = Dns::start(&[
        "far.test MX 10 mx.test",
        "mx.test A 127.0.0.2",
        "far.test MX 20 other.test",
        "other.test A 127.0.0.3",
    ])
    .await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, port));
    world.send(&["b@far.test"]);
    second.next().await;
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn domain_without_mx_is_its_own_host() {
    let mut peer = Peer::start(Manner::default()).await;
    let dns = Dns::start(&["far.test A 127.0.0.1"]).await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, peer.address.port()));
    world.send(&["b@far.test"]);
    peer.next().await;
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn alias_domain_name_is_followed() {
    let mut peer = Peer::start(Manner::default()).await;
    let dns = Dns::start(&[
        "far.test CNAME real.test",
        "real.test MX 10 mx.test",
        "mx.test A 127.0.0.1",
    ])
    .await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, peer.address.port()));
    world.send(&["b@far.test"]);
    peer.next().await;
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn host_with_several_addresses_is_tried_at_each() {
    let mut peer = Peer::at("127.0.0.3:0", Manner::default()).await;
    let dns = Dns::start(&[
        "far.test MX 1 mx.test",
        "mx.test A 127.0.0.2",
        "mx.test A 127.0.0.3",
    ])
    .await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, peer.address.port()));
    world.send(&["b@far.test"]);
    peer.next().await;
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn ipv6_host_is_reached() {
    let mut peer = Peer::at("[::1]:0", Manner::default()).await;
    let dns = Dns::start(&["far.test MX 1 mx.test", "mx.test AAAA ::1"]).await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, peer.address.port()));
    world.send(&["b@far.test"]);
    peer.next().await;
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn null_mx_returns_the_message_with_5_1_10() {
    let dns = Dns::start(&["far.test MX 0 .", "far.test A 127.0.0.1"]).await;
    let (status, text) = refusal("far.test", &dns, |_| {}).await;
    assert_eq!(status, "5.1.10");
    assert!(text.contains("null MX"), "{text}");
}

#[tokio::test]
async fn domain_that_does_not_exist_returns_the_message() {
    let dns = Dns::start(&[]).await;
    assert_eq!(refusal("nowhere.test", &dns, |_| {}).await.0, "5.1.2");
}

#[tokio::test]
async fn mx_without_an_address_returns_the_message() {
    let dns = Dns::start(&["far.test MX 10 mx.test"]).await;
    assert_eq!(refusal("far.test", &dns, |_| {}).await.0, "5.4.4");
}

#[tokio::test]
async fn dns_that_does_not_know_delays() {
    let dns = Dns::start(&[]).await;
    // Not in a zone of that server: it refuses.
    assert_eq!(refusal("far.example", &dns, |_| {}).await.0, "4.4.3");
}

#[tokio::test]
async fn best_mx_that_is_us_loops_back() {
    let dns = Dns::start(&[
        "far.test MX 10 mail.here.test",
        "mail.here.test A 127.0.0.1",
    ])
    .await;
    assert_eq!(refusal("far.test", &dns, |_| {}).await.0, "5.4.6");
}

#[tokio::test]
async fn mx_at_our_own_address_loops_back_also_under_another_name() {
    let dns = Dns::start(&[
        "far.test MX 10 other.test",
        "far.test MX 20 worse.test",
        "other.test A 127.0.0.1",
        "worse.test A 127.0.0.9",
    ])
    .await;
    let own = |options: &mut Options| options.own_endpoints = vec!["0.0.0.0:2".parse().unwrap()];
    assert_eq!(refusal("far.test", &dns, own).await.0, "5.4.6");
}

#[tokio::test]
async fn better_mx_than_we_are_gets_the_mail_and_worse_ones_never() {
    let mut better = Peer::at("127.0.0.2:0", Manner::default()).await;
    let dns = Dns::start(&[
        "far.test MX 10 better.test",
        "far.test MX 20 mail.here.test",
        "better.test A 127.0.0.2",
        "mail.here.test A 127.0.0.1",
    ])
    .await;
    let mut world = World::new();
    let queue = world.queue(asking(&world, &dns, better.address.port()));
    world.send(&["b@far.test"]);
    better.next().await;
    queue.stop(GRACE).await;
}

#[tokio::test]
async fn server_that_greets_with_our_name_is_a_loop() {
    let greeting = |line: &str| (line == "GREETING").then(|| "220 mail.here.test\r\n".to_owned());
    let peer = Peer::start(Manner::scripted(greeting)).await;
    let dns = Dns::start(&["far.test A 127.0.0.1"]).await;
    let port = peer.address.port();
    let (status, text) = refusal("far.test", &dns, |options| options.port = port).await;
    assert_eq!(status, "5.4.6");
    assert!(text.contains("greets with our own"), "{text}");
}

#[tokio::test]
async fn transport_goes_before_the_relayhost_and_relayhost_before_the_mx() {
    let mut neighbour = Peer::start(Manner::default()).await;
    let mut relay = Peer::start(Manner::default()).await;
    let mut world = World::new();
    let mut options = world.relaying_to(&relay);
    let hop = NextHop::parse_transport(&format!("smtp:{}", neighbour.next_hop())).unwrap();
    options.transports = vec![("monvoisin.fr".parse().unwrap(), hop)];
    let queue = world.queue(options);
    world.send(&["b@monvoisin.fr", "c@far.test"]);
    assert_eq!(neighbour.next().await.rcpts, ["RCPT TO:<b@monvoisin.fr>"]);
    assert_eq!(relay.next().await.rcpts, ["RCPT TO:<c@far.test>"]);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn address_literal_goes_to_its_address() {
    let mut peer = Peer::start(Manner::default()).await;
    let mut world = World::new();
    let mut options = world.options();
    options.port = peer.address.port();
    let queue = world.queue(options);
    world.send(&["b@[127.0.0.1]"]);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<b@[127.0.0.1]>"]);
    queue.stop(GRACE).await;
}
