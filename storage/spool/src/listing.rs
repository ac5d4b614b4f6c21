//! Going through everything in the spool.

use std::collections::VecDeque;

use tracing::{error, warn};

use crate::{
    Entry, QueueId, Spool, SpoolError,
    spool::{MESSAGE, SHARDS},
};

/// The entries of the spool, each read when it is asked for. Ordered within a directory only.
#[derive(Debug)]
pub struct Entries {
    spool: Spool,
    ids: Ids,
}

impl Entries {
    pub(crate) fn new(spool: Spool) -> Self {
        let ids = Ids::new(spool.clone(), MESSAGE);
        Self { spool, ids }
    }

    /// The same, of which all names are read now: what is added later is not among them.
    #[must_use]
    pub fn as_of_now(mut self) -> Self {
        while self.ids.read_shard() {}
        self
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let (shard, id) = self.ids.next()?;
            let entry = self.spool.entry(&id);
            if let Some(entry) = or_set_aside(&self.spool, shard, &id, MESSAGE, entry) {
                return Some(entry);
            }
        }
    }
}

/// What was read; or nothing, after what is wrong was reported and a damaged file set aside.
pub(crate) fn or_set_aside<T>(
    spool: &Spool,
    shard: usize,
    id: &QueueId,
    kind: &str,
    read: Result<T, SpoolError>,
) -> Option<T> {
    match read {
        Ok(value) => return Some(value),
        // Removed since the directory was read.
        Err(SpoolError::Gone) => {}
        Err(SpoolError::Damaged(what)) => {
            error!(queue_id = %id, what, "spool file is damaged; moved to the spool's damaged/");
            if let Err(error) = spool.set_aside(shard, &format!("{id}.{kind}")) {
                error!(queue_id = %id, %error, "damaged spool file cannot be moved");
            }
        }
        Err(error) => error!(queue_id = %id, %error, "spool file cannot be read; left alone"),
    }
    None
}

/// The names of the files of one kind, directory by directory.
#[derive(Debug)]
pub(crate) struct Ids {
    spool: Spool,
    kind: &'static str,
    next_shard: usize,
    found: VecDeque<(usize, QueueId)>,
}

impl Ids {
    pub(crate) fn new(spool: Spool, kind: &'static str) -> Self {
        Self {
            spool,
            kind,
            next_shard: 0,
            found: VecDeque::new(),
        }
    }

    /// Reads the names in one more directory; `false` when there is none.
    fn read_shard(&mut self) -> bool {
        let shard = self.next_shard;
        if shard == SHARDS {
            return false;
        }
        self.next_shard += 1;
        let mut names = self.spool.names(shard).unwrap_or_else(|error| {
            warn!(shard, %error, "spool cannot be listed");
            Vec::new()
        });
        names.sort_unstable();
        let ids = names.iter().filter_map(|name| {
            let (id, kind) = name.split_once('.')?;
            // Only in the spelling that a path is made of.
            let parsed = QueueId::parse(id).filter(|parsed| parsed.as_str() == id)?;
            (kind == self.kind).then_some((shard, parsed))
        });
        self.found.extend(ids);
        true
    }
}

impl Iterator for Ids {
    /// The shard it lies in, and its name.
    type Item = (usize, QueueId);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Some(found);
            }
            if !self.read_shard() {
                return None;
            }
        }
    }
}
