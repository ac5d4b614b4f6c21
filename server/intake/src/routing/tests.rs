//! Where addresses lead.

use std::path::Path;

use super::*;
use crate::testing::{Memory, address, domain};

fn memory() -> Memory {
    let mut memory = Memory::default();
    memory
        .domains
        .insert(domain("here.example"), DomainKind::Local);
    memory
        .domains
        .insert(domain("backup.example"), DomainKind::Relay);
    memory
        .alias_domains
        .insert(domain("also.example"), domain("here.example"));
    for name in ["alice", "bob", "carol"] {
        let text = format!("{name}@here.example");
        memory.add_account(
            &text,
            Path::new("/none"),
            facteur_directory::QuotaLimits::default(),
        );
    }
    memory
}

async fn route(memory: Memory, text: &str) -> Route {
    let router = Router::new(Arc::new(memory), "+");
    router.resolve(&address(text)).await.unwrap()
}

/// Local destinations as `user` or `user+detail`, then remote ones.
async fn leads(memory: Memory, text: &str) -> Vec<String> {
    let route = route(memory, text).await;
    let local = route.local.iter().map(|(account, detail)| match detail {
        Some(detail) => format!("{}+{detail}", account.address.local()),
        None => account.address.local().to_owned(),
    });
    local
        .chain(route.remote.iter().map(ToString::to_string))
        .collect()
}

#[tokio::test]
async fn account_is_found_in_any_case_and_with_detail() {
    assert_eq!(leads(memory(), "Alice@HERE.example").await, ["alice"]);
    assert_eq!(
        leads(memory(), "alice+Lists@here.example").await,
        ["alice+Lists"]
    );
}

#[tokio::test]
async fn unknown_address_of_ours_is_unknown() {
    let route = route(memory(), "dave@here.example").await;
    assert!(route.unknown && route.authorized_destination);
}

#[tokio::test]
async fn foreign_address_is_remote_and_nobody_may_relay_to_it() {
    let foreign = route(memory(), "x@else.example").await;
    assert!(!foreign.authorized_destination && !foreign.unknown);
    assert_eq!(foreign.remote, [address("x@else.example")]);
    assert!(
        !route(memory(), "x@[192.0.2.1]")
            .await
            .authorized_destination
    );
}

#[tokio::test]
async fn relay_domain_is_remote_and_anybody_may_send_to_it() {
    let route = route(memory(), "x+y@backup.example").await;
    assert!(route.authorized_destination);
    assert_eq!(route.remote, [address("x+y@backup.example")]);
}

#[tokio::test]
async fn alias_comes_before_the_account_and_naming_itself_is_the_mailbox() {
    let mut one = memory();
    one.add_alias("alice@here.example", &["bob@here.example"]);
    assert_eq!(leads(one, "alice@here.example").await, ["bob"]);
    let mut two = memory();
    two.add_alias(
        "alice@here.example",
        &["alice@here.example", "x@else.example"],
    );
    assert_eq!(
        leads(two, "alice+d@here.example").await,
        ["alice+d", "x+d@else.example"]
    );
}

#[tokio::test]
async fn two_who_forward_to_each_other_get_one_copy_each() {
    let (a, b) = ("alice@here.example", "bob@here.example");
    let mut keeping = memory();
    keeping.add_alias(a, &[a, b]).add_alias(b, &[b, a]);
    assert_eq!(leads(keeping, a).await, ["alice", "bob"]);
    let mut forwarding = memory();
    forwarding.add_alias(a, &[b]).add_alias(b, &[a]);
    assert_eq!(leads(forwarding, a).await, ["alice"]);
}

#[tokio::test]
async fn alias_reached_by_two_ways_is_expanded_once() {
    let mut memory = memory();
    memory.add_alias(
        "all@here.example",
        &["one@here.example", "two@here.example"],
    );
    memory.add_alias("one@here.example", &["alice@here.example"]);
    memory.add_alias("two@here.example", &["alice@here.example"]);
    memory.add_alias("alice@here.example", &["bob@here.example"]);
    assert_eq!(leads(memory, "all@here.example").await, ["bob"]);
}

#[tokio::test]
async fn alias_domain_leads_to_its_target() {
    let mut memory = memory();
    memory.add_alias("info@here.example", &["carol@here.example"]);
    memory.add_alias("sales@also.example", &["bob@here.example"]);
    let router = Router::new(Arc::new(memory), "+");
    for (text, expected) in [
        ("info@also.example", "carol"),
        ("alice@also.example", "alice"),
        ("sales@also.example", "bob"),
    ] {
        let route = router.resolve(&address(text)).await.unwrap();
        assert_eq!(route.local[0].0.address.local(), expected);
        assert!(route.authorized_destination);
    }
    assert!(
        router
            .resolve(&address("no@also.example"))
            .await
            .unwrap()
            .unknown
    );
}

#[tokio::test]
async fn catch_all_comes_last_and_may_name_a_domain() {
    let mut one = memory();
    one.add_alias("@here.example", &["carol@here.example"]);
    one.alias_domains.clear();
    one.domains
        .insert(domain("also.example"), DomainKind::Local);
    one.add_alias("@also.example", &["@here.example"]);
    let router = Router::new(Arc::new(one), "+");
    for (text, expected) in [
        ("x@here.example", "carol"),
        ("alice@here.example", "alice"),
        ("bob@also.example", "bob"),
        ("y@also.example", "carol"),
    ] {
        let route = router.resolve(&address(text)).await.unwrap();
        assert_eq!(route.local[0].0.address.local(), expected, "{text}");
    }
    let mut two = memory();
    two.add_alias("@here.example", &["carol@here.example"]);
    assert_eq!(leads(two, "x@also.example").await, ["carol"]);
}

#[tokio::test]
async fn alias_loop_without_a_mailbox_is_unknown() {
    let mut memory = memory();
    memory.add_alias("x@here.example", &["y@here.example"]);
    memory.add_alias("y@here.example", &["x@here.example"]);
    assert!(route(memory, "x@here.example").await.unknown);
}

#[tokio::test]
async fn endless_expansion_is_temporary() {
    let mut memory = memory();
    for n in 0..2000 {
        let next = format!("l{}@here.example", n + 1);
        memory.add_alias(&format!("l{n}@here.example"), &[next.as_str()]);
    }
    let router = Router::new(Arc::new(memory), "+");
    assert!(router.resolve(&address("l0@here.example")).await.is_err());
}

#[tokio::test]
async fn dead_and_malformed_destinations_do_not_spoil_the_others() {
    let mut memory = memory();
    memory.add_alias(
        "all@here.example",
        &["gone@here.example", "not an address", "bob@here.example"],
    );
    assert_eq!(leads(memory, "all@here.example").await, ["bob"]);
}

#[tokio::test]
async fn directory_that_is_down_is_no_unknown_user() {
    let mut memory = memory();
    memory.down = true;
    let router = Router::new(Arc::new(memory), "+");
    assert!(
        router
            .resolve(&address("alice@here.example"))
            .await
            .is_err()
    );
}

async fn postmaster(memory: Memory, configured: Option<&str>, text: &str) -> Route {
    let router = Router::new(Arc::new(memory), "+")
        .with_postmaster(domain("mx.here.example"), configured.map(address));
    router.resolve(&address(text)).await.unwrap()
}

fn accounts(route: &Route) -> Vec<&str> {
    route
        .local
        .iter()
        .map(|(one, _)| one.address.local())
        .collect()
}

/// Without postmaster_address `<postmaster>` was this host's, which is no domain of ours: outsiders
/// got "Relay access denied" where RFC 5321 §4.5.1 says that it MUST be accepted.
#[tokio::test]
async fn rfc5321_4_5_1_postmaster_of_the_host_is_that_of_its_domain() {
    let mut with_alias = memory();
    with_alias.add_alias("postmaster@here.example", &["bob@here.example"]);
    let route = postmaster(with_alias, None, "Postmaster@mx.here.example").await;
    assert!(route.authorized_destination && !route.unknown);
    assert_eq!(accounts(&route), ["bob"]);
    let nobody = postmaster(memory(), None, "postmaster@mx.here.example").await;
    assert!(nobody.authorized_destination && nobody.unknown && nobody.remote.is_empty());
}

#[tokio::test]
async fn configured_postmaster_stands_in_where_there_is_none_and_nowhere_else() {
    let configured = Some("carol@here.example");
    for text in ["postmaster@mx.here.example", "POSTMASTER@here.example"] {
        let route = postmaster(memory(), configured, text).await;
        assert!(route.authorized_destination);
        assert_eq!(accounts(&route), ["carol"]);
    }
    let mut own = memory();
    own.add_alias("postmaster@here.example", &["bob@here.example"]);
    let route = postmaster(own, configured, "postmaster@here.example").await;
    assert_eq!(accounts(&route), ["bob"]);
    let foreign = postmaster(memory(), configured, "postmaster@else.example").await;
    assert!(!foreign.authorized_destination && foreign.local.is_empty());
    let other = postmaster(memory(), configured, "abuse@mx.here.example").await;
    assert!(!other.authorized_destination && other.local.is_empty());
    let away = postmaster(
        memory(),
        Some("me@else.example"),
        "postmaster@mx.here.example",
    )
    .await;
    assert_eq!(away.remote, [address("me@else.example")]);
}

#[tokio::test]
async fn missing_postmaster_is_said_at_the_start() {
    let with = |memory: Memory| {
        Router::new(Arc::new(memory), "+").with_postmaster(domain("mx.here.example"), None)
    };
    let error = with(memory()).check_postmaster().await.unwrap_err();
    assert!(
        error.to_string().contains(" postmaster@here.example"),
        "{error}"
    );
    let mut down = memory();
    down.down = true;
    assert!(with(down).check_postmaster().await.is_ok());
    let mut good = memory();
    good.add_alias("postmaster@here.example", &["me@else.example"]);
    assert!(with(good).check_postmaster().await.is_ok());
}
