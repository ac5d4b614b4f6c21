//! What clients were told, and what may thus be there after a crash.
//!
//! Whatever was asked for and not answered may have happened or not; what was answered has.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Folders in which one copy each of a message lies.
pub(crate) type Placement = BTreeSet<String>;
/// Flags without `\Recent`.
pub(crate) type Flags = BTreeSet<String>;

/// A flag change is synced within a second; this is that second on a busy machine.
pub(crate) const FLAGS_SYNCED_WITHIN: Duration = Duration::from_secs(2);

/// A thing of which several states are possible; the last one is what was asked for last.
#[derive(Debug, Clone)]
pub(crate) struct Doubt<T>(pub(crate) Vec<T>);

impl<T: Clone + PartialEq> Doubt<T> {
    pub(crate) fn sure(state: T) -> Self {
        Self(vec![state])
    }

    /// It was asked for, and not answered yet.
    pub(crate) fn ask(&mut self, state: T) {
        self.0.push(state);
    }

    /// What was asked for last was answered.
    pub(crate) fn answered(&mut self) {
        self.0.drain(..self.0.len().saturating_sub(1));
    }

    pub(crate) fn now(&self) -> Option<&T> {
        self.0.last()
    }

    pub(crate) fn allows(&self, state: &T) -> bool {
        self.0.contains(state)
    }
}

/// When flags were answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Long ago, or with the message itself.
    Before,
    At(Instant),
    /// Not yet.
    Asked,
}

/// Flags as they were answered, the last perhaps not.
#[derive(Debug, Clone)]
pub(crate) struct FlagHistory(pub(crate) Vec<(When, Flags)>);

impl FlagHistory {
    pub(crate) fn old(flags: Flags) -> Self {
        Self(vec![(When::Before, flags)])
    }

    /// What was asked for with the message itself was answered with it.
    fn answered_with_message(&mut self) {
        if let [(When::Before, _), (at @ When::Asked, _)] = self.0.as_mut_slice() {
            *at = When::Before;
        }
    }

    /// Whether these flags may be there: `lost` is the moment of a power loss.
    pub(crate) fn allows(&self, flags: &Flags, lost: Option<Instant>) -> bool {
        let is_durable = |at: &When| match (at, lost) {
            (When::Before, _) | (When::At(_), None) => true,
            (When::At(at), Some(lost)) => {
                lost.saturating_duration_since(*at) >= FLAGS_SYNCED_WITHIN
            }
            (When::Asked, _) => false,
        };
        let last = self.0.iter().rposition(|(at, _)| is_durable(at));
        let possible = self.0.iter().skip(last.unwrap_or(0));
        possible.into_iter().any(|(_, other)| other == flags)
    }
}

/// A message by its id.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Of what [`super::text::message`] makes its text again.
    pub(crate) head: String,
    pub(crate) size: usize,
    pub(crate) places: Doubt<Placement>,
    pub(crate) flags: BTreeMap<String, FlagHistory>,
    /// INTERNALDATE, as it was given or first seen.
    pub(crate) date: Option<String>,
}

/// What was seen of a folder under one UIDVALIDITY.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) ids: BTreeMap<u32, String>,
    /// The highest UIDNEXT.
    pub(crate) next: u32,
    pub(crate) modseq: u64,
    /// Flags by UID and MODSEQ.
    pub(crate) states: BTreeMap<(u32, u64), Flags>,
    /// UIDNEXT and HIGHESTMODSEQ when all of it was listed last.
    pub(crate) viewed: (u32, u64),
}

/// One account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) messages: BTreeMap<String, Message>,
    /// Whether a folder is there.
    pub(crate) folders: BTreeMap<String, Doubt<bool>>,
    pub(crate) subscriptions: BTreeMap<String, Doubt<bool>>,
    /// By folder and UIDVALIDITY.
    pub(crate) seen: BTreeMap<(String, u32), Seen>,
    /// The UIDVALIDITY of folders that nobody has made or removed since.
    pub(crate) validity: BTreeMap<String, u32>,
    /// The text of the script that is active.
    pub(crate) script: Option<Doubt<String>>,
    /// Senders that must have had one vacation reply (true), or may have had it.
    pub(crate) replies: BTreeMap<String, bool>,
}

/// Everything that was promised.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) accounts: BTreeMap<String, Account>,
    /// Recipients elsewhere, and whether they were answered for.
    pub(crate) relayed: BTreeMap<String, bool>,
    /// For names that nobody had before.
    pub(crate) next: u64,
    /// Promises kept so far.
    pub(crate) answered: u64,
}

impl Ledger {
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Messages in folders, each copy counted.
    pub(crate) fn messages(&self) -> usize {
        let accounts = self.accounts.values();
        let messages = accounts.flat_map(|account| account.messages.values());
        let places = messages.filter_map(|message| message.places.now());
        places.map(Placement::len).sum()
    }

    pub(crate) fn account(&mut self, user: &str) -> &mut Account {
        self.accounts.entry(user.to_owned()).or_default()
    }
}

impl Account {
    /// A message on its way into `folder`.
    pub(crate) fn expect(&mut self, id: &str, of: (&str, usize), folder: &str, flags: Flags) {
        let mut places = Doubt::sure(Placement::new());
        places.ask(Placement::from([folder.to_owned()]));
        // A message that nobody was promised may be there without its flags.
        let history = FlagHistory(vec![(When::Before, Flags::new()), (When::Asked, flags)]);
        let message = Message {
            head: of.0.to_owned(),
            size: of.1,
            places,
            flags: BTreeMap::from([(folder.to_owned(), history)]),
            date: None,
        };
        self.messages.insert(id.to_owned(), message);
    }

    pub(crate) fn answered(&mut self, id: &str) {
        if let Some(message) = self.messages.get_mut(id) {
            message.places.answered();
            for history in message.flags.values_mut() {
                history.answered_with_message();
            }
        }
    }

    /// A UID was seen.
    ///
    /// # Panics
    /// When it belonged to another message.
    pub(crate) fn see(&mut self, folder: &str, validity: u32, uid: u32, id: &str) {
        let seen = self.seen.entry((folder.to_owned(), validity)).or_default();
        let before = seen.ids.insert(uid, id.to_owned());
        assert!(
            before.as_deref().is_none_or(|before| before == id),
            "UID {uid} of {folder} was {before:?} and is {id}"
        );
        seen.next = seen.next.max(uid + 1);
    }

    /// Folders that are surely there.
    pub(crate) fn folders_now(&self) -> Vec<String> {
        let sure = self
            .folders
            .iter()
            .filter(|(_, there)| there.now() == Some(&true));
        sure.map(|(name, _)| name.clone()).collect()
    }
}
