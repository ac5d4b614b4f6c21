//! Which entry is tried when.
//!
//! Of an entry that waits only its name and its time are kept; it is read again when its time has
//! come, so that what the operator did meanwhile counts. A fresh one comes with what it holds.

use std::{
    collections::{BTreeSet, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use facteur_spool::{Entry, QueueId, SpoolError};
use futures_util::FutureExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tracing::{Instrument, error, info_span};

use crate::attempt::{Context, Ended, attempt};

/// What the scheduler is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// It was committed just now.
    Fresh(Entry),
    /// These wait until then.
    Waiting(Vec<(i64, QueueId)>),
    /// To be tried now, whatever its time is.
    Now(QueueId),
    /// All of them.
    AllNow,
    /// An attempt has ended.
    Ended(QueueId, Ended),
}

/// The time of an entry that is to be tried whatever its own time says.
const AT_ONCE: i64 = i64::MIN;
/// How long after the disk failed an entry is read again, in seconds.
const READ_AGAIN_AFTER: i64 = 60;

pub(crate) struct Scheduler {
    context: Arc<Context>,
    commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Command>,
    waiting: BTreeSet<(i64, QueueId)>,
    active: HashSet<QueueId>,
    /// To be tried at once when the attempt under way has ended.
    again: HashSet<QueueId>,
}

impl Scheduler {
    pub(crate) fn new(
        context: Arc<Context>,
        commands: UnboundedReceiver<Command>,
        reports: UnboundedSender<Command>,
    ) -> Self {
        Self {
            context,
            commands,
            reports,
            waiting: BTreeSet::new(),
            active: HashSet::new(),
            again: HashSet::new(),
        }
    }

    /// Runs until the queue stops.
    pub(crate) async fn run(mut self) {
        let context = Arc::clone(&self.context);
        loop {
            let next = self.start_due();
            let timer = async {
                match next {
                    Some(at) => context.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = context.stopping.cancelled() => return,
                command = self.commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                () = timer => {}
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Fresh(entry) => self.fresh(entry),
            Command::Waiting(entries) => self.waiting.extend(entries),
            Command::Now(id) if self.active.contains(&id) => {
                self.again.insert(id);
            }
            Command::Now(id) => {
                self.waiting.insert((AT_ONCE, id));
            }
            Command::AllNow => {
                let all = std::mem::take(&mut self.waiting);
                self.waiting = all.into_iter().map(|(_, id)| (AT_ONCE, id)).collect();
            }
            Command::Ended(id, ended) => {
                self.active.remove(&id);
                if self.again.remove(&id) {
                    self.waiting.insert((AT_ONCE, id));
                } else if let Ended::Again(at) = ended {
                    self.waiting.insert((at, id));
                }
            }
        }
    }

    fn fresh(&mut self, entry: Entry) {
        let (at, id) = (entry.next_attempt_at, entry.queue_id.clone());
        if at > self.context.clock.now() || self.active.len() >= self.limit() {
            self.waiting.insert((at, id));
        } else if self.active.insert(id.clone()) {
            self.start(id, Some(entry), false);
        }
    }

    fn limit(&self) -> usize {
        self.context.options().message_active_limit.max(1)
    }

    /// Whether what waited has all its places. A quarter is for what comes in: a long backlog does
    /// not hold up new mail.
    fn is_full(&self) -> bool {
        self.active.len() >= (self.limit() - self.limit() / 4)
    }

    /// Starts what is due; says when the next one is.
    fn start_due(&mut self) -> Option<i64> {
        let now = self.context.clock.now();
        loop {
            let (at, _) = self.waiting.first()?;
            if *at > now {
                return Some(*at);
            }
            // An attempt that ends makes room, and wakes us.
            if self.is_full() {
                return None;
            }
            let (at, id) = self.waiting.pop_first()?;
            if self.active.insert(id.clone()) {
                self.start(id, None, at == AT_ONCE);
            }
        }
    }

    fn start(&self, id: QueueId, entry: Option<Entry>, at_once: bool) {
        let (context, reports) = (Arc::clone(&self.context), self.reports.clone());
        let span = info_span!("transaction", queue_id = %id);
        let task = async move {
            let attempt = AssertUnwindSafe(run_one(&context, &id, entry, at_once));
            let ended = attempt.catch_unwind().await.unwrap_or_else(|_| {
                error!("attempt panicked; the entry is tried again later");
                Ended::Again(context.clock.now() + READ_AGAIN_AFTER)
            });
            // The scheduler is gone only when the queue stops.
            let _ = reports.send(Command::Ended(id, ended));
        };
        self.context.spawn(task.instrument(span));
    }
}

async fn run_one(
    context: &Arc<Context>,
    id: &QueueId,
    entry: Option<Entry>,
    at_once: bool,
) -> Ended {
    let now = context.clock.now();
    let entry = match entry {
        Some(entry) => entry,
        None => {
            let wanted = id.clone();
            match context.on_spool(move |spool| spool.entry(&wanted)).await {
                Ok(entry) => entry,
                Err(SpoolError::Gone) => return Ended::Dropped,
                Err(error @ SpoolError::Io(_)) => {
                    error!(%error, "entry cannot be read now");
                    return Ended::Again(now + READ_AGAIN_AFTER);
                }
                Err(error) => {
                    error!(%error, "entry cannot be read; left alone");
                    return Ended::Dropped;
                }
            }
        }
    };
    if entry.held {
        return Ended::Dropped;
    }
    if entry.next_attempt_at > now && !at_once {
        return Ended::Again(entry.next_attempt_at);
    }
    attempt(context, entry).await
}
