//! SEARCH (RFC 3501 §6.4.4, RFC 5032, RFC 7162 §3.1.5).
//!
//! In four steps, each only for the messages that the one before left undecided: by the snapshot, by
//! the envelopes the index keeps, by the header lines it keeps, by the messages' own octets.

mod content;
mod decode;
mod judge;
mod key;
mod needle;

use std::{collections::HashMap, sync::Arc};

use facteur_imap::{Search, write::SearchWriter};
use facteur_model::{Uid, UidSet};
use facteur_store::{Mailbox, Snapshot, StoreError};

use crate::{
    envelope,
    outcome::{Outcome, Reply, Stop},
    session::Session,
};
use content::Content;
use judge::{Known, judge};
use key::Key;

/// Messages looked into in one visit to the bridge.
const GROUP: usize = 256;
/// … and no more octets of them.
const GROUP_OCTETS: u64 = 8 << 20;
/// So much of each message is fetched from the disk ahead, where its body is asked for …
const BODY: u64 = 256 * 1024;
/// … and where only its header is.
const HEADER: u64 = 8 * 1024;
/// So many keys of messages are judged in the connection's own task: a millisecond or two. More
/// would keep other connections waiting.
const AT_ONCE: u64 = 200_000;

/// What the visits to the bridge share.
struct Job {
    key: Key,
    snapshot: Arc<Snapshot>,
    recent: UidSet,
    mailbox: Mailbox,
}

impl Session {
    pub(crate) async fn search(&mut self, search: Search) -> Outcome {
        let now = std::time::SystemTime::now();
        let selected = self.selected()?;
        let uses_modseq = key::uses_modseq(&search.key);
        let key = Key::compile(search.key, search.charset.as_deref(), selected, now)?;
        let job = Job {
            key,
            snapshot: Arc::clone(&selected.snapshot),
            recent: selected.recent.clone(),
            mailbox: selected.mailbox.clone(),
        };
        if uses_modseq {
            self.use_condstore()?;
        }
        let snapshot = Arc::clone(&job.snapshot);
        let found = self.search_with(job).await?;
        let mut highest = None;
        let mut writer = SearchWriter::begin(&mut self.out);
        for (sequence, message) in snapshot.select(&found) {
            highest = highest.max(Some(message.modseq.value()));
            writer.found(match search.uid {
                true => message.uid.value(),
                false => sequence,
            });
        }
        writer.end(highest.filter(|_| uses_modseq));
        Ok(Reply::ok("SEARCH completed"))
    }

    async fn search_with(&mut self, job: Job) -> Result<UidSet, Stop> {
        let steps = job.key.count() as u64 * u64::from(job.snapshot.len());
        let job = Arc::new(job);
        let (mut found, open) = if steps > AT_ONCE {
            let job = Arc::clone(&job);
            self.blocking(move || job.by_snapshot()).await?
        } else {
            job.by_snapshot()?
        };
        if open.is_empty() {
            return Ok(found);
        }
        let bridge = self.service.bridge.clone();
        let look = |group: Vec<Uid>| {
            let job = Arc::clone(&job);
            bridge.run(move || job.look(group))
        };
        // Two at a time: there may be more than one processor, and there are other users.
        let mut groups = groups(&open).into_iter();
        while let Some(group) = groups.next() {
            let (first, second) = match groups.next() {
                Some(other) => {
                    let (first, second) = tokio::join!(look(group), look(other));
                    (first?, second?)
                }
                None => (look(group).await?, UidSet::new()),
            };
            for (low, high) in first.ranges().chain(second.ranges()) {
                found.insert_range(low..=high);
            }
        }
        Ok(found)
    }
}

fn groups(messages: &[(Uid, u64)]) -> Vec<Vec<Uid>> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    let mut octets = 0u64;
    for (uid, size) in messages {
        octets = octets.saturating_add(*size);
        group.push(*uid);
        if group.len() >= GROUP || octets >= GROUP_OCTETS {
            groups.push(std::mem::take(&mut group));
            octets = 0;
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

impl Job {
    /// What the snapshot decides: the messages found, and those left open with their sizes.
    fn by_snapshot(&self) -> Result<(UidSet, Vec<(Uid, u64)>), StoreError> {
        let mut found = UidSet::new();
        let mut open = Vec::new();
        for message in self.snapshot.iter() {
            let known = Known::new(message, &self.snapshot, &self.recent);
            match judge(&self.key, &known, None, None)? {
                Some(true) => found.insert(message.uid),
                Some(false) => {}
                None => open.push((message.uid, message.size)),
            }
        }
        Ok((found, open))
    }

    /// Looks into messages; returns those that fulfil the key. Blocking.
    fn look(&self, group: Vec<Uid>) -> Result<UidSet, StoreError> {
        let mut envelopes = HashMap::new();
        if self.key.uses_envelope() {
            let uids: UidSet = group.iter().copied().collect();
            self.mailbox.summaries(&uids, &mut |uid, summary| {
                envelopes.insert(uid, summary.envelope.clone());
            })?;
        }
        let parsed = |uid: Uid| envelopes.get(&uid).and_then(|wire| envelope::parse(wire));
        let mut found = UidSet::new();
        let mut open = Vec::new();
        for uid in group {
            match self.judge(uid, parsed(uid).as_ref(), None, None)? {
                Some(true) => found.insert(uid),
                Some(false) => {}
                None => open.push(uid),
            }
        }
        let lines = self.header_lines(&open)?;
        let mut still_open = Vec::new();
        for uid in open {
            let Some(lines) = lines.get(&uid) else {
                still_open.push(uid);
                continue;
            };
            match self.judge(uid, parsed(uid).as_ref(), Some(lines.as_slice()), None)? {
                Some(true) => found.insert(uid),
                Some(false) => {}
                None => still_open.push(uid),
            }
        }
        let ahead = if self.key.uses_body() { BODY } else { HEADER };
        for (uid, reader) in self.mailbox.read_each(still_open.into_iter(), ahead) {
            let verdict = reader.and_then(|reader| {
                let mut content = Content::of(reader);
                let lines = lines.get(&uid).map(Vec::as_slice);
                self.judge(uid, parsed(uid).as_ref(), lines, Some(&mut content))
            });
            match verdict {
                Ok(Some(true)) => found.insert(uid),
                // Gone is not found.
                Ok(_) | Err(StoreError::Gone) => {}
                // One message that cannot be read does not keep the others from the client.
                Err(StoreError::Io(cause)) => {
                    let mailbox = self.mailbox.name();
                    tracing::error!(%mailbox, %uid, %cause, "message cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn judge(
        &self,
        uid: Uid,
        envelope: Option<&envelope::Envelope<'_>>,
        lines: Option<&[u8]>,
        content: Option<&mut Content>,
    ) -> Result<Option<bool>, StoreError> {
        let Some(message) = self.snapshot.by_uid(uid) else {
            return Ok(Some(false));
        };
        let known = Known::new(message, &self.snapshot, &self.recent).with_lines(lines);
        judge(&self.key, &known, envelope, content)
    }

    /// What these messages have of the header fields that the key names.
    fn header_lines(&self, uids: &[Uid]) -> Result<HashMap<Uid, Vec<u8>>, StoreError> {
        let mut fields = Vec::new();
        self.key.add_header_fields(&mut fields);
        let mut found = HashMap::new();
        if !fields.is_empty() && !uids.is_empty() {
            let uids = uids.iter().copied().collect();
            self.mailbox
                .header_lines(&uids, &fields, &mut |uid, lines| {
                    found.insert(uid, lines.to_vec());
                })?;
        }
        Ok(found)
    }
}
