//! A mailbox while it is read: columns, so that a change of many messages touches little memory.

use std::collections::HashMap;

use facteur_model::{Flags, Guid, ModSeq, Uid, UidValidity};

use crate::{
    MailboxImage, MessageImage, Unreadable,
    bytes::{u32_at, u64_at},
    extensions::{DBOX, Extensions, MODSEQ},
    header::{INDEX_HEADER, at},
};

/// Most keywords kept; Dovecot itself has no limit, our own mailboxes have this one.
pub(crate) const MAX_KEYWORDS: usize = 1024;
/// Most records that one reading may look at: a log of a few megabytes that changes every message of
/// a large mailbox over and over must end some time.
const MAX_WORK: u64 = 1 << 32;

/// A mailbox while it is read.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The snapshot's fixed header, as far as it is understood.
    pub(crate) header: Vec<u8>,
    pub(crate) extensions: Extensions,
    pub(crate) next_uid: u64,
    pub(crate) keywords: Vec<String>,
    pub(crate) uids: Vec<u32>,
    pub(crate) flags: Vec<u8>,
    pub(crate) modseqs: Vec<u64>,
    /// `stride` words for each message, a bit for each keyword.
    pub(crate) bits: Vec<u64>,
    pub(crate) stride: usize,
    /// HIGHESTMODSEQ as the log counts it.
    pub(crate) modseq: u64,
    work: u64,
}

impl State {
    /// A mailbox of which nothing is known yet.
    pub(crate) fn empty() -> Self {
        Self {
            header: vec![0; INDEX_HEADER],
            extensions: Extensions::default(),
            next_uid: 1,
            keywords: Vec::new(),
            uids: Vec::new(),
            flags: Vec::new(),
            modseqs: Vec::new(),
            bits: Vec::new(),
            stride: 0,
            modseq: 0,
            work: 0,
        }
    }

    /// Forgets everything but the work done so far.
    pub(crate) fn reset(&mut self) {
        let work = self.work;
        *self = Self::empty();
        self.work = work;
    }

    /// Counts records that are looked at.
    pub(crate) fn spend(&mut self, records: usize) -> Result<(), Unreadable> {
        self.work = self.work.saturating_add(records as u64 + 1);
        if self.work > MAX_WORK {
            return Err(Unreadable::TooMuch);
        }
        Ok(())
    }

    /// The positions of the messages with these UIDs.
    pub(crate) fn range(&self, first: u32, last: u32) -> std::ops::Range<usize> {
        let from = self.uids.partition_point(|uid| *uid < first);
        let to = self.uids.partition_point(|uid| *uid <= last);
        from..to.max(from)
    }

    /// Adds a message behind all others.
    pub(crate) fn append(&mut self, uid: u32, flags: u8, modseq: u64) {
        self.uids.push(uid);
        self.flags.push(flags);
        self.modseqs.push(modseq);
        self.bits.resize(self.uids.len() * self.stride, 0);
        self.next_uid = u64::from(uid) + 1;
    }

    /// The position of a keyword (in any case), which is added when it is new; `None` beyond the
    /// limit.
    pub(crate) fn keyword(&mut self, name: &str) -> Option<usize> {
        let known = self.keywords.iter();
        let found = known.into_iter().position(|k| k.eq_ignore_ascii_case(name));
        found.or_else(|| self.add_keyword(name))
    }

    /// Adds a keyword; `None` beyond the limit.
    pub(crate) fn add_keyword(&mut self, name: &str) -> Option<usize> {
        if self.keywords.len() >= MAX_KEYWORDS {
            return None;
        }
        self.keywords.push(name.to_owned());
        let words = self.keywords.len().div_ceil(64);
        if words > self.stride {
            self.widen(words);
        }
        Some(self.keywords.len() - 1)
    }

    fn widen(&mut self, stride: usize) {
        let mut wider = vec![0; self.uids.len() * stride];
        if self.stride > 0 {
            let rows = wider.chunks_exact_mut(stride);
            for (new, old) in rows.zip(self.bits.chunks_exact(self.stride)) {
                for (new, old) in new.iter_mut().zip(old) {
                    *new = *old;
                }
            }
        }
        self.bits = wider;
        self.stride = stride;
    }

    /// Sets or clears a keyword of a message.
    pub(crate) fn set_keyword(&mut self, message: usize, keyword: usize, on: bool) {
        let word = message * self.stride + keyword / 64;
        let bit = 1_u64 << (keyword % 64);
        if let Some(word) = self.bits.get_mut(word) {
            *word = if on { *word | bit } else { *word & !bit };
        }
    }

    /// Clears all keywords of some messages.
    pub(crate) fn clear_keywords(&mut self, messages: std::ops::Range<usize>) {
        let words = messages.start * self.stride..messages.end * self.stride;
        self.bits.get_mut(words).unwrap_or_default().fill(0);
    }

    /// Removes messages; `gone` is in ascending order and its ranges do not overlap.
    pub(crate) fn remove(&mut self, gone: &[std::ops::Range<usize>]) {
        keep_others(&mut self.uids, gone, 1);
        keep_others(&mut self.flags, gone, 1);
        keep_others(&mut self.modseqs, gone, 1);
        keep_others(&mut self.bits, gone, self.stride);
    }

    /// What it has come to.
    pub(crate) fn image(&self) -> Result<MailboxImage, Unreadable> {
        let number = |at: usize| u32_at(&self.header, at).unwrap_or(0);
        let uid_validity =
            UidValidity::new(number(at::UID_VALIDITY)).ok_or(Unreadable::NoUidValidity)?;
        let stored = self.extensions.header(MODSEQ);
        let stored = stored.and_then(|header| u64_at(header, 0)).unwrap_or(0);
        let held = self.modseqs.iter().copied().max().unwrap_or(0);
        let highest = stored.max(self.modseq).max(held).max(1);
        // Of a message that did not change since MODSEQs are kept, none is noted.
        let unchanged = if stored > 0 { stored } else { highest };
        let guid = self.extensions.header(DBOX).and_then(|header| {
            let bytes: [u8; 16] = header.get(4..20)?.try_into().ok()?;
            (bytes != [0; 16]).then(|| Guid::from_bytes(bytes))
        });
        let mut sets = Sets::new();
        let mut messages = Vec::with_capacity(self.uids.len());
        for (at, uid) in self.uids.iter().enumerate() {
            let words = at * self.stride..(at + 1) * self.stride;
            let modseq = self.modseqs.get(at).copied().filter(|modseq| *modseq > 0);
            let flags = self.flags.get(at).copied().unwrap_or(0);
            messages.push(MessageImage {
                uid: Uid::new(*uid).ok_or(Unreadable::Damaged("a message has UID 0"))?,
                flags: Flags::from_bits(flags),
                keywords: sets.number(self.bits.get(words).unwrap_or_default()),
                modseq: ModSeq::new(modseq.unwrap_or(unchanged)),
            });
        }
        Ok(MailboxImage {
            uid_validity,
            next_uid: self.next_uid.max(1),
            highest_modseq: ModSeq::new(highest),
            guid,
            first_recent_uid: number(at::FIRST_RECENT).max(1),
            keywords: self.keywords.clone(),
            keyword_sets: sets.found,
            messages,
        })
    }
}

/// Removes the items of `gone` messages, each of which has `width` of them.
fn keep_others<T: Copy>(items: &mut Vec<T>, gone: &[std::ops::Range<usize>], width: usize) {
    let mut to = 0;
    let mut from = 0;
    for range in gone {
        let (start, end) = (range.start * width, range.end * width);
        if from < start && start <= items.len() {
            items.copy_within(from..start, to);
            to += start - from;
        }
        from = end;
    }
    if from <= items.len() {
        items.copy_within(from.., to);
        to += items.len() - from;
    }
    items.truncate(to);
}

/// Gives every set of keywords a number.
struct Sets<'a> {
    found: Vec<Vec<u16>>,
    numbers: HashMap<&'a [u64], u32>,
}

impl<'a> Sets<'a> {
    fn new() -> Self {
        Self {
            found: vec![Vec::new()],
            numbers: HashMap::new(),
        }
    }

    fn number(&mut self, words: &'a [u64]) -> u32 {
        if words.iter().all(|word| *word == 0) {
            return 0;
        }
        if let Some(number) = self.numbers.get(words) {
            return *number;
        }
        let mut set = Vec::new();
        for (at, word) in (0_u16..).step_by(64).zip(words) {
            set.extend(
                (0..64)
                    .filter(|bit| word >> bit & 1 == 1)
                    .map(|bit| at + bit),
            );
        }
        let number = u32::try_from(self.found.len()).unwrap_or(0);
        self.found.push(set);
        self.numbers.insert(words, number);
        number
    }
}
