//! One next hop: the work that waits for it, and how many connections do it.
//!
//! It begins with a few connections; as long as all goes well there are more and more, up to the
//! limit. A server that refuses one while it keeps others takes no more at once, and is given no
//! more; when it refuses the last one it is left alone for a while.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use facteur_address::Address;
use facteur_smtp::{client::Message, command};
use facteur_spool::{BodyType, Entry, QueueId};
use tokio::sync::{Notify, oneshot};
use tracing::{Instrument, info_span};

use crate::{
    NextHop, Options,
    attempt::Context,
    outcome::Outcome,
    scheduler::Command,
    session::{After, Session},
    settle::SpoolBody,
    worker::Worker,
};

/// A message for some recipients at one next hop.
#[derive(Debug)]
pub(crate) struct Job {
    entry: Arc<Entry>,
    forward_paths: Vec<Address>,
    /// In the same order.
    outcomes: Vec<Option<Outcome>>,
    done: oneshot::Sender<Vec<Outcome>>,
}

/// A next hop in use. It is forgotten when nobody uses it and nothing is known against it.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) hop: NextHop,
    state: Mutex<State>,
    pub(crate) work: Notify,
}

/// How many connections there are at first (Postfix's initial_destination_concurrency).
const INITIAL_CONCURRENCY: usize = 5;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) jobs: VecDeque<Job>,
    /// Entries that come back when there is room.
    parked: VecDeque<QueueId>,
    /// Connections, or tasks about to make one.
    pub(crate) workers: usize,
    /// Those that wait for a job.
    pub(crate) waiting: usize,
    /// How many workers the peer is believed to bear.
    concurrency: usize,
    /// Messages sent since that number changed.
    successes: usize,
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

/// How many jobs may wait for one next hop: enough to keep its connections busy, and few enough
/// that a handful of servers that do not answer leave room for the others.
fn backlog_limit(options: &Options) -> usize {
    (options.message_active_limit / 8)
        .max(options.destination_concurrency_limit)
        .max(1)
}

impl Destination {
    pub(crate) fn new(hop: NextHop) -> Self {
        Self {
            hop,
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                parked: VecDeque::new(),
                workers: 0,
                waiting: 0,
                concurrency: INITIAL_CONCURRENCY,
                successes: 0,
                dead: None,
            }),
            work: Notify::new(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
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
            outcomes: vec![None; forward_paths.len()],
            forward_paths,
            done,
        };
        let mut state = self.state();
        if let Some((until, outcome)) = &state.dead {
            if *until > context.clock.now() {
                job.finish(outcome);
                return outcomes;
            }
            state.dead = None;
        }
        state.jobs.push_back(job);
        if state.jobs.len() > state.waiting && state.has_room(context) {
            self.hire(context, &mut state);
        } else {
            self.work.notify_one();
        }
        outcomes
    }

    /// One more connection.
    fn hire(self: &Arc<Self>, context: &Arc<Context>, state: &mut State) {
        state.workers += 1;
        let worker = Worker::new(Arc::clone(self));
        // Of its own: it does the work of many messages, not only of the one it is hired for.
        let span = info_span!(parent: None, "relay", next_hop = %self.hop);
        // A stopped queue drops its context, and its connections end.
        context.spawn(worker.run(Arc::downgrade(context)).instrument(span));
    }

    /// A connection came about and a message was handed over: when as many were as there may be
    /// connections, there may be one more.
    pub(crate) fn succeeded(self: &Arc<Self>, context: &Arc<Context>) {
        let mut state = self.state();
        state.successes += 1;
        if state.successes < state.concurrency {
            return;
        }
        let limit = context.options().destination_concurrency_limit.max(1);
        state.successes = 0;
        state.concurrency = (state.concurrency + 1).min(limit);
        if state.jobs.len() > state.waiting && state.has_room(context) {
            self.hire(context, &mut state);
        }
    }

    /// No connection came about for `job`. Says whether the worker goes on.
    ///
    /// While there are others the peer may only have had enough of us: then they do the work.
    pub(crate) fn refused(&self, context: &Context, job: Job, outcome: &Outcome) -> bool {
        let temporary = matches!(outcome, Outcome::Delayed(_));
        if temporary && !context.is_stopping() {
            let mut state = self.state();
            if state.workers > 1 {
                state.workers -= 1;
                state.concurrency = state.workers;
                state.successes = 0;
                state.jobs.push_front(job);
                self.work.notify_one();
                return false;
            }
        }
        let until = context.clock.now() + context.options().minimal_backoff_time;
        job.finish(outcome);
        self.give_up(context, outcome, temporary.then_some(until));
        true
    }

    /// The next job. When few are left, parked entries are called back.
    pub(crate) fn take(&self, context: &Context) -> Option<Job> {
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
            (state.concurrency, state.successes) = (INITIAL_CONCURRENCY, 0);
            (
                std::mem::take(&mut state.jobs),
                std::mem::take(&mut state.parked),
            )
        };
        for id in parked {
            let _ = context.scheduler.send(Command::Now(id));
        }
        for job in jobs {
            job.finish(outcome);
        }
    }
}

impl State {
    /// Whether there may be one more connection.
    fn has_room(&self, context: &Context) -> bool {
        let limit = context.options().destination_concurrency_limit;
        self.workers < self.concurrency.min(limit).max(1)
    }
}

impl Job {
    /// Tells what came of it; of whom nothing is known, `otherwise`.
    pub(crate) fn finish(self, otherwise: &Outcome) {
        let outcomes = self.outcomes.into_iter();
        let outcomes = outcomes.map(|outcome| outcome.unwrap_or_else(|| otherwise.clone()));
        // Nobody waits for it any more when the queue stops.
        let _ = self.done.send(outcomes.collect());
    }

    /// Who may still get it.
    fn left(&self) -> impl Iterator<Item = usize> {
        let outcomes = self.outcomes.iter().enumerate();
        let left = outcomes.filter(|(_, o)| matches!(o, None | Some(Outcome::Delayed(_))));
        left.map(|(n, _)| n)
    }

    /// Whether nobody is left who may still get it.
    pub(crate) fn is_decided(&self) -> bool {
        self.left().next().is_none()
    }

    /// Sends it to who may still get it.
    pub(crate) async fn send(&mut self, context: &Arc<Context>, session: &mut Session) -> After {
        let left: Vec<usize> = self.left().collect();
        let paths = left.iter().filter_map(|n| self.forward_paths.get(*n));
        let message = self.message(paths.cloned().collect());
        let mut body = SpoolBody::new(context, &self.entry);
        let sent = session.send(message, &mut body).await;
        for (n, outcome) in left.into_iter().zip(sent.outcomes) {
            if let Some(slot) = self.outcomes.get_mut(n) {
                *slot = Some(outcome);
            }
        }
        sent.after
    }

    fn message(&self, forward_paths: Vec<Address>) -> Message {
        Message {
            reverse_path: Address::parse(&self.entry.reverse_path).ok(),
            forward_paths,
            size: self.entry.size + self.entry.prefix.len() as u64,
            body: match self.entry.body_type {
                BodyType::SevenBit => command::BodyType::SevenBit,
                BodyType::EightBitMime => command::BodyType::EightBitMime,
            },
        }
    }
}
