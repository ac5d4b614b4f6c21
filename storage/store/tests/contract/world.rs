//! A store in a temporary folder, with what the tests do to it.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use facteur_disk::{Disk, Faults};
use facteur_model::{
    AccountId, AccountSpec, Flag, FlagOperation, Flags, Guid, InternalDate, Keyword, MailFormat,
    MailboxName, QuotaLimits, SpecialUse, Uid, UidSet,
};
use facteur_spool::{BodyType, Destination, Entry, Origin, QueueId, Recipient, RecipientState};
use facteur_store::{
    Account, Append, AutoFolder, Batch, Body, Checkpoints, Clock, Committed, FlagChange, Mailbox,
    MailboxStatus, MessageReader, Options, QuotaCheck, Store, StoreError,
};

pub(crate) const MAIL: &[u8] =
    b"From: Alice <alice@example.test>\r\nSubject: hello\r\nMessage-ID: <1@example.test>\r\n\r\nbody\r\n";

/// A folder for one test; the store is opened in it again and again.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// One with an open store, and a message in INBOX for each of these accounts.
    pub(crate) fn with_mail(for_each: &[&str]) -> (Self, Store) {
        let world = Self::new();
        let store = world.open();
        for who in for_each {
            world.deliver(&store, who, "INBOX");
        }
        (world, store)
    }

    /// One in memory where the machine has such a file system: for tests that run very often.
    pub(crate) fn in_memory() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self { dir: dir.unwrap() }
    }

    pub(crate) fn options(&self) -> Options {
        let folder = |name: &str, special_use| AutoFolder {
            name: self::name(name),
            create: true,
            subscribe: true,
            special_use,
        };
        Options {
            state: self.dir.path().join("state"),
            auto_folders: vec![
                folder("Trash", Some(SpecialUse::Trash)),
                folder("Spam", Some(SpecialUse::Junk)),
            ],
            staging_memory: 4096,
            // Calls to the disk come in the same order every time.
            checkpoints: Checkpoints {
                background: false,
                journal_size: 1 << 20,
                ..Checkpoints::default()
            },
            clock: hasty_clock(),
            ..Options::default()
        }
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.options()).unwrap()
    }

    pub(crate) fn open_on(&self, disk: Disk) -> Result<Store, StoreError> {
        Store::open_on(disk, self.options())
    }

    /// Opens it on a disk of which calls can be made to fail.
    pub(crate) fn open_with_faults(&self) -> (Store, Arc<Faults>) {
        let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
        (self.open_on(disk).unwrap(), faults)
    }

    /// What a process that has just been started says of a mailbox.
    pub(crate) fn status_at_start(&self, who: &str, mailbox: &str) -> MailboxStatus {
        let account = self.account(&self.open(), who);
        account.status(&name(mailbox)).unwrap()
    }

    pub(crate) fn home(&self, who: &str) -> PathBuf {
        self.dir.path().join("mail").join(who)
    }

    pub(crate) fn spec(&self, who: &str) -> AccountSpec {
        AccountSpec {
            id: AccountId::new(&format!("{who}@example.test")),
            home: self.home(who),
            format: crate::FORMAT,
            quota: QuotaLimits::default(),
        }
    }

    /// A mailbox's folder.
    pub(crate) fn folder(&self, who: &str, mailbox: &str) -> PathBuf {
        let home = self.home(who);
        match (crate::FORMAT, mailbox) {
            (MailFormat::Sdbox, _) => home.join("mailboxes").join(mailbox),
            (MailFormat::Maildir, "INBOX") => home,
            (MailFormat::Maildir, _) => home.join(format!(".{}", mailbox.replace('/', "."))),
        }
    }

    /// The folder of a mailbox below which its messages lie.
    pub(crate) fn mails(&self, who: &str, mailbox: &str) -> PathBuf {
        let folder = self.folder(who, mailbox);
        match crate::FORMAT {
            MailFormat::Sdbox => folder.join("dbox-Mails"),
            MailFormat::Maildir => folder,
        }
    }

    /// The files of a mailbox's messages, the oldest first.
    pub(crate) fn files(&self, who: &str, mailbox: &str) -> Vec<PathBuf> {
        let mails = self.mails(who, mailbox);
        let dirs = match crate::FORMAT {
            MailFormat::Sdbox => vec![mails],
            MailFormat::Maildir => vec![mails.join("new"), mails.join("cur")],
        };
        let entries = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap());
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        let is_message = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            crate::FORMAT == MailFormat::Maildir || name.starts_with("u.")
        };
        files.retain(is_message);
        files.sort_by_key(|path| path.file_name().unwrap().to_owned());
        files
    }

    /// The file of one message. A Maildir does not name it by its UID: there the mailbox has had the
    /// first UIDs, in the order of their names, and none before this one is gone.
    pub(crate) fn file(&self, who: &str, mailbox: &str, uid: u32) -> PathBuf {
        match crate::FORMAT {
            MailFormat::Sdbox => self.mails(who, mailbox).join(format!("u.{uid}")),
            MailFormat::Maildir => self.files(who, mailbox).swap_remove(uid as usize - 1),
        }
    }

    /// Names of files under construction in INBOX.
    pub(crate) fn temporary(&self, who: &str) -> Vec<String> {
        let mails = self.mails(who, "INBOX");
        let (dir, prefix) = match crate::FORMAT {
            MailFormat::Sdbox => (mails, "temp."),
            MailFormat::Maildir => (mails.join("tmp"), ""),
        };
        let names = std::fs::read_dir(dir).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    pub(crate) fn append(&self, who: &str, mailbox: &str) -> Append {
        Append {
            account: self.spec(who),
            mailbox: name(mailbox),
            create: false,
            prefix: Bytes::from_static(b"Return-Path: <>\r\n"),
            body: Body::Memory(Bytes::from_static(MAIL)),
            flags: Flags::EMPTY,
            keywords: Vec::new(),
            internal_date: InternalDate::from_unix(1_600_000_000),
            delivery: Guid::random().unwrap(),
            repeated: false,
            quota: QuotaCheck::Ignore,
        }
    }

    pub(crate) fn deliver(&self, store: &Store, who: &str, mailbox: &str) -> Uid {
        let committed = store.commit(batch([self.append(who, mailbox)])).unwrap();
        committed.appended[0].uid
    }

    pub(crate) fn account(&self, store: &Store, who: &str) -> Account {
        store.account(&self.spec(who)).unwrap()
    }

    pub(crate) fn mailbox(&self, store: &Store, who: &str, mailbox: &str) -> Mailbox {
        self.account(store, who).open(&name(mailbox)).unwrap()
    }
}

/// A clock on which ten seconds pass between any two looks: what failed may be tried again.
fn hasty_clock() -> Clock {
    let (start, looks) = (Instant::now(), AtomicU32::new(0));
    Clock::new(move || start + Duration::from_secs(10) * looks.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn batch(appends: impl IntoIterator<Item = Append>) -> Batch {
    Batch {
        appends: appends.into_iter().collect(),
        ..Batch::default()
    }
}

pub(crate) fn entry(to: &str) -> Entry {
    Entry {
        queue_id: QueueId::generate(std::time::SystemTime::now()).unwrap(),
        reverse_path: "alice@example.test".to_owned(),
        accepted_at: 1_600_000_000,
        origin: Origin::default(),
        body_type: BodyType::SevenBit,
        size: MAIL.len() as u64,
        prefix: String::new(),
        recipients: vec![Recipient {
            forward_path: to.to_owned(),
            original: to.to_owned(),
            delivery: Guid::random().unwrap(),
            destination: Destination::Remote,
            state: RecipientState::Pending { last: None },
        }],
        next_attempt_at: 0,
        attempts: 0,
        held: false,
        delay_warned: false,
    }
}

pub(crate) fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

pub(crate) fn uids(list: &[u32]) -> UidSet {
    list.iter().filter_map(|n| Uid::new(*n)).collect()
}

/// A change to flags and keywords, whatever they are now.
pub(crate) fn change(operation: FlagOperation, flags: &[Flag], keywords: &[&str]) -> FlagChange {
    let keywords = keywords.iter().map(|text| Keyword::parse(text).unwrap());
    FlagChange {
        operation,
        flags: flags.iter().copied().collect(),
        keywords: keywords.collect(),
        unchanged_since: None,
    }
}

/// A message's flags and keywords.
pub(crate) fn flags(mailbox: &Mailbox, uid: u32) -> (Flags, Vec<String>) {
    let snapshot = mailbox.snapshot();
    let message = snapshot.by_uid(Uid::new(uid).unwrap()).unwrap();
    let keywords = snapshot.keywords(message.keywords).iter();
    let keywords = keywords.map(|keyword| keyword.as_str().to_owned());
    (message.flags, keywords.collect())
}

/// The UIDs of a mailbox, as a list.
pub(crate) fn listed(mailbox: &Mailbox) -> Vec<u32> {
    mailbox.snapshot().iter().map(|m| m.uid.value()).collect()
}

/// A message's bytes.
pub(crate) fn text(mailbox: &Mailbox, uid: u32) -> Vec<u8> {
    bytes_of(&mailbox.read(Uid::new(uid).unwrap()).unwrap())
}

pub(crate) fn bytes_of(reader: &MessageReader) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(reader.size()).unwrap()];
    reader.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

pub(crate) fn uid_of(committed: &Committed, at: usize) -> u32 {
    committed.appended[at].uid.value()
}
