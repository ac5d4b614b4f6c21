//! What the journal keeps: every change in a form that can be done again.
//!
//! One record is one atomic change, whatever it touches. Doing it again where it is done already
//! changes nothing, as long as all later records follow in order.

use std::path::PathBuf;

use facteur_index::{MailboxRow, MessageRow};
use facteur_journal::Lsn;
use facteur_model::{Flags, Guid, InternalDate, MailFormat, ModSeq, Uid, UidSet, UidValidity};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// One atomic change. Bodies that are not in files of their own follow it in the journal.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) accounts: Vec<AccountRecord>,
    pub(crate) spool: Vec<SpoolRecord>,
    /// Files of removed messages that could not be removed: their removal is in no record any more. They
    /// are all of them; what earlier records say is over.
    pub(crate) leftovers: Option<Vec<PathBuf>>,
    /// Where the journal began when a checkpoint carried this on from there.
    pub(crate) carried: Option<u64>,
    /// The lengths of the bodies that follow.
    pub(crate) bodies: Vec<u64>,
}

/// What changes of one account, in order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    pub(crate) account: String,
    pub(crate) home: PathBuf,
    #[serde(with = "mail_format")]
    pub(crate) format: MailFormat,
    pub(crate) changes: Vec<Change>,
}

/// What changes of the spool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum SpoolRecord {
    /// An entry, as JSON, with its body.
    Add {
        #[serde(with = "serde_bytes")]
        entry: Vec<u8>,
        content: Content,
    },
    /// A change to an entry, as JSON.
    Update {
        id: String,
        #[serde(with = "serde_bytes")]
        change: Vec<u8>,
    },
    /// An entry goes.
    Remove { id: String },
}

/// Where a message's bytes are until a checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Content {
    /// Behind the record: the body of this number, after these bytes.
    Inline {
        #[serde(with = "serde_bytes")]
        prefix: Vec<u8>,
        body: u32,
    },
    /// In the file of this temporary name, where the format has those, durably.
    File { name: String },
    /// In a file that another program made.
    There,
}

impl Default for Content {
    fn default() -> Self {
        Self::File {
            name: String::new(),
        }
    }
}

/// A mailbox, by what it is known by for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailboxId {
    pub(crate) guid: Guid,
    /// Its number in the index now.
    #[serde(skip)]
    pub(crate) row: u32,
}

/// One step of a change to an account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Change {
    /// A message comes into a mailbox.
    Add(Box<Added>),
    /// Flags of messages change.
    Flags {
        mailbox: MailboxId,
        runs: Vec<FlagRun>,
    },
    /// A set of keywords gets a number.
    Keywords {
        mailbox: MailboxId,
        set: u32,
        text: String,
    },
    /// Messages are copied: the UID there before, and what is new.
    Copy {
        from: MailboxId,
        to: MailboxId,
        pairs: Vec<(u32, Message)>,
        /// What their files are called, in a Maildir.
        names: Vec<CopyName>,
    },
    /// Messages go.
    Expunge {
        mailbox: MailboxId,
        ranges: Vec<(u32, u32)>,
        modseq: u64,
        /// Whether their files go too; those that another program removed are gone.
        files_go: bool,
    },
    /// A mailbox's numbers and counts after what comes before.
    Numbers {
        mailbox: MailboxId,
        numbers: Numbers,
    },
    /// Sieve remembers something.
    Remember { key: [u8; 32], expires_at: i64 },
}

/// A new message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Added {
    pub(crate) mailbox: MailboxId,
    pub(crate) message: Message,
    pub(crate) guid: Guid,
    pub(crate) delivery: Guid,
    pub(crate) noted_at: i64,
    pub(crate) content: Content,
    /// What stays of its file's name, in a Maildir.
    #[serde(with = "serde_bytes")]
    pub(crate) base: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub(crate) envelope: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub(crate) body_structure: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub(crate) body: Vec<u8>,
}

/// What a copy's file is called in a Maildir.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CopyName {
    /// What stays of it.
    #[serde(with = "serde_bytes")]
    pub(crate) base: Vec<u8>,
    /// The message's GUID as Dovecot says it: that of the original.
    #[serde(with = "serde_bytes")]
    pub(crate) guid: Vec<u8>,
}

/// A message's state.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Message {
    uid: u32,
    modseq: u64,
    internal_date: i64,
    size: u64,
    keywords: u32,
    flags: u8,
}

/// All messages from one UID to another become alike.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct FlagRun {
    pub(crate) first: u32,
    pub(crate) last: Message,
}

/// What of a mailbox's row changes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Numbers {
    uid_validity: u32,
    uid_next: u64,
    highest_modseq: u64,
    recent_from: u64,
    messages: u32,
    unseen: u32,
    deleted: u32,
    bytes: u64,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Self {
            uid: row.uid.value(),
            modseq: row.modseq.value(),
            internal_date: row.internal_date.unix(),
            size: row.size,
            keywords: row.keywords,
            flags: row.flags.bits(),
        }
    }
}

impl Message {
    /// `None` when it has no UID.
    pub(crate) fn row(self) -> Option<MessageRow> {
        Some(MessageRow {
            uid: Uid::new(self.uid)?,
            modseq: ModSeq::new(self.modseq),
            internal_date: InternalDate::from_unix(self.internal_date),
            size: self.size,
            keywords: self.keywords,
            flags: Flags::from_bits(self.flags),
        })
    }
}

impl From<&MailboxRow> for Numbers {
    fn from(row: &MailboxRow) -> Self {
        Self {
            uid_validity: row.uid_validity.value(),
            uid_next: row.uid_next,
            highest_modseq: row.highest_modseq.value(),
            recent_from: row.recent_from,
            messages: row.messages,
            unseen: row.unseen,
            deleted: row.deleted,
            bytes: row.bytes,
        }
    }
}

impl Numbers {
    /// The row with these numbers.
    pub(crate) fn row(&self, mailbox: MailboxId) -> MailboxRow {
        MailboxRow {
            id: mailbox.row,
            guid: mailbox.guid,
            uid_validity: UidValidity::new(self.uid_validity).unwrap_or(UidValidity::FIRST),
            uid_next: self.uid_next,
            highest_modseq: ModSeq::new(self.highest_modseq),
            recent_from: self.recent_from,
            messages: self.messages,
            unseen: self.unseen,
            deleted: self.deleted,
            bytes: self.bytes,
        }
    }
}

impl Change {
    /// Numbers of a mailbox as `row` has them.
    pub(crate) fn numbers(row: &MailboxRow) -> Self {
        Self::Numbers {
            mailbox: MailboxId::of(row),
            numbers: row.into(),
        }
    }

    /// Messages that go from a mailbox.
    pub(crate) fn expunge(row: &MailboxRow, uids: &UidSet, modseq: ModSeq) -> Self {
        Self::Expunge {
            mailbox: MailboxId::of(row),
            ranges: uids
                .ranges()
                .map(|(low, high)| (low.value(), high.value()))
                .collect(),
            modseq: modseq.value(),
            files_go: true,
        }
    }

    /// The mailboxes it is about.
    pub(crate) fn mailboxes(&mut self) -> Vec<&mut MailboxId> {
        match self {
            Self::Add(added) => vec![&mut added.mailbox],
            Self::Flags { mailbox, .. }
            | Self::Keywords { mailbox, .. }
            | Self::Expunge { mailbox, .. }
            | Self::Numbers { mailbox, .. } => vec![mailbox],
            Self::Copy { from, to, .. } => vec![from, to],
            Self::Remember { .. } => Vec::new(),
        }
    }
}

/// A format as a number.
mod mail_format {
    use facteur_model::MailFormat;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        format: &MailFormat,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match format {
            MailFormat::Sdbox => 0,
            MailFormat::Maildir => 1,
        })
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<MailFormat, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(MailFormat::Sdbox),
            1 => Ok(MailFormat::Maildir),
            _ => Err(D::Error::custom("unknown mail format")),
        }
    }
}

impl MailboxId {
    pub(crate) fn of(row: &MailboxRow) -> Self {
        Self {
            guid: row.guid,
            row: row.id,
        }
    }
}

/// UIDs from their ranges.
pub(crate) fn uid_set(ranges: &[(u32, u32)]) -> UidSet {
    let mut uids = UidSet::new();
    for (low, high) in ranges {
        if let (Some(low), Some(high)) = (Uid::new(*low), Uid::new(*high)) {
            uids.insert_range(low..=high);
        }
    }
    uids
}

/// How records are written. Another number comes with every change of what they are made of: who
/// upgrades after a crash is told, and nothing is taken for what it is not.
const VERSION: u8 = 1;

impl Record {
    /// Notes that it is carried on from a journal that begins at `first`.
    pub(crate) fn carry_from(&mut self, first: Lsn) {
        self.carried = Some(first.value());
    }

    /// Whether it is to be done, in a journal that begins at `first`. What is carried on counts once
    /// what it came from is cut: until then that is there, in its order, and this may be a part.
    pub(crate) fn counts(&self, first: Lsn) -> bool {
        self.carried.is_none_or(|then| first.value() > then)
    }

    /// Its bytes, without the bodies that follow.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(&[0; 4]);
        bytes.push(VERSION);
        let mut bytes = postcard::to_extend(self, bytes).map_err(unfit)?;
        let length = u32::try_from(bytes.len() - 4).map_err(unfit)?;
        if let Some(head) = bytes.first_chunk_mut() {
            *head = length.to_le_bytes();
        }
        Ok(bytes)
    }

    /// The record in `bytes`, and the bodies that follow it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, Vec<&[u8]>), StoreError> {
        let (length, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
        let (head, mut rest) = usize::try_from(u32::from_le_bytes(*length))
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(cut)?;
        let head = match head.split_first() {
            Some((&VERSION, head)) => head,
            Some((version, _)) => return Err(of_other(*version)),
            None => return Err(cut()),
        };
        let (record, more): (Self, _) = postcard::take_from_bytes(head).map_err(unfit)?;
        if !more.is_empty() {
            return Err(cut());
        }
        let mut bodies = Vec::with_capacity(record.bodies.len());
        for length in &record.bodies {
            let length = usize::try_from(*length).map_err(unfit)?;
            let (body, after) = rest.split_at_checked(length).ok_or_else(cut)?;
            bodies.push(body);
            rest = after;
        }
        Ok((record, bodies))
    }
}

/// The body of this number among those that follow a record.
pub(crate) fn body_of<'b>(bodies: &[&'b [u8]], number: u32) -> Result<&'b [u8], StoreError> {
    bodies.get(number as usize).copied().ok_or_else(cut)
}

fn unfit(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Io(std::io::Error::other(error))
}

fn of_other(version: u8) -> StoreError {
    StoreError::Io(std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        format!("record of version {version}, which this program does not know"),
    ))
}

fn cut() -> StoreError {
    StoreError::Io(std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        "record ends too early",
    ))
}
