//! Writing FETCH responses.

use std::{collections::HashMap, io, ops::Range, sync::Arc};

use bytes::BytesMut;
use facteur_imap::{FetchItem, SectionItem, write::FetchWriter};
use facteur_model::{Flag, FlagOperation, Flags, Uid, UidSet};
use facteur_store::{
    FlagChange, Mailbox, MessageReader, MessageState, Snapshot, StoreError, Summary,
};

use super::plan::{IN_MEMORY, INLINE, Plan};
use crate::{
    source::{self, Located, Source},
    updates::{Told, write_flags},
};

/// So many messages, and octets together, are read from memory in less time than handing them to
/// another thread takes.
const FEW: usize = 4;
const AT_HAND: u64 = 64 * 1024;

/// No more of a message is put together from its header's fields, for all sections asked for; nothing
/// that people wrote is longer.
const MAX_MADE: u64 = 4 * source::MAX_HEADER;

/// What all groups of one FETCH share.
pub(super) struct Job {
    pub(super) plan: Plan,
    /// The messages as the client knows them.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) mailbox: Mailbox,
    pub(super) recent: UidSet,
}

/// Sequence numbers that are worked on together.
pub(super) struct Group(pub(super) Vec<u32>);

/// Something to write.
pub(super) enum Piece {
    Bytes(BytesMut),
    /// Octets of a message, too many for memory.
    Octets(Arc<Source>, Range<u64>),
}

/// The responses of a group.
#[derive(Default)]
pub(super) struct Rendered {
    pub(super) pieces: Vec<Piece>,
    /// Messages whose flags were told because `\Seen` was set.
    pub(super) told: Told,
    /// Whether some message was expunged meanwhile.
    pub(super) gone: bool,
    /// Whether some message could not be read.
    pub(super) failed: bool,
    /// Messages of the group that are left for another visit: these took more memory than expected.
    pub(super) left: Option<Group>,
}

/// The response to what the snapshot answers by itself.
pub(super) fn states(
    out: &mut BytesMut,
    plan: &Plan,
    snapshot: &Snapshot,
    sequence: u32,
    message: &MessageState,
    recent: &UidSet,
) {
    let mut fetch = FetchWriter::begin(out, sequence);
    for item in &plan.items {
        state(&mut fetch, item, snapshot, message, recent);
    }
    fetch.end();
}

fn state(
    fetch: &mut FetchWriter<'_>,
    item: &FetchItem,
    snapshot: &Snapshot,
    message: &MessageState,
    recent: &UidSet,
) {
    match item {
        FetchItem::Uid => fetch.uid(message.uid.value()),
        FetchItem::Flags => write_flags(fetch, snapshot, message, recent),
        FetchItem::InternalDate => fetch.internal_date(message.internal_date.unix()),
        FetchItem::Rfc822Size => fetch.rfc822_size(message.size),
        FetchItem::ModSeq => fetch.modseq(message.modseq.value()),
        _ => {}
    }
}

impl Job {
    /// Renders a group into `space`. Blocking.
    pub(super) fn render(&self, group: Group, space: BytesMut) -> Result<Rendered, StoreError> {
        let mut rendering = Rendering::new(self, space, self.mark_seen(&group)?);
        if self.plan.summary && !self.plan.sections {
            self.render_summaries(&group, &mut rendering)?;
        } else {
            self.render_messages(&group, &mut rendering)?;
        }
        Ok(rendering.done())
    }

    /// The same for a few small messages of which only octets and states are asked for, if nobody and
    /// no disk has to be waited for.
    pub(super) fn render_at_hand(&self, group: &Group) -> Option<Result<Rendered, StoreError>> {
        let plan = &self.plan;
        let messages = self.messages(group);
        let octets = messages.clone().map(|(_, m)| plan.octets(m.size));
        let few = group.0.len() <= FEW && octets.sum::<u64>() <= AT_HAND;
        if !few || !plan.sections || plan.summary || plan.fields.is_some() {
            return None;
        }
        let read = |(_, message): (_, &MessageState)| self.mailbox.read_at_hand(message.uid);
        let readers: Vec<MessageReader> = messages.map(read).collect::<Option<_>>()?;
        let seen = match self.unseen(group) {
            None => None,
            Some(uids) => match self.mailbox.store_at_hand(&uids, &seen())? {
                Ok(_) => Some(self.seen(uids)),
                Err(error) => return Some(Err(error)),
            },
        };
        let mut rendering = Rendering::new(self, BytesMut::new(), seen);
        for ((sequence, message), reader) in self.messages(group).zip(readers) {
            let octets = Octets::File(Ok(reader));
            if let Err(error) = rendering.message(sequence, message, None, octets) {
                return Some(Err(error));
            }
        }
        Some(Ok(rendering.done()))
    }

    fn messages<'g>(
        &'g self,
        group: &'g Group,
    ) -> impl Iterator<Item = (u32, &'g MessageState)> + Clone {
        let by_sequence = |number: &u32| Some((*number, self.snapshot.by_sequence(*number)?));
        group.0.iter().filter_map(by_sequence)
    }

    fn uids(&self, group: &Group) -> UidSet {
        self.messages(group)
            .map(|(_, message)| message.uid)
            .collect()
    }

    /// Writes the responses as the index hands the summaries out, without keeping them.
    fn render_summaries(
        &self,
        group: &Group,
        rendering: &mut Rendering<'_>,
    ) -> Result<(), StoreError> {
        let mut messages = self.messages(group);
        let mut written = Ok(());
        self.mailbox
            .summaries(&self.uids(group), &mut |uid, summary| {
                // Both are in UID order; what the index does not have is passed over.
                let found = messages.find(|(_, message)| {
                    let there = message.uid == uid;
                    rendering.rendered.gone |= !there;
                    there
                });
                if let (Some((sequence, message)), true) = (found, written.is_ok()) {
                    written = rendering.message(sequence, message, Some(summary), Octets::None);
                }
            })?;
        rendering.rendered.gone |= messages.next().is_some();
        written
    }

    fn render_messages(
        &self,
        group: &Group,
        rendering: &mut Rendering<'_>,
    ) -> Result<(), StoreError> {
        let summaries = match self.plan.summary {
            true => self.summaries(self.uids(group))?,
            false => HashMap::new(),
        };
        let mut lines = self.header_lines(group)?;
        let uids = self.messages(group).map(|(_, message)| message.uid);
        let uids: Vec<Uid> = uids.filter(|uid| !lines.contains_key(uid)).collect();
        let mut readers = self.mailbox.read_each(uids.into_iter(), self.plan.ahead());
        for (at, (sequence, message)) in self.messages(group).enumerate() {
            if rendering.in_memory > IN_MEMORY {
                let left = self.messages(group).skip(at);
                let left = left.map(|(sequence, _)| sequence).collect();
                rendering.rendered.left = Some(Group(left));
                break;
            }
            let octets = match lines.remove(&message.uid) {
                Some(lines) => Octets::Lines(lines),
                None if self.plan.sections => readers
                    .next()
                    .map_or(Octets::None, |(_, reader)| Octets::File(reader)),
                None => Octets::None,
            };
            rendering.message(sequence, message, summaries.get(&message.uid), octets)?;
        }
        Ok(())
    }

    /// The header fields asked for, where the index has them and nothing else of the messages is
    /// asked for.
    fn header_lines(&self, group: &Group) -> Result<HashMap<Uid, Vec<u8>>, StoreError> {
        let mut found = HashMap::new();
        if let Some(fields) = &self.plan.fields {
            let uids = self.uids(group);
            self.mailbox
                .header_lines(&uids, fields, &mut |uid, lines| {
                    found.insert(uid, lines.to_vec());
                })?;
        }
        Ok(found)
    }

    fn summaries(&self, uids: UidSet) -> Result<HashMap<Uid, Summary>, StoreError> {
        let mut found = HashMap::new();
        self.mailbox.summaries(&uids, &mut |uid, summary| {
            found.insert(uid, summary.clone());
        })?;
        Ok(found)
    }

    /// Sets `\Seen` where it is not set yet; `None` when there is nowhere to.
    fn mark_seen(&self, group: &Group) -> Result<Option<Seen>, StoreError> {
        let Some(uids) = self.unseen(group) else {
            return Ok(None);
        };
        self.mailbox.store(&uids, &seen())?;
        Ok(Some(self.seen(uids)))
    }

    /// The messages on which `\Seen` is to be set; `None` when there is none.
    fn unseen(&self, group: &Group) -> Option<UidSet> {
        if !self.plan.sets_seen {
            return None;
        }
        let uids: UidSet = self
            .messages(group)
            .filter(|(_, message)| !message.flags.contains(Flag::Seen))
            .map(|(_, message)| message.uid)
            .collect();
        (!uids.is_empty()).then_some(uids)
    }

    fn seen(&self, uids: UidSet) -> Seen {
        Seen {
            uids,
            after: self.mailbox.snapshot(),
        }
    }
}

/// `\Seen` is set.
fn seen() -> FlagChange {
    FlagChange {
        operation: FlagOperation::Add,
        flags: Flags::EMPTY.with(Flag::Seen),
        keywords: Vec::new(),
        unchanged_since: None,
    }
}

/// Messages that were marked seen, and how they are now.
struct Seen {
    uids: UidSet,
    after: Arc<Snapshot>,
}

/// What the sections of a message are taken from.
enum Octets {
    None,
    /// The lines of all header fields that are asked for.
    Lines(Vec<u8>),
    File(Result<MessageReader, StoreError>),
}

struct Rendering<'j> {
    job: &'j Job,
    out: BytesMut,
    rendered: Rendered,
    seen: Option<Seen>,
    /// Octets of sections put into memory: a client may ask for those of one message again and again.
    in_memory: u64,
}

impl<'j> Rendering<'j> {
    fn new(job: &'j Job, out: BytesMut, seen: Option<Seen>) -> Self {
        Self {
            job,
            out,
            rendered: Rendered::default(),
            seen,
            in_memory: 0,
        }
    }

    fn done(self) -> Rendered {
        let Self {
            out, mut rendered, ..
        } = self;
        if !out.is_empty() {
            rendered.pieces.push(Piece::Bytes(out));
        }
        rendered
    }

    fn message(
        &mut self,
        sequence: u32,
        message: &MessageState,
        summary: Option<&Summary>,
        octets: Octets,
    ) -> Result<(), StoreError> {
        let plan = &self.job.plan;
        // Everything is found before anything is written: a response is whole or not there.
        let mut sections = Vec::new();
        let mut source = None;
        match octets {
            Octets::None => {}
            Octets::Lines(lines) => sections = self.job.made_of(&lines),
            Octets::File(reader) => match reader.and_then(|reader| self.job.locate(reader)) {
                Ok((opened, located)) => {
                    source = Some(opened);
                    sections = located;
                }
                Err(error) => return self.failed(message.uid, error),
            },
        }
        if plan.summary && summary.is_none() {
            self.rendered.gone = true;
            return Ok(());
        }
        let (begin, pieces) = (self.out.len(), self.rendered.pieces.len());
        let written = self.response(sequence, message, summary, source.as_ref(), sections);
        if let Err(error) = written {
            self.take_back(begin, pieces);
            return self.failed(message.uid, error);
        }
        Ok(())
    }

    /// One message that cannot be read does not keep the others from the client.
    fn failed(&mut self, uid: Uid, error: StoreError) -> Result<(), StoreError> {
        match error {
            StoreError::Gone => self.rendered.gone = true,
            StoreError::Io(cause) => {
                let mailbox = self.job.mailbox.name();
                tracing::error!(%mailbox, %uid, %cause, "message cannot be read");
                self.rendered.failed = true;
            }
            other => return Err(other),
        }
        Ok(())
    }

    /// Takes a response back that could not be finished.
    fn take_back(&mut self, begin: usize, pieces: usize) {
        if self.rendered.pieces.len() > pieces {
            self.rendered.pieces.truncate(pieces + 1);
            if let Some(Piece::Bytes(bytes)) = self.rendered.pieces.pop() {
                self.out = bytes;
            }
        }
        self.out.truncate(begin);
    }

    fn response(
        &mut self,
        sequence: u32,
        message: &MessageState,
        summary: Option<&Summary>,
        source: Option<&Arc<Source>>,
        sections: Vec<Located>,
    ) -> Result<(), StoreError> {
        let job = self.job;
        let now = self.seen.as_ref().and_then(|seen| {
            let marked = seen.uids.contains(message.uid);
            let state = seen.after.by_uid(message.uid).filter(|_| marked)?;
            Some((Arc::clone(&seen.after), *state))
        });
        let (snapshot, state_now) = match &now {
            Some((after, state)) => (after, state),
            None => (&job.snapshot, message),
        };
        let mut located = sections.into_iter();
        let mut fetch = FetchWriter::begin(&mut self.out, sequence);
        for item in &job.plan.items {
            match (item, summary) {
                (FetchItem::Envelope, Some(s)) => fetch.ready("ENVELOPE", &s.envelope),
                (FetchItem::Body, Some(s)) => fetch.ready("BODY", &s.body),
                (FetchItem::BodyStructure, Some(s)) => {
                    fetch.ready("BODYSTRUCTURE", &s.body_structure);
                }
                (FetchItem::Section(section), _) => {
                    let located = located.next().unwrap_or(Located::Missing);
                    let into = (&mut self.rendered.pieces, &mut self.in_memory);
                    write_section(&mut fetch, into, section, located, source)?;
                }
                (item, _) => state(&mut fetch, item, snapshot, state_now, &job.recent),
            }
        }
        if now.is_some() {
            if !job.plan.items.contains(&FetchItem::Flags) {
                write_flags(&mut fetch, snapshot, state_now, &job.recent);
            }
            if job.plan.condstore && !job.plan.items.contains(&FetchItem::ModSeq) {
                fetch.modseq(state_now.modseq.value());
            }
            let modseq = state_now.modseq;
            self.rendered.told.push((message.uid, modseq));
        }
        fetch.end();
        Ok(())
    }
}

impl Job {
    /// A message's sections out of its header lines, in the order of the items.
    fn made_of(&self, lines: &[u8]) -> Vec<Located> {
        let made = |item: &FetchItem| match item {
            FetchItem::Section(section) => Some(source::made_of(lines, section)),
            _ => None,
        };
        self.plan.items.iter().filter_map(made).collect()
    }

    /// Finds a message's sections, in the order of the items.
    fn locate(&self, reader: MessageReader) -> Result<(Arc<Source>, Vec<Located>), StoreError> {
        let mut source = Source::of(reader);
        let mut located = Vec::with_capacity(1);
        let mut made = 0;
        for item in &self.plan.items {
            if let FetchItem::Section(section) = item {
                let found = source.locate(section)?;
                if let Located::Made(bytes) = &found {
                    made += bytes.len() as u64;
                }
                if made > MAX_MADE {
                    let what = "more header fields are asked for than are put into memory";
                    return Err(io::Error::other(what).into());
                }
                located.push(found);
            }
        }
        Ok((Arc::new(source), located))
    }
}

/// Writes a section, or leaves its octets to be streamed.
fn write_section(
    fetch: &mut FetchWriter<'_>,
    (pieces, in_memory): (&mut Vec<Piece>, &mut u64),
    section: &SectionItem,
    located: Located,
    source: Option<&Arc<Source>>,
) -> Result<(), StoreError> {
    match (located, source) {
        (Located::Octets(range), Some(source)) => {
            let length = range.end.saturating_sub(range.start);
            let inline = length <= INLINE && *in_memory + length <= IN_MEMORY;
            if !inline {
                source.check(&range)?;
            }
            fetch.section(section, length);
            if inline {
                *in_memory += length;
                source.read(&range, fetch.out())?;
            } else {
                pieces.push(Piece::Bytes(std::mem::take(fetch.out())));
                pieces.push(Piece::Octets(Arc::clone(source), range));
            }
        }
        (Located::Made(bytes), _) => {
            *in_memory += bytes.len() as u64;
            fetch.section(section, bytes.len() as u64);
            fetch.out().extend_from_slice(&bytes);
        }
        _ => fetch.missing_section(section),
    }
    Ok(())
}
