//! One attempt at one entry: where each recipient leads, and what comes of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use facteur_address::Address;
use facteur_delivery::Deliverer;
use facteur_directory::{AccountRecord, Directory};
use facteur_intake::Router;
use facteur_model::Guid;
use facteur_runtime::Bridge;
use facteur_smtp::client::Dialect;
use facteur_spool::{
    Change, Destination as Leads, Entry, Recipient, RecipientState, Spool, SpoolError,
};
use facteur_store::Store;
use rustls::ClientConfig;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

use crate::{
    Clock, NextHop, Options, Target,
    destination::Destination,
    dns::Dns,
    local::{self, Local},
    outcome::Outcome,
    relay::relay,
    scheduler::Command,
    settle::settle,
};

/// What every attempt uses.
pub(crate) struct Context {
    pub(crate) options: ArcSwap<Options>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spool: Spool,
    pub(crate) store: Store,
    pub(crate) bridge: Bridge,
    pub(crate) router: ArcSwap<Router>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) deliverer: ArcSwap<Deliverer>,
    pub(crate) dns: Dns,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) destinations: Mutex<HashMap<NextHop, Arc<Destination>>>,
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) scheduler: mpsc::UnboundedSender<Command>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing is left to be done.
    Done,
    /// It is to be tried again then.
    Again(i64),
    /// It is held, parked, or gone.
    Dropped,
}

impl Context {
    /// As they stand now.
    pub(crate) fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs work on the spool where it may block.
    pub(crate) async fn on_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let spool = self.spool.clone();
        self.bridge.run(move || work(&spool)).await
    }

    pub(crate) fn destination(&self, hop: &NextHop) -> Arc<Destination> {
        /// Above this many, those out of use are forgotten.
        const MANY: usize = 1024;
        let mut destinations = self
            .destinations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = destinations.get(hop) {
            return Arc::clone(found);
        }
        if destinations.len() >= MANY {
            let now = self.clock.now();
            // One that an attempt holds right now is about to be used.
            destinations.retain(|_, d| Arc::strong_count(d) > 1 || !d.is_unused(now));
        }
        let new = Arc::new(Destination::new(hop.clone()));
        destinations.insert(hop.clone(), Arc::clone(&new));
        new
    }
}

/// Where the recipients of an entry lead.
#[derive(Default)]
struct Plan {
    locals: Vec<Local>,
    remotes: Vec<(usize, Address)>,
    /// By index into the entry's recipients.
    outcomes: Vec<Option<Outcome>>,
}

/// Tries `entry`. Returns when every outcome is durable.
pub(crate) async fn attempt(context: &Arc<Context>, mut entry: Entry) -> Ended {
    if let Err(error) = resolve_aliases(context, &mut entry).await {
        return match error {
            SpoolError::Gone => Ended::Dropped,
            error => {
                error!(queue_id = %entry.queue_id, %error, "recipients cannot be resolved now");
                Ended::Again(context.clock.now() + context.options().minimal_backoff_time)
            }
        };
    }
    let mut plan = Plan {
        outcomes: vec![None; entry.recipients.len()],
        ..Plan::default()
    };
    for (n, recipient) in entry.recipients.iter().enumerate() {
        sort(context, &mut plan, n, recipient).await;
    }
    let entry = Arc::new(entry);
    if !plan.locals.is_empty() {
        let locals = std::mem::take(&mut plan.locals);
        for (n, outcome) in local::deliver(context, &entry, locals).await {
            set(&mut plan.outcomes, n, outcome);
        }
    }
    let remotes = std::mem::take(&mut plan.remotes);
    if relay(context, &entry, remotes, &mut plan.outcomes).await {
        return Ended::Dropped;
    }
    settle(context, &entry, plan.outcomes).await
}

/// Looks at where one recipient leads.
async fn sort(context: &Arc<Context>, plan: &mut Plan, n: usize, recipient: &Recipient) {
    if let RecipientState::Failed(status) = &recipient.state {
        let outcome = Outcome::Failed {
            status: status.clone(),
            reason: None,
        };
        return set(&mut plan.outcomes, n, outcome);
    }
    let Ok(address) = Address::parse(&recipient.forward_path) else {
        return set(
            &mut plan.outcomes,
            n,
            Outcome::failed("5.1.3", "malformed address"),
        );
    };
    let account = match &recipient.destination {
        Leads::Remote => return plan.remotes.push((n, address)),
        Leads::Account { detail } => {
            let found = context.directory.account(&address.folded()).await;
            found.map(|found| found.map(|account| (account, detail.clone())))
        }
        // What an alias leads to is written down before; this is what could not be.
        Leads::Unresolved => match context.router.load_full().resolve(&address).await {
            Ok(route) if route.remote.len() == 1 && route.local.is_empty() => {
                let address = route.remote.into_iter().next().unwrap_or(address);
                return plan.remotes.push((n, address));
            }
            Ok(route) => Ok(route.local.into_iter().next()),
            Err(unavailable) => Err(unavailable),
        },
    };
    match account {
        Ok(Some((account, detail))) => plan.locals.push(Local { n, account, detail }),
        Ok(None) => {
            let text = format!("no account answers to {}", recipient.forward_path);
            set(&mut plan.outcomes, n, Outcome::failed("5.1.1", text));
        }
        Err(unavailable) => {
            set(
                &mut plan.outcomes,
                n,
                Outcome::delayed("4.3.0", unavailable.to_string()),
            );
        }
    }
}

pub(crate) fn set(outcomes: &mut [Option<Outcome>], n: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(n) {
        *slot = Some(outcome);
    }
}

/// Resolves what nobody has resolved yet. An alias that leads to several is written down first,
/// so that each keeps its own state, and no copy is made twice.
async fn resolve_aliases(context: &Arc<Context>, entry: &mut Entry) -> Result<(), SpoolError> {
    let mut change = Change::default();
    for recipient in &entry.recipients {
        if recipient.destination != Leads::Unresolved {
            continue;
        }
        let Ok(address) = Address::parse(&recipient.forward_path) else {
            continue;
        };
        let Ok(route) = context.router.load_full().resolve(&address).await else {
            continue;
        };
        let count = route.local.len() + route.remote.len();
        if count == 0 {
            continue;
        }
        let child = |forward_path: String, destination| {
            let delivery = if count == 1 {
                Ok(recipient.delivery)
            } else {
                Guid::random()
            };
            delivery.map(|delivery| Recipient {
                forward_path,
                original: recipient.original.clone(),
                delivery,
                destination,
                state: recipient.state.clone(),
            })
        };
        let account = |(account, detail): (Arc<AccountRecord>, _)| {
            child(account.address.to_string(), Leads::Account { detail })
        };
        let locals = route.local.into_iter().map(account);
        let remotes = route
            .remote
            .iter()
            .map(|address| child(address.to_string(), Leads::Remote));
        let children: Result<Vec<_>, _> = locals.chain(remotes).collect();
        let children = children.map_err(|error| std::io::Error::other(error.to_string()))?;
        change.resolved.push((recipient.delivery, children));
    }
    if change.is_empty() {
        return Ok(());
    }
    change.apply(entry);
    // One for one needs no record: it can be found out again.
    if change
        .resolved
        .iter()
        .any(|(_, children)| children.len() > 1)
    {
        let id = entry.queue_id.clone();
        context
            .on_spool(move |spool| spool.update(&id, &change))
            .await?;
    }
    Ok(())
}

/// For the log: what the next hop is when nobody has answered.
pub(crate) fn hop_label(context: &Context, recipient: &Recipient) -> String {
    if recipient.destination == (Leads::Account { detail: None })
        || matches!(recipient.destination, Leads::Account { .. })
    {
        return "local".to_owned();
    }
    match Address::parse(&recipient.forward_path) {
        Ok(address) => match context.options().next_hop(address.domain()) {
            NextHop {
                target: Target::Mx(domain),
                dialect: Dialect::Smtp,
                ..
            } => domain.to_string(),
            hop => hop.to_string(),
        },
        Err(_) => "none".to_owned(),
    }
}
