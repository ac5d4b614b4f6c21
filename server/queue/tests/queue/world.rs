//! A store, a directory and a clock for one test.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use facteur_address::{Address, Domain};
use facteur_delivery::Deliverer;
use facteur_directory::{
    AccountRecord, Answer, Directory, DomainKind, DomainRecord, QuotaLimits, Unavailable,
};
use facteur_intake::Router;
use facteur_model::{AccountId, AccountSpec, Guid, MailboxName};
use facteur_queue::{Clock, Options, Parts, Queue};
use facteur_runtime::Bridge;
use facteur_spool::{BodyType, Destination, Entry, Origin, QueueId, Recipient, RecipientState};
use facteur_store::{Account, Batch, Store};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// When every test begins.
pub(crate) const START: i64 = 1_700_000_000;

/// A clock that the test sets.
pub(crate) struct TestClock {
    now: watch::Sender<i64>,
}

impl TestClock {
    pub(crate) fn set(&self, at: i64) {
        self.now.send_replace(at);
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        *self.now.borrow()
    }
    fn sleep_until(&self, at: i64) -> BoxFuture<'_, ()> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            let _ = now.wait_for(|now| *now >= at).await;
        })
    }
}

/// A directory: accounts and aliases of `here.test`.
#[derive(Default)]
pub(crate) struct Memory {
    accounts: HashMap<Address, Arc<AccountRecord>>,
    pub(crate) aliases: HashMap<Address, Vec<String>>,
    pub(crate) down: bool,
}

impl Memory {
    fn say<T: Send>(&self, value: Option<T>) -> Result<Option<T>, Unavailable> {
        if self.down {
            Err(Unavailable("down".into()))
        } else {
            Ok(value)
        }
    }
}

impl Directory for Memory {
    fn domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        let ours = (domain.as_str() == "here.test").then(|| DomainRecord {
            name: domain.clone(),
            kind: DomainKind::Local,
        });
        Box::pin(async { self.say(ours) })
    }
    fn alias_domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Domain>> {
        Box::pin(async { self.say(None) })
    }
    fn account<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        Box::pin(async { self.say(self.accounts.get(address).cloned()) })
    }
    fn alias<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async { self.say(self.aliases.get(address).cloned()) })
    }
    fn catch_all<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async { self.say(None) })
    }
    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        Box::pin(async { Ok(self.accounts.keys().cloned().collect()) })
    }
    fn record_usage<'a>(&'a self, _: &'a Address, _: u64, _: u64) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn forget(&self) {}
}

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) directory: Memory,
    pub(crate) delivery: facteur_delivery::Options,
    next: AtomicI64,
}

impl World {
    /// With the account `alice@here.test`.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(facteur_store::Options {
            state: dir.path().join("state"),
            auto_folders: Vec::new(),
            staging_memory: 1 << 16,
            ..facteur_store::Options::default()
        });
        let mut directory = Memory::default();
        let alice = AccountRecord {
            address: address("alice@here.test"),
            password: None,
            home: dir.path().join("alice"),
            format: facteur_model::MailFormat::Sdbox,
            quota: QuotaLimits::default(),
        };
        directory
            .accounts
            .insert(alice.address.clone(), Arc::new(alice));
        Self {
            store: store.unwrap(),
            clock: Arc::new(TestClock {
                now: watch::channel(START).0,
            }),
            directory,
            delivery: facteur_delivery::Options::default(),
            next: AtomicI64::new(0),
            dir,
        }
    }

    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new(Domain::parse("mail.here.test").unwrap());
        // Nothing but what a test gives is ever asked.
        options.nameservers = vec![facteur_queue::Nameserver("127.0.0.1:9".parse().unwrap())];
        options
    }

    /// Everything through this server.
    pub(crate) fn relaying_to(&self, peer: &crate::peer::Peer) -> Options {
        let mut options = self.options();
        options.relayhost = Some(peer.next_hop().parse().unwrap());
        options
    }

    pub(crate) fn queue(&mut self, options: Options) -> Queue {
        let directory: Arc<dyn Directory> = Arc::new(Memory {
            accounts: self.directory.accounts.clone(),
            aliases: self.directory.aliases.clone(),
            down: self.directory.down,
        });
        let parts = Parts {
            store: self.store.clone(),
            bridge: Bridge::new(4),
            router: Router::new(Arc::clone(&directory), "+"),
            directory,
            deliverer: Deliverer::new(self.store.clone(), self.delivery.clone()),
            clock: self.clock.clone(),
        };
        Queue::start(parts, options).unwrap()
    }

    /// A message that is committed to the spool; not yet.
    pub(crate) fn entry(&self, recipients: &[&str], body: &str) -> Entry {
        let n = self.next.fetch_add(1, Ordering::SeqCst);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(n.unsigned_abs());
        let recipient = |text: &&str| Recipient {
            forward_path: (*text).to_owned(),
            original: (*text).to_owned(),
            delivery: Guid::random().unwrap(),
            destination: Destination::Unresolved,
            state: RecipientState::Pending { last: None },
        };
        Entry {
            queue_id: QueueId::generate(now).unwrap(),
            reverse_path: "sender@there.test".to_owned(),
            accepted_at: self.clock.now(),
            origin: Origin::default(),
            body_type: BodyType::SevenBit,
            size: body.len() as u64,
            prefix: "Received: by here\r\n".to_owned(),
            recipients: recipients.iter().map(recipient).collect(),
            next_attempt_at: self.clock.now(),
            attempts: 0,
            held: false,
            delay_warned: false,
        }
    }

    /// Commits it, as intake does.
    pub(crate) fn commit(&self, entry: &Entry, body: &str) {
        let mut staging = self.store.stage();
        staging.write(body.as_bytes()).unwrap();
        let batch = Batch {
            spool: vec![(entry.clone(), staging.finish().unwrap())],
            ..Batch::default()
        };
        self.store.commit(batch).unwrap();
    }

    /// A message to these, committed.
    pub(crate) fn send(&self, recipients: &[&str]) -> QueueId {
        let entry = self.entry(recipients, MESSAGE);
        self.commit(&entry, MESSAGE);
        entry.queue_id
    }

    /// What is in the spool.
    pub(crate) fn spooled(&self) -> Vec<Entry> {
        self.store.spool().entries().collect()
    }

    /// Waits until the spool is as `wanted`, twice in a row: one listing may miss the notice that
    /// takes the place of a message while it goes from directory to directory.
    pub(crate) async fn until(&self, wanted: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
        let waiting = async {
            loop {
                if wanted(&self.spooled()) {
                    let spooled = self.spooled();
                    if wanted(&spooled) {
                        return spooled;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        waited.unwrap_or_else(|_| panic!("spool: {:#?}", self.spooled()))
    }

    /// Alice's account.
    pub(crate) fn alice(&self) -> Account {
        let spec = AccountSpec {
            id: AccountId::new("alice@here.test"),
            home: self.dir.path().join("alice"),
            format: facteur_model::MailFormat::Sdbox,
            quota: facteur_model::QuotaLimits::default(),
        };
        self.store.account(&spec).unwrap()
    }

    /// The messages in alice's INBOX.
    pub(crate) fn inbox(&self) -> Vec<String> {
        let account = self.alice();
        let mailbox = account.open(&MailboxName::parse("INBOX").unwrap()).unwrap();
        let snapshot = mailbox.snapshot();
        let texts = snapshot.iter().map(|message| {
            let reader = mailbox.read(message.uid).unwrap();
            let mut bytes = vec![0; usize::try_from(reader.size()).unwrap()];
            reader.read_exact_at(&mut bytes, 0).unwrap();
            String::from_utf8(bytes).unwrap()
        });
        texts.collect()
    }
}

pub(crate) const MESSAGE: &str = "From: sender@there.test\r\nSubject: hello\r\n\r\n.body\r\n";

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(crate) const GRACE: Duration = Duration::from_secs(60);
