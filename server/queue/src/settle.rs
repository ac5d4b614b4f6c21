//! The end of an attempt: what is logged, written down, and told to the sender.

use std::{
    io::{self, Read},
    sync::Arc,
};

use bytes::Bytes;
use facteur_spool::{BodyReader, Change, Entry, Recipient, RecipientState, Schedule, SpoolError};
use tracing::{error, info};

use crate::{
    attempt::{Context, Ended, hop_label},
    bounce,
    outcome::Outcome,
    schedule,
    session::BodySource,
};

/// How long after a failure of the spool the outcomes are written down again, in seconds.
const RETRY_AFTER: i64 = 10;

/// Makes the outcomes durable, with the notices they call for. An outcome of `None` means that the
/// recipient was not tried.
pub(crate) async fn settle(
    context: &Arc<Context>,
    entry: &Arc<Entry>,
    outcomes: Vec<Option<Outcome>>,
) -> Ended {
    let now = context.clock.now();
    let expired = now >= schedule::gives_up_at(entry, &context.options());
    let outcomes: Vec<Option<Outcome>> = outcomes
        .into_iter()
        .map(|outcome| {
            if expired {
                outcome.map(given_up)
            } else {
                outcome
            }
        })
        .collect();
    let tried = entry.recipients.iter().zip(&outcomes);
    for (recipient, outcome) in tried.clone() {
        if let Some(outcome) = outcome {
            log(context, entry, recipient, outcome, now);
        }
    }
    let attempted = outcomes.iter().any(Option::is_some);
    let left: Vec<&Recipient> = tried
        .clone()
        .filter(|(_, outcome)| matches!(outcome, None | Some(Outcome::Delayed(_))))
        .map(|(recipient, _)| recipient)
        .collect();
    let done = left.is_empty();
    let next = if attempted {
        schedule::next_attempt(entry, &context.options(), now)
    } else {
        // Nothing was tried: the queue is stopping, or the next hop has enough to do.
        now + RETRY_AFTER
    };
    let mut change = states(tried);
    if attempted && !done {
        change.schedule = Some(Schedule {
            next_attempt_at: next,
            attempts: entry.attempts + 1,
        });
    }
    let work = Writing {
        entry: Arc::clone(entry),
        outcomes: outcomes.into(),
        change,
        done,
    };
    if !work.write_down(context).await {
        return Ended::Dropped;
    }
    if done {
        Ended::Done
    } else {
        Ended::Again(next)
    }
}

/// What changes about the recipients.
fn states<'a>(tried: impl Iterator<Item = (&'a Recipient, &'a Option<Outcome>)>) -> Change {
    let mut change = Change::default();
    for (recipient, outcome) in tried {
        let Some(outcome) = outcome else { continue };
        let state = match outcome {
            Outcome::Delayed(status) => RecipientState::Pending {
                last: Some(status.clone()),
            },
            _ => RecipientState::Done,
        };
        if state != recipient.state {
            change.recipients.push((recipient.delivery, state));
        }
    }
    change
}

/// Why the outcomes could not be written down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Store(#[from] facteur_store::StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is to be written down.
#[derive(Clone)]
struct Writing {
    entry: Arc<Entry>,
    outcomes: Arc<[Option<Outcome>]>,
    change: Change,
    done: bool,
}

impl Writing {
    /// Writes until it is durable; `false` when that is out of question. What was done must not be
    /// done again: there is no way on before it is written down.
    async fn write_down(self, context: &Arc<Context>) -> bool {
        let mut noticed = None;
        loop {
            let (this, context_) = (self.clone(), Arc::clone(context));
            let (now_noticed, result) = context
                .bridge
                .run(move || this.once(&context_, noticed))
                .await;
            // A notice that went out is not sent again because what follows it failed.
            noticed = now_noticed;
            let error = match result {
                Ok(()) => return true,
                Err(WriteError::Spool(SpoolError::Gone)) => return false,
                Err(error) => error,
            };
            error!(%error, "outcomes cannot be written to the spool");
            if matches!(error, WriteError::Spool(SpoolError::Damaged(_))) {
                return false;
            }
            tokio::select! {
                () = context.clock.sleep_until(context.clock.now() + RETRY_AFTER) => {}
                () = context.stopping.cancelled() => return false,
            }
        }
    }

    /// Writes, beginning after what `noticed` says was done; says it of this time.
    fn once(
        &self,
        context: &Context,
        noticed: Option<bool>,
    ) -> (Option<bool>, Result<(), WriteError>) {
        let committed = match noticed {
            Some(noticed) => Ok(noticed),
            None => bounce::commit(context, &self.entry, &self.outcomes, self.change.clone()),
        };
        let noticed = match committed {
            Ok(noticed) => noticed,
            Err(error) => return (None, Err(error)),
        };
        let id = &self.entry.queue_id;
        let written = if self.done {
            context.spool.remove(id).map(|_| ())
        } else if noticed || self.change.is_empty() {
            Ok(())
        } else {
            context.spool.update(id, &self.change)
        };
        (Some(noticed), written.map_err(WriteError::from))
    }
}

/// A delay of a message that has been tried long enough.
fn given_up(outcome: Outcome) -> Outcome {
    let Outcome::Delayed(mut status) = outcome else {
        return outcome;
    };
    if status.remote.is_none() {
        status
            .text
            .push_str(" (it was tried for as long as this server tries)");
    }
    Outcome::Failed {
        status,
        reason: None,
    }
}

fn log(context: &Context, entry: &Entry, recipient: &Recipient, outcome: &Outcome, now: i64) {
    let status = outcome.status();
    let relay = match &status.remote {
        Some(remote) => remote.clone(),
        None => hop_label(context, recipient),
    };
    // The span says which message.
    info!(
        recipient = %recipient.forward_path,
        original = %recipient.original,
        action = outcome.action(),
        status = %status.enhanced,
        relay,
        delay = now.saturating_sub(entry.accepted_at),
        reply = %status.text,
        "recipient attempted"
    );
}

/// The body of an entry for a session: header lines of ours first, then the file in pieces.
pub(crate) struct SpoolBody {
    context: Arc<Context>,
    entry: Arc<Entry>,
    state: BodyState,
}

enum BodyState {
    Begin,
    Open(BodyReader),
    End,
}

/// Read at a time.
const PIECE: usize = 64 * 1024;

impl SpoolBody {
    pub(crate) fn new(context: &Arc<Context>, entry: &Arc<Entry>) -> Self {
        Self {
            context: Arc::clone(context),
            entry: Arc::clone(entry),
            state: BodyState::Begin,
        }
    }
}

impl BodySource for SpoolBody {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let state = std::mem::replace(&mut self.state, BodyState::End);
        if matches!(state, BodyState::End) {
            return Ok(None);
        }
        let (entry, spool) = (Arc::clone(&self.entry), self.context.spool.clone());
        let read = move || -> io::Result<(BodyState, Bytes)> {
            let (mut reader, mut piece) = match state {
                BodyState::Begin => {
                    let reader = spool.body(&entry.queue_id).map_err(io::Error::other)?;
                    (reader, Vec::from(entry.prefix.as_bytes()))
                }
                BodyState::Open(reader) => (reader, Vec::new()),
                BodyState::End => return Ok((BodyState::End, Bytes::new())),
            };
            (&mut reader).take(PIECE as u64).read_to_end(&mut piece)?;
            let state = if reader.left() == 0 {
                BodyState::End
            } else {
                BodyState::Open(reader)
            };
            Ok((state, Bytes::from(piece)))
        };
        let (state, piece) = self.context.bridge.run(read).await?;
        self.state = state;
        Ok((!piece.is_empty()).then_some(piece))
    }
}
