//! The operator's hand on the queue: what `facteur queue` does, with a server running or without.
//!
//! With one running, [`Request`] comes through its control socket, and each entry asked for is an
//! item of the answer.

use facteur_control::{Answers, Refused};
use facteur_spool::{Change, Entry, QueueId, RecipientState, Spool, SpoolError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Queue;

/// What the control socket calls it.
pub const VERB: &str = "queue";

/// What the operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum Request {
    /// Every entry.
    List,
    /// One entry.
    Show {
        /// Which.
        id: String,
    },
    /// Try it now, or everything.
    Flush {
        /// Which; `None` is all.
        id: Option<String>,
    },
    /// Keep it back.
    Hold {
        /// Which.
        id: String,
    },
    /// Let it go on.
    Release {
        /// Which.
        id: String,
    },
    /// Remove it; nobody is told.
    Delete {
        /// Which.
        id: String,
    },
}

/// Entries are read this many at a time.
const CHUNK: usize = 100;

/// Does what is wanted of the running queue.
///
/// # Errors
/// When there is no such entry, when it cannot be done, or the disk fails.
pub async fn carry_out(queue: Queue, request: Request, answers: Answers) -> Result<Value, Refused> {
    if request == Request::List {
        list(&queue, &answers).await?;
        return Ok(Value::Null);
    }
    let this = queue.clone();
    let found = queue.blocking(move || change(&this, &request)).await?;
    if let Some(entry) = found {
        answers.item(&entry).await?;
    }
    Ok(Value::Null)
}

async fn list(queue: &Queue, answers: &Answers) -> Result<(), Refused> {
    let mut entries = queue.spool().entries();
    loop {
        let (rest, chunk) = queue
            .blocking(move || {
                let chunk: Vec<Entry> = entries.by_ref().take(CHUNK).collect();
                (entries, chunk)
            })
            .await;
        entries = rest;
        if chunk.is_empty() {
            return Ok(());
        }
        for entry in chunk {
            answers.item(&entry).await?;
        }
    }
}

/// Blocks.
fn change(queue: &Queue, request: &Request) -> Result<Option<Entry>, Refused> {
    refuse_held(queue.spool(), request)?;
    match request {
        Request::List => {}
        Request::Show { id } => {
            let entry = queue.spool().entry(&parse(id)?);
            return entry.map(Some).map_err(Refused::because);
        }
        Request::Flush { id: None } => queue.flush_all(),
        Request::Flush { id: Some(id) } => queue.flush(&parse(id)?).map_err(Refused::because)?,
        Request::Hold { id } => queue.hold(&parse(id)?, true).map_err(Refused::because)?,
        Request::Release { id } => queue.hold(&parse(id)?, false).map_err(Refused::because)?,
        Request::Delete { id } => queue.delete(&parse(id)?).map_err(Refused::because)?,
    }
    Ok(None)
}

/// Does what is wanted where no server runs: on the spool of a store that the caller has opened.
/// Calls `each` with the entries asked for. What is flushed is tried when a server starts.
///
/// # Errors
/// When there is no such entry, when it cannot be done, or the disk fails.
pub fn carry_out_offline(
    spool: &Spool,
    request: &Request,
    each: &mut dyn FnMut(Entry),
) -> Result<(), Refused> {
    refuse_held(spool, request)?;
    let update = |id: &QueueId, change: &Change| {
        let updated = spool.update(id, change);
        updated.map_err(Refused::because)
    };
    let now = |entry: Entry| {
        let schedule = facteur_spool::Schedule {
            next_attempt_at: 0,
            attempts: entry.attempts,
        };
        let change = Change {
            schedule: Some(schedule),
            ..Change::default()
        };
        update(&entry.queue_id, &change)
    };
    let hold = |id: &str, held| {
        let change = Change {
            held: Some(held),
            ..Change::default()
        };
        update(&parse(id)?, &change)
    };
    let entry = |id: &str| spool.entry(&parse(id)?).map_err(Refused::because);
    match request {
        Request::List => spool.entries().for_each(each),
        Request::Show { id } => each(entry(id)?),
        Request::Flush { id: None } => spool.entries().try_for_each(now)?,
        Request::Flush { id: Some(id) } => now(entry(id)?)?,
        Request::Hold { id } => hold(id, true)?,
        Request::Release { id } => hold(id, false)?,
        Request::Delete { id } => {
            if !spool.remove(&parse(id)?).map_err(Refused::because)? {
                return Err(Refused::because(SpoolError::Gone));
            }
        }
    }
    Ok(())
}

/// Trying one entry that is kept back would do nothing: it is said.
fn refuse_held(spool: &Spool, request: &Request) -> Result<(), Refused> {
    let Request::Flush { id: Some(id) } = request else {
        return Ok(());
    };
    match spool.entry(&parse(id)?) {
        Ok(entry) if entry.held => Err(Refused(
            "the message is held: release it, and it is tried".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn parse(id: &str) -> Result<QueueId, Refused> {
    QueueId::parse(id).ok_or_else(|| Refused::because(SpoolError::Gone))
}

/// How a recipient stands, in a few words.
pub fn describe(state: &RecipientState) -> String {
    match state {
        RecipientState::Pending { last: None } => "not tried yet".to_owned(),
        RecipientState::Pending { last: Some(status) } => {
            format!("delayed {}: {}", status.enhanced, status.text)
        }
        RecipientState::Failed(status) => format!("failed {}: {}", status.enhanced, status.text),
        RecipientState::Done => "done".to_owned(),
    }
}
