//! One next hop: the work that waits for it, and the connections that do it.
//!
//! Each connection is a task that takes one job after the other, waits a moment for more, and says
//! goodbye. So connections are reused without a cache, and their number bounds itself.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use facteur_address::Address;
use facteur_smtp::{client::Message, command};
use facteur_spool::{BodyType, Entry, QueueId};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, oneshot},
    time::timeout,
};
use tracing::{Instrument, debug, info_span};

use crate::{
    NextHop, Options,
    attempt::Context,
    outcome::Outcome,
    resolve,
    scheduler::Command,
    session::{OpenError, Session},
    settle::SpoolBody,
};

/// A message for some recipients at one next hop.
#[derive(Debug)]
pub(crate) struct Job {
    entry: Arc<Entry>,
    forward_paths: Vec<Address>,
    done: oneshot::Sender<Vec<Outcome>>,
}

/// A next hop in use. It is forgotten when nobody uses it and nothing is known against it.
#[derive(Debug)]
pub(crate) struct Destination {
    hop: NextHop,
    state: Mutex<State>,
    work: Notify,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Entries that come back when there is room.
    parked: VecDeque<QueueId>,
    /// Connections, or tasks about to make one.
    workers: usize,
    /// Those that wait for a job.
    waiting: usize,
    /// Nothing is tried before then: the last attempt to connect failed.
    dead: Option<(i64, Outcome)>,
}

/// Whether a next hop takes an entry now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It does.
    Admitted,
    /// It has too much to do.
    Full,
    /// It has too much to do, and calls the entry back later.
    Parked,
}

/// How many jobs may wait for one next hop.
fn backlog_limit(options: &Options) -> usize {
    (options.message_active_limit / 2)
        .max(options.destination_concurrency_limit)
        .max(1)
}

impl Destination {
    pub(crate) fn new(hop: NextHop) -> Self {
        Self {
            hop,
            state: Mutex::default(),
            work: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it can be forgotten.
    pub(crate) fn is_unused(&self, now: i64) -> bool {
        let state = self.state();
        let dead = state.dead.as_ref().is_some_and(|(until, _)| *until > now);
        state.jobs.is_empty() && state.parked.is_empty() && state.workers == 0 && !dead
    }

    /// Whether it can take more; an entry that goes nowhere else is parked when it cannot, until
    /// it can.
    pub(crate) fn admit(&self, context: &Context, id: &QueueId, alone: bool) -> Admission {
        let mut state = self.state();
        if state.jobs.len() < backlog_limit(&context.options()) {
            return Admission::Admitted;
        }
        if !alone {
            return Admission::Full;
        }
        state.parked.push_back(id.clone());
        Admission::Parked
    }

    /// Forgets that it did not answer (`facteur queue flush`).
    pub(crate) fn revive(&self) {
        self.state().dead = None;
    }

    /// Forgets what waits: the queue stops.
    pub(crate) fn abandon(&self) {
        self.state().jobs.clear();
        self.work.notify_waiters();
    }

    /// Hands a message over; the outcomes come in the order of `forward_paths`. The sender is
    /// dropped when the queue stops before they are known.
    pub(crate) fn submit(
        self: &Arc<Self>,
        context: &Arc<Context>,
        entry: Arc<Entry>,
        forward_paths: Vec<Address>,
    ) -> oneshot::Receiver<Vec<Outcome>> {
        let (done, outcomes) = oneshot::channel();
        if context.is_stopping() {
            return outcomes;
        }
        let job = Job {
            entry,
            forward_paths,
            done,
        };
        let mut state = self.state();
        if let Some((until, outcome)) = &state.dead {
            if *until > context.clock.now() {
                job.finish_all(outcome);
                return outcomes;
            }
            state.dead = None;
        }
        state.jobs.push_back(job);
        let limit = context.options().destination_concurrency_limit.max(1);
        if state.jobs.len() > state.waiting && state.workers < limit {
            state.workers += 1;
            let worker = Worker {
                destination: Arc::clone(self),
                session: None,
                permit: None,
            };
            let span = info_span!("relay", next_hop = %self.hop);
            // A stopped queue drops its context, and its connections end.
            context.spawn(worker.run(Arc::downgrade(context)).instrument(span));
        } else {
            self.work.notify_one();
        }
        outcomes
    }

    /// The next job. When few are left, parked entries are called back.
    fn take(&self, context: &Context) -> Option<Job> {
        let mut state = self.state();
        let job = state.jobs.pop_front();
        let limit = backlog_limit(&context.options());
        if !state.parked.is_empty() && state.jobs.len() <= limit / 2 {
            let count = (limit - state.jobs.len()).min(state.parked.len());
            for id in state.parked.drain(..count) {
                // The scheduler is gone only when the queue stops.
                let _ = context.scheduler.send(Command::Now(id));
            }
        }
        job
    }

    /// Tells everything that waits the same.
    fn give_up(&self, context: &Context, outcome: &Outcome, dead_until: Option<i64>) {
        let (jobs, parked) = {
            let mut state = self.state();
            state.dead = dead_until.map(|until| (until, outcome.clone()));
            (
                std::mem::take(&mut state.jobs),
                std::mem::take(&mut state.parked),
            )
        };
        for id in parked {
            let _ = context.scheduler.send(Command::Now(id));
        }
        for job in jobs {
            job.finish_all(outcome);
        }
    }
}

impl Job {
    fn finish(self, outcomes: Vec<Outcome>) {
        // Nobody waits for it any more when the queue stops.
        let _ = self.done.send(outcomes);
    }

    fn finish_all(self, outcome: &Outcome) {
        let outcomes = vec![outcome.clone(); self.forward_paths.len()];
        self.finish(outcomes);
    }

    fn message(&self) -> Message {
        Message {
            reverse_path: Address::parse(&self.entry.reverse_path).ok(),
            forward_paths: self.forward_paths.clone(),
            size: self.entry.size + self.entry.prefix.len() as u64,
            body: match self.entry.body_type {
                BodyType::SevenBit => command::BodyType::SevenBit,
                BodyType::EightBitMime => command::BodyType::EightBitMime,
            },
        }
    }
}

/// A connection, or the want of one.
struct Worker {
    destination: Arc<Destination>,
    session: Option<Session>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Worker {
    async fn run(mut self, context: Weak<Context>) {
        loop {
            let Some(job) = self.next_job(&context).await else {
                break;
            };
            let Some(context) = context.upgrade() else {
                break;
            };
            self.work(&context, job).await;
        }
        if let Some(session) = self.session.take() {
            session.quit().await;
        }
    }

    /// The next job; `None` when there was none for a while, and this worker is no longer counted.
    async fn next_job(&mut self, context: &Weak<Context>) -> Option<Job> {
        let destination = Arc::clone(&self.destination);
        loop {
            let linger = {
                let context = context.upgrade()?;
                if let Some(job) = destination.take(&context) {
                    return Some(job);
                }
                let keep = self.session.is_some() && !context.is_stopping();
                if keep {
                    context.options().connection_cache_time
                } else {
                    Duration::ZERO
                }
            };
            let notified = destination.work.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let mut state = destination.state();
                if !state.jobs.is_empty() {
                    continue;
                }
                if linger.is_zero() {
                    state.workers -= 1;
                    return None;
                }
                state.waiting += 1;
            }
            let ended = self.wait(linger, notified).await;
            let mut state = destination.state();
            state.waiting -= 1;
            if ended && state.jobs.is_empty() {
                state.workers -= 1;
                return None;
            }
        }
    }

    /// Waits for work; says whether there was none.
    async fn wait(&mut self, linger: Duration, notified: impl Future<Output = ()>) -> bool {
        let Some(session) = &mut self.session else {
            return true;
        };
        let closed = tokio::select! {
            () = notified => return false,
            closed = timeout(linger, session.closed()) => closed.is_ok(),
        };
        if closed {
            self.session = None;
        }
        true
    }

    async fn work(&mut self, context: &Arc<Context>, job: Job) {
        if self.permit.is_none() {
            self.permit = Arc::clone(&context.connections).acquire_owned().await.ok();
        }
        for _ in 0..2 {
            if self.session.is_none() {
                match self.open(context).await {
                    Ok(session) => self.session = Some(session),
                    Err(outcome) => return self.cannot_connect(context, job, &outcome),
                }
            }
            let Some(session) = &mut self.session else {
                break;
            };
            let mut body = SpoolBody::new(context, &job.entry);
            let sent = session.send(job.message(), &mut body).await;
            let reused_in_vain = sent.untouched && session.is_used();
            if !session.is_idle() {
                self.session = None;
            }
            if reused_in_vain {
                // The peer had hung up on an idle connection.
                continue;
            }
            return job.finish(sent.outcomes);
        }
        job.finish_all(&Outcome::delayed("4.4.2", "peer closes every connection"));
    }

    fn cannot_connect(&self, context: &Arc<Context>, job: Job, outcome: &Outcome) {
        debug!(reason = %outcome.status().text, "no connection");
        let temporary = matches!(outcome, Outcome::Delayed(_));
        let until = context.clock.now() + context.options().minimal_backoff_time;
        job.finish_all(outcome);
        self.destination
            .give_up(context, outcome, temporary.then_some(until));
    }

    /// Tries one address after the other.
    async fn open(&self, context: &Arc<Context>) -> Result<Session, Outcome> {
        let hop = &self.destination.hop;
        let candidates = resolve::candidates(hop, &context.options(), &context.dns).await?;
        let mut last = Outcome::delayed("4.4.1", format!("no address of {hop} to connect to"));
        for candidate in &candidates {
            let tls = Some(&context.tls);
            let mut opened = Session::open(candidate, hop.dialect, &context.options(), tls).await;
            if let Err(OpenError::Tls(why)) = &opened {
                debug!(
                    host = candidate.host,
                    why, "TLS failed; connecting again in clear"
                );
                opened = Session::open(candidate, hop.dialect, &context.options(), None).await;
            }
            match opened {
                Ok(session) => return Ok(session),
                Err(OpenError::Loop(outcome)) => return Err(outcome),
                Err(OpenError::Unusable(outcome)) => last = outcome,
                Err(OpenError::Tls(why)) => last = Outcome::delayed("4.7.0", why),
            }
            debug!(host = candidate.host, reason = %last.status().text, "server passed over");
        }
        Err(last)
    }
}
