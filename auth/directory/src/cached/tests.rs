use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Counts the questions; fails while `down`.
#[derive(Default)]
struct Counting {
    asked: AtomicUsize,
    down: std::sync::atomic::AtomicBool,
}

impl Directory for Counting {
    fn domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let down = self.down.load(Ordering::SeqCst);
        let known = domain.as_str() == "example.org";
        Box::pin(async move {
            if down {
                return Err(Unavailable("down".to_owned()));
            }
            Ok(known.then(|| DomainRecord {
                name: domain.clone(),
                kind: crate::DomainKind::Local,
            }))
        })
    }
    fn alias_domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Domain>> {
        Box::pin(async { Ok(None) })
    }
    fn account<'a>(&'a self, _: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(None) })
    }
    fn alias<'a>(&'a self, _: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async { Ok(None) })
    }
    fn catch_all<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async { Ok(None) })
    }
    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn record_usage<'a>(&'a self, _: &'a Address, _: u64, _: u64) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn forget(&self) {}
}

fn cached() -> Cached<Counting> {
    Cached::new(Counting::default(), CacheOptions::default())
}

fn asked(cached: &Cached<Counting>) -> usize {
    cached.inner().asked.load(Ordering::SeqCst)
}

#[tokio::test]
async fn second_question_is_answered_from_the_cache() {
    let cached = cached();
    for name in ["example.org", "example.net"] {
        let domain = Domain::parse(name).unwrap();
        let first = cached.domain(&domain).await.unwrap();
        assert_eq!(first.is_some(), name == "example.org");
        assert_eq!(cached.domain(&domain).await.unwrap(), first);
    }
    assert_eq!(asked(&cached), 2, "one question for each name");
}

#[tokio::test]
async fn failure_is_not_cached_and_forget_empties_the_cache() {
    let cached = cached();
    let domain = Domain::parse("example.org").unwrap();
    cached.inner().down.store(true, Ordering::SeqCst);
    assert!(cached.domain(&domain).await.is_err());
    cached.inner().down.store(false, Ordering::SeqCst);
    assert!(cached.domain(&domain).await.unwrap().is_some());
    cached.inner().down.store(true, Ordering::SeqCst);
    assert!(cached.domain(&domain).await.is_ok(), "still cached");
    cached.forget();
    assert!(cached.domain(&domain).await.is_err());
}

#[tokio::test]
async fn forgotten_account_is_asked_for_again() {
    let cached = cached();
    let address = Address::parse("Bob@example.org").unwrap();
    cached.account(&address).await.unwrap();
    cached.account(&address.folded()).await.unwrap();
    assert_eq!(asked(&cached), 1, "names are folded");
    cached.forget_account(&address).await.unwrap();
    cached.account(&address).await.unwrap();
    assert_eq!(asked(&cached), 2);
}

#[test]
fn negative_answers_live_shorter() {
    let lifetime = Lifetime(CacheOptions::default());
    let now = Instant::now();
    let positive = lifetime.expire_after_create(&(), &Some(()), now);
    let negative = lifetime.expire_after_create(&(), &None::<()>, now);
    assert!(positive > negative);
}
