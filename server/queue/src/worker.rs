//! One connection to a next hop.
//!
//! It is a task that takes one job after the other, waits a moment for more, and says goodbye. So
//! connections are reused without a cache, and their number bounds itself.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tracing::debug;

use crate::{
    TlsPolicy,
    attempt::Context,
    destination::{Destination, Job},
    outcome::Outcome,
    resolve::{self, Candidate},
    session::{After, OpenError, Session},
};

/// At most this many servers are handed one message in one attempt, the later ones what the first
/// put off (Postfix's smtp_mx_session_limit).
const MAX_SESSIONS: usize = 2;

/// A connection, or the want of one.
pub(crate) struct Worker {
    destination: Arc<Destination>,
    session: Option<Session>,
    /// The servers to try after the one that `session` is with.
    others: Vec<Candidate>,
    permit: Option<OwnedSemaphorePermit>,
    /// The destination counts it.
    counted: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // After a panic: another may take its place.
        if self.counted {
            self.destination.state().workers -= 1;
        }
    }
}

impl Worker {
    pub(crate) fn new(destination: Arc<Destination>) -> Self {
        Self {
            destination,
            session: None,
            others: Vec::new(),
            permit: None,
            counted: true,
        }
    }

    pub(crate) async fn run(mut self, context: Weak<Context>) {
        loop {
            let Some(job) = self.next_job(&context).await else {
                break;
            };
            let Some(context) = context.upgrade() else {
                break;
            };
            if !self.work(&context, job).await {
                return;
            }
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
                    self.counted = false;
                    return None;
                }
                state.waiting += 1;
            }
            let ended = self.wait(linger, notified).await;
            let mut state = destination.state();
            state.waiting -= 1;
            if ended && state.jobs.is_empty() {
                state.workers -= 1;
                self.counted = false;
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

    /// Does `job`; `false` when this worker is no longer wanted, and no longer counted.
    async fn work(&mut self, context: &Arc<Context>, mut job: Job) -> bool {
        if self.permit.is_none() {
            self.permit = Arc::clone(&context.connections).acquire_owned().await.ok();
        }
        let mut after = match self.session.take() {
            Some(session) => self.deliver(context, session, &mut job).await,
            None => After::Reconnect,
        };
        if after == After::Reconnect {
            // Nothing was sent on it: a queue that stops does not wait for it.
            let opening = context.stopping.clone();
            let Some(opened) = opening.run_until_cancelled(self.open(context)).await else {
                return true;
            };
            after = match opened {
                Ok(session) => self.deliver(context, session, &mut job).await,
                Err(outcome) => {
                    debug!(reason = %outcome.status().text, "no connection");
                    let destination = Arc::clone(&self.destination);
                    self.counted = destination.refused(context, job, &outcome);
                    return self.counted;
                }
            };
        }
        self.destination.succeeded(context);
        let mut sessions = 1;
        for candidate in &self.others {
            if after != After::NextHost || sessions == MAX_SESSIONS || job.is_decided() {
                break;
            }
            let opening = self.open_at(context, candidate);
            let opened = context.stopping.run_until_cancelled(opening).await;
            let Some(Ok(mut session)) = opened else {
                continue;
            };
            sessions += 1;
            after = job.send(context, &mut session).await;
            // The next message begins with the best server again.
            context.spawn(session.quit());
        }
        job.finish(&Outcome::delayed("4.4.2", "peer closes every connection"));
        true
    }

    /// Sends `job`, and keeps the connection if it can be used again.
    async fn deliver(
        &mut self,
        context: &Arc<Context>,
        mut session: Session,
        job: &mut Job,
    ) -> After {
        let after = job.send(context, &mut session).await;
        if session.is_idle() {
            if session.is_old() {
                context.spawn(session.quit());
            } else {
                self.session = Some(session);
            }
        }
        after
    }

    /// Tries one address after the other.
    async fn open(&mut self, context: &Arc<Context>) -> Result<Session, Outcome> {
        let hop = &self.destination.hop;
        let candidates = resolve::candidates(hop, &context.options(), &context.dns).await?;
        let mut last = Outcome::delayed("4.4.1", format!("no address of {hop} to connect to"));
        let mut candidates = candidates.into_iter();
        while let Some(candidate) = candidates.next() {
            match self.open_at(context, &candidate).await {
                Ok(session) => {
                    self.others = candidates.collect();
                    return Ok(session);
                }
                Err(OpenError::Loop(outcome)) => return Err(outcome),
                Err(OpenError::Unusable(outcome)) => last = outcome,
                Err(OpenError::Tls(why)) => {
                    let text = format!("TLS with {}: {why}", candidate.host);
                    last = Outcome::delayed("4.7.5", text);
                }
            }
            debug!(host = candidate.host, reason = %last.status().text, "server passed over");
        }
        Err(last)
    }

    async fn open_at(
        &self,
        context: &Arc<Context>,
        candidate: &Candidate,
    ) -> Result<Session, OpenError> {
        let (dialect, options) = (self.destination.hop.dialect, context.options());
        let opened = Session::open(candidate, dialect, &options, Some(&context.tls)).await;
        match opened {
            Err(OpenError::Tls(why)) if options.tls == TlsPolicy::May => {
                debug!(
                    host = candidate.host,
                    why, "TLS failed; connecting again in clear"
                );
                Session::open(candidate, dialect, &options, None).await
            }
            opened => opened,
        }
    }
}
