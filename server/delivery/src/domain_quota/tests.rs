//! Several accounts of one domain, with a store of their own.

use facteur_directory::{AccountRecord, Answer, DomainRecord, QuotaLimits};
use facteur_model::{Flags, Guid, InternalDate, MailboxName};
use facteur_store::{Append, Batch, Body, Gate, Options, QuotaCheck, StoreError};

use super::*;

const LIMIT: u64 = 10_000;
const MAIL: &[u8] = &[b'x'; 100];

/// Accounts a, b, c … of example.org.
struct Fake {
    names: Mutex<Vec<&'static str>>,
    homes: std::path::PathBuf,
    limit: Mutex<Option<u64>>,
}

impl Fake {
    fn record(&self, address: &Address) -> AccountRecord {
        AccountRecord {
            address: address.clone(),
            password: None,
            home: self.homes.join(address.local()),
            format: facteur_model::MailFormat::Sdbox,
            quota: QuotaLimits::default(),
        }
    }
}

impl Directory for Fake {
    fn domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        Box::pin(async { Ok(None) })
    }
    fn alias_domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Domain>> {
        Box::pin(async { Ok(None) })
    }
    fn account<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        let known = self.names.lock().unwrap().contains(&address.local());
        let record = known.then(|| Arc::new(self.record(address)));
        Box::pin(async { Ok(record) })
    }
    fn alias<'a>(&'a self, _: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async { Ok(None) })
    }
    fn catch_all<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async { Ok(None) })
    }
    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        let accounts = self
            .names
            .lock()
            .unwrap()
            .iter()
            .map(|name| address(name))
            .collect();
        Box::pin(async { Ok(accounts) })
    }
    fn domain_quota<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<u64>> {
        let limit = *self.limit.lock().unwrap();
        Box::pin(async move { Ok(limit) })
    }
    fn record_usage<'a>(&'a self, _: &'a Address, _: u64, _: u64) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn forget(&self) {}
}

fn address(name: &str) -> Address {
    Address::parse(&format!("{name}@example.org")).unwrap()
}

struct House {
    store: Store,
    directory: Fake,
    domains: DomainQuota,
    _folder: tempfile::TempDir,
}

impl House {
    fn new(names: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options {
            state: folder.path().join("state"),
            auto_folders: Vec::new(),
            staging_memory: 4096,
            ..facteur_store::Options::default()
        })
        .unwrap();
        let domains = DomainQuota::default();
        let (noting, gating) = (domains.clone(), domains.clone());
        store.on_usage_changed(Arc::new(move |change| noting.note(change)));
        let gate = move |account: &AccountId, added, grace| gating.reserve(account, added, grace);
        store.set_gate(Some(Arc::new(gate) as Gate));
        let directory = Fake {
            names: Mutex::new(names.to_vec()),
            homes: folder.path().join("mail"),
            limit: Mutex::new(Some(LIMIT)),
        };
        Self {
            store,
            directory,
            domains,
            _folder: folder,
        }
    }

    async fn update(&self) {
        self.domains
            .update(&self.store, &self.directory)
            .await
            .unwrap();
    }

    fn append(&self, name: &str, quota: QuotaCheck) -> Result<(), StoreError> {
        let batch = Batch {
            appends: vec![Append {
                account: facteur_account::spec(&self.directory.record(&address(name))),
                mailbox: MailboxName::inbox(),
                create: true,
                prefix: bytes::Bytes::new(),
                body: Body::Memory(MAIL.into()),
                flags: Flags::EMPTY,
                keywords: Vec::new(),
                internal_date: InternalDate::from_unix(0),
                delivery: Guid::random().unwrap(),
                repeated: false,
                quota,
            }],
            ..Batch::default()
        };
        self.store.commit(batch).map(drop)
    }

    fn sum(&self) -> u64 {
        let names = self.directory.names.lock().unwrap().clone();
        let usage = |name: &&str| {
            let spec = facteur_account::spec(&self.directory.record(&address(name)));
            self.store
                .account(&spec)
                .unwrap()
                .recount()
                .unwrap()
                .now
                .bytes
        };
        names.iter().map(usage).sum()
    }

    fn counted(&self) -> Option<u64> {
        self.domains.usage("example.org").map(|(used, _)| used)
    }
}

#[tokio::test]
async fn accounts_together_never_exceed_the_domain() {
    // Deliveries hold its grace, too.
    for (quota, grace) in [(QuotaCheck::Strict, 0), (QuotaCheck::Grace(10), LIMIT / 10)] {
        fill_from_all_sides(quota, LIMIT + grace).await;
    }
}

async fn fill_from_all_sides(quota: QuotaCheck, limit: u64) {
    let house = House::new(&["a", "b", "c", "d"]);
    house.append("a", QuotaCheck::Ignore).unwrap();
    house.update().await;
    let fill = |name: &'static str| {
        let mut accepted = 0;
        for _ in 0..60 {
            match house.append(name, quota) {
                Ok(()) => accepted += 1,
                Err(StoreError::OverQuota) => {}
                Err(error) => panic!("{error}"),
            }
            let (used, _) = house.domains.usage("example.org").unwrap();
            assert!(used <= limit, "{used} of {limit}");
        }
        accepted
    };
    let accepted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|name| scope.spawn(move || fill(name)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    // One refused while another was under way may leave a little room, that the next one takes.
    while house.append("b", quota).is_ok() {}
    let one = MAIL.len() as u64;
    assert!(accepted * one <= limit - one, "{accepted}");
    assert_eq!((house.counted(), house.sum()), (Some(limit), limit));
}

#[tokio::test]
async fn domain_is_limited_once_its_accounts_are_counted() {
    let house = House::new(&["a", "b"]);
    for _ in 0..120 {
        house.append("a", QuotaCheck::Ignore).unwrap();
    }
    assert_eq!(house.counted(), None);
    let domain = Domain::parse("example.org").unwrap();
    assert!(house.domains.has_room(&domain, 1, 0));
    house.append("b", QuotaCheck::Strict).unwrap();
    house.update().await;
    assert_eq!(house.counted(), Some(12_100));
    assert!(!house.domains.has_room(&domain, 1, 0) && !house.domains.has_room(&domain, 1, 20));
    assert!(house.domains.has_room(&domain, 1, 22));
    let refused = house.append("b", QuotaCheck::Strict);
    assert!(matches!(refused, Err(StoreError::OverQuota)), "{refused:?}");
    // What was accepted is delivered.
    house.append("b", QuotaCheck::Ignore).unwrap();
    assert_eq!(house.counted(), Some(12_200));
}

#[tokio::test]
async fn directory_says_what_counts() {
    let house = House::new(&["a", "b"]);
    house.append("a", QuotaCheck::Ignore).unwrap();
    house.append("b", QuotaCheck::Ignore).unwrap();
    house.update().await;
    assert_eq!(house.counted(), Some(200));
    house
        .directory
        .names
        .lock()
        .unwrap()
        .retain(|name| *name != "b");
    *house.directory.limit.lock().unwrap() = Some(300);
    house.update().await;
    assert_eq!(house.domains.usage("example.org"), Some((100, 300)));
    *house.directory.limit.lock().unwrap() = None;
    house.update().await;
    assert_eq!(house.counted(), None);
    for _ in 0..10 {
        house.append("a", QuotaCheck::Strict).unwrap();
    }
}

#[tokio::test]
async fn room_set_aside_is_given_back() {
    let house = House::new(&["a"]);
    house.update().await;
    let usage = Usage {
        bytes: LIMIT,
        messages: 1,
    };
    let account = AccountId::new("a@example.org");
    let permit = house.domains.reserve(&account, usage, 0).unwrap();
    assert!(house.domains.reserve(&account, usage, 0).is_none());
    drop(permit);
    assert!(house.domains.reserve(&account, usage, 0).is_some());
}
