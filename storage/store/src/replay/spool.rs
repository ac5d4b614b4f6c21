//! Doing a journal's changes again to the spool.

use std::{
    cell::Cell,
    io::{self, Read},
};

use facteur_spool::{Change as SpoolChange, Entry, Logged, QueueId, Spool, SpoolError};

use super::whole;
use crate::{
    StoreError,
    record::{Content, SpoolRecord, body_of},
};

/// Does a change to the spool again.
pub(super) fn redo(
    spool: &Spool,
    change: &SpoolRecord,
    bodies: &[&[u8]],
    rewrite: &Cell<bool>,
) -> Result<(), StoreError> {
    let done = match change {
        SpoolRecord::Add { entry, content } => {
            let entry: Entry = serde_json::from_slice(entry).map_err(io::Error::from)?;
            let id = &entry.queue_id;
            let there = spool.entry(id).is_ok();
            match content {
                Content::Inline { body, .. } => {
                    let mut body = body_of(bodies, *body)?;
                    if there && !rewrite.get() {
                        if has(spool, id, body)? {
                            return Ok(());
                        }
                        whole::doubt(rewrite, id.as_str().as_ref());
                    }
                    spool.stage(&entry, &mut body, false)?.install()
                }
                Content::File { .. } if there => Ok(()),
                Content::There => Ok(()),
                Content::File { name } => match spool.staged_as(id, name) {
                    Some(staged) => staged.install(),
                    None => Ok(()),
                },
            }
        }
        SpoolRecord::Update { id, change } => match QueueId::parse(id) {
            Some(id) => {
                let change: SpoolChange =
                    serde_json::from_slice(change).map_err(io::Error::from)?;
                spool.redo(Logged::Update(&id, &change))
            }
            None => Ok(()),
        },
        SpoolRecord::Remove { id } => match QueueId::parse(id) {
            Some(id) => spool.redo(Logged::Remove(&id)),
            None => Ok(()),
        },
    };
    match done {
        // It was removed since.
        Err(SpoolError::Gone) => Ok(()),
        Err(SpoolError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => Ok(result?),
    }
}

/// Whether an entry has this body.
fn has(spool: &Spool, id: &QueueId, expected: &[u8]) -> Result<bool, StoreError> {
    let mut body = spool.body(id)?;
    if body.len() != expected.len() as u64 {
        return Ok(false);
    }
    let mut found = Vec::with_capacity(expected.len());
    match body.read_to_end(&mut found) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => Ok(read.map(|_| found == expected)?),
    }
}
