//! A store in a folder of its own, and mail to put into it.

use std::{io::Read, path::PathBuf, sync::Arc};

use facteur_address::Address;
use facteur_delivery::{Arrived, Deliverer, LocalRecipient, Options, Outcome, PutOff};
use facteur_directory::{AccountRecord, QuotaLimits};
use facteur_model::{AccountId, AccountSpec, Guid, MailboxName, SpecialUse};
use facteur_spool::{BodyType, Entry, Origin, QueueId};
use facteur_store::{Account, AutoFolder, Batch, Body, Committed, Store};

pub(crate) const NOW: i64 = 1_600_000_000;

pub(crate) const MESSAGE: &str = "From: Ann <ann@example.net>\r\n\
    To: bob@example.org\r\n\
    Subject: Hello\r\n\
    Message-ID: <1@example.net>\r\n\
    \r\n\
    A body.\r\n";

const PREFIX: &str = "Received: from a by b\r\n\tid c; Mon, 7 Sep 2020 10:00:00 +0000\r\n";

/// A store, and what delivers into it.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) deliverer: Deliverer,
}

/// What came of a transaction.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) sent: Vec<(Entry, String)>,
    pub(crate) committed: Committed,
}

impl House {
    pub(crate) fn new(options: Options) -> Self {
        Self::with(128 * 1024, |_| options)
    }

    /// One with options that depend on where it lies.
    pub(crate) fn with(staging_memory: usize, options: impl FnOnce(PathBuf) -> Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(facteur_store::Options {
            state: folder.path().join("state"),
            auto_folders: vec![AutoFolder {
                name: MailboxName::parse("Spam").unwrap(),
                create: true,
                subscribe: true,
                special_use: Some(SpecialUse::Junk),
            }],
            staging_memory,
            ..facteur_store::Options::default()
        })
        .unwrap();
        let options = options(folder.path().to_owned());
        let deliverer = Deliverer::new(store.clone(), options);
        Self {
            folder,
            store,
            deliverer,
        }
    }

    pub(crate) fn record(&self, address: &str, quota: QuotaLimits) -> Arc<AccountRecord> {
        Arc::new(AccountRecord {
            address: Address::parse(address).unwrap(),
            password: None,
            home: self.folder.path().join(address),
            format: facteur_model::MailFormat::Sdbox,
            quota,
        })
    }

    pub(crate) fn account(&self, address: &str) -> Account {
        let spec = AccountSpec {
            id: AccountId::new(address),
            home: self.folder.path().join(address),
            format: facteur_model::MailFormat::Sdbox,
            quota: facteur_model::QuotaLimits::default(),
        };
        self.store.account(&spec).unwrap()
    }

    /// Gives an account an active script.
    pub(crate) fn script(&self, address: &str, script: &str) {
        let account = self.account(address);
        account.put_script("main", script.as_bytes()).unwrap();
        account.set_active_script(Some("main")).unwrap();
    }

    pub(crate) fn recipient(&self, address: &str) -> LocalRecipient {
        self.recipient_with(address, QuotaLimits::default())
    }

    /// `user+detail@domain` leads to the account `user@domain`.
    pub(crate) fn recipient_with(&self, address: &str, quota: QuotaLimits) -> LocalRecipient {
        let original = Address::parse(address).unwrap();
        let split = original
            .split_detail("+")
            .map(|(base, detail)| (base, detail.to_owned()));
        let (base, detail) = match split {
            Some((base, detail)) => (base, Some(detail)),
            None => (original.clone(), None),
        };
        LocalRecipient {
            account: self.record(&base.to_string(), quota),
            original,
            detail,
            delivery: Guid::random().unwrap(),
            repeated: false,
        }
    }

    pub(crate) fn body(&self, text: &str) -> Body {
        let mut staging = self.store.stage();
        staging.write(text.as_bytes()).unwrap();
        staging.finish().unwrap()
    }

    pub(crate) fn arrived(&self, text: &str) -> Arrived {
        Arrived {
            queue_id: QueueId::generate(std::time::SystemTime::UNIX_EPOCH).unwrap(),
            reverse_path: Some(Address::parse("ann@example.net").unwrap()),
            origin: Origin::default(),
            body_type: BodyType::SevenBit,
            prefix: PREFIX.into(),
            body: self.body(text),
            now: NOW,
        }
    }

    /// Plans and commits.
    pub(crate) fn deliver(&self, message: &Arrived, recipients: &[LocalRecipient]) -> Done {
        let mut batch = Batch::default();
        let outcomes = self
            .deliverer
            .plan(message, recipients, &mut PutOff::default(), &mut batch);
        let sent = batch
            .spool
            .iter()
            .map(|(entry, body)| (entry.clone(), read_body(body)));
        let sent = sent.collect();
        let committed = self.store.commit(batch).unwrap();
        Done {
            outcomes,
            sent,
            committed,
        }
    }

    /// Delivers [`MESSAGE`] to one address.
    pub(crate) fn send(&self, address: &str) -> Done {
        self.deliver(&self.arrived(MESSAGE), &[self.recipient(address)])
    }

    /// Every message of a mailbox; none if it is not there.
    pub(crate) fn messages(&self, address: &str, mailbox: &str) -> Vec<String> {
        let mailbox = MailboxName::parse(mailbox).unwrap();
        let account = self.account(address);
        if !account.has_mailbox(&mailbox).unwrap() {
            return Vec::new();
        }
        let mailbox = account.open(&mailbox).unwrap();
        let snapshot = mailbox.snapshot();
        let read = |uid| {
            let reader = mailbox.read(uid).unwrap();
            let mut text = vec![0; usize::try_from(reader.size()).unwrap()];
            reader.read_exact_at(&mut text, 0).unwrap();
            String::from_utf8(text).unwrap()
        };
        snapshot.iter().map(|message| read(message.uid)).collect()
    }

    pub(crate) fn count(&self, address: &str, mailbox: &str) -> usize {
        self.messages(address, mailbox).len()
    }
}

fn read_body(body: &Body) -> String {
    let mut text = String::new();
    body.reader().unwrap().read_to_string(&mut text).unwrap();
    text
}
