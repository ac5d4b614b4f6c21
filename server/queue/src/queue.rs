//! The queue as the server sees it.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use facteur_delivery::Deliverer;
use facteur_directory::Directory;
use facteur_intake::Router;
use facteur_runtime::Bridge;
use facteur_spool::{Change, Entries, Entry, QueueId, Spool, SpoolError};
use facteur_store::Store;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    Clock, Options,
    attempt::Context,
    dns::Dns,
    scheduler::{Command, Scheduler},
    tls,
};

/// What the queue works with.
pub struct Parts {
    /// The store: its spool is what the queue works off, and local mail goes into it.
    pub store: Store,
    /// Where work that blocks is done: commits wait for the disk, so give it threads of its own.
    pub bridge: Bridge,
    /// Finds out where an address leads.
    pub router: Router,
    /// Knows the accounts.
    pub directory: Arc<dyn Directory>,
    /// Plans local deliveries.
    pub deliverer: Deliverer,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why the queue could not start.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The resolver: no usable `/etc/resolv.conf`, say.
    #[error("DNS resolver cannot be set up: {0}")]
    Dns(#[source] io::Error),
    /// TLS as a client.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The running queue. Clones are the same queue.
#[derive(Clone)]
pub struct Queue {
    context: Arc<Context>,
}

/// Entries are listed this many at a time.
const CHUNK: usize = 1000;

impl Queue {
    /// Starts it on the current runtime: first with what lies in the spool, and from now on with
    /// what is committed into it. Nothing is being committed meanwhile.
    ///
    /// # Errors
    /// When DNS or TLS cannot be set up.
    pub fn start(parts: Parts, options: Options) -> Result<Self, QueueError> {
        let (commands, received) = mpsc::unbounded_channel();
        let context = Arc::new(Context {
            dns: Dns::new(&options.nameservers).map_err(QueueError::Dns)?,
            tls: tls::unverified()?,
            connections: Arc::new(Semaphore::new(options.connection_limit.max(1))),
            options: ArcSwap::from_pointee(options),
            clock: parts.clock,
            spool: parts.store.spool().clone(),
            store: parts.store,
            bridge: parts.bridge,
            router: ArcSwap::from_pointee(parts.router),
            directory: parts.directory,
            deliverer: ArcSwap::from_pointee(parts.deliverer),
            destinations: Mutex::new(HashMap::new()),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            scheduler: commands.clone(),
        });
        // What is committed from here on is heard of when its commit is complete, and not before: a
        // commit that fails, or is done again, takes its entry back.
        let waiting = context.spool.entries().as_of_now();
        let wake = commands.clone();
        context.store.on_spooled(Arc::new(move |entries: &[Entry]| {
            for entry in entries {
                let _ = wake.send(Command::Fresh(entry.clone()));
            }
        }));
        context.spawn(Scheduler::new(Arc::clone(&context), received, commands.clone()).run());
        let bridge = context.bridge.clone();
        context.spawn(async move {
            let count = bridge.run(move || list_waiting(waiting, &commands)).await;
            info!(count, "spool listed");
        });
        Ok(Self { context })
    }

    /// Changes how it behaves from now on; the DNS servers and the number of connections stay.
    pub fn reconfigure(&self, options: Options, router: Router, deliverer: Deliverer) {
        self.context.options.store(Arc::new(options));
        self.context.router.store(Arc::new(router));
        self.context.deliverer.store(Arc::new(deliverer));
    }

    /// Stops: begins nothing new, and lets what is under way end, for at most `grace`.
    pub async fn stop(&self, grace: Duration) {
        self.context.stopping.cancel();
        for destination in self.context.known_destinations() {
            destination.abandon();
        }
        self.context.tasks.close();
        if tokio::time::timeout(grace, self.context.tasks.wait())
            .await
            .is_err()
        {
            warn!("messages on their way out were cut off; they are tried again");
        }
    }

    /// The spool, for looking at.
    pub fn spool(&self) -> &Spool {
        &self.context.spool
    }

    /// Tries everything now, also where nobody answered lately.
    pub fn flush_all(&self) {
        self.revive();
        let _ = self.context.scheduler.send(Command::AllNow);
    }

    /// Tries one entry now.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn flush(&self, id: &QueueId) -> Result<(), SpoolError> {
        self.context.spool.entry(id)?;
        self.revive();
        let _ = self.context.scheduler.send(Command::Now(id.clone()));
        Ok(())
    }

    /// Keeps an entry back (`true`), or lets it go on. An attempt under way is not stopped.
    ///
    /// # Errors
    /// When there is no such entry, or the disk fails.
    pub fn hold(&self, id: &QueueId, held: bool) -> Result<(), SpoolError> {
        self.context.spool.update(
            id,
            &Change {
                held: Some(held),
                ..Change::default()
            },
        )?;
        if !held {
            let _ = self.context.scheduler.send(Command::Now(id.clone()));
        }
        Ok(())
    }

    /// Removes an entry; nobody is told.
    ///
    /// # Errors
    /// When there is no such entry, or the disk fails.
    pub fn delete(&self, id: &QueueId) -> Result<(), SpoolError> {
        if self.context.spool.remove(id)? {
            Ok(())
        } else {
            Err(SpoolError::Gone)
        }
    }

    /// Runs work where it may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.context.bridge.run(work).await
    }

    fn revive(&self) {
        for destination in self.context.known_destinations() {
            destination.revive();
        }
    }
}

impl Context {
    fn known_destinations(&self) -> Vec<Arc<crate::destination::Destination>> {
        let known = self
            .destinations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.values().cloned().collect()
    }
}

/// Tells the scheduler of these entries; says how many there are.
fn list_waiting(entries: Entries, commands: &mpsc::UnboundedSender<Command>) -> usize {
    let mut count = 0;
    let mut entries = entries.filter(|entry| !entry.held);
    loop {
        let entries = entries.by_ref().take(CHUNK);
        let chunk: Vec<_> = entries.map(|e| (e.next_attempt_at, e.queue_id)).collect();
        count += chunk.len();
        if chunk.is_empty() || commands.send(Command::Waiting(chunk)).is_err() {
            return count;
        }
    }
}
