//! Warnings when what an account holds crosses a mark: a message to it, or a command.
//!
//! A mark is crossed by a change, and each change is told once, in order: so there is one warning for
//! each crossing, and nothing to remember over a restart. A warning that waits while the process is
//! killed is lost: Dovecot, which gives its own after the commit as well, loses it in the same moment.

mod command;
mod message;

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use facteur_address::Address;
use facteur_model::{AccountSpec, Crossing, QuotaRuleError, QuotaThreshold, Usage};
use facteur_store::{Store, UsageChange};
use tokio::sync::{Mutex, Notify, Semaphore, mpsc};
use tracing::{error, info, warn};

use self::command::Command;

/// Most warnings that wait. Beyond it they are dropped and the log says so.
const MAX_WAITING: usize = 1024;

/// Most commands at once.
const MAX_COMMANDS: usize = 4;

/// When to warn, and how.
#[derive(Debug, Clone)]
pub struct QuotaWarningOptions {
    /// Of several that one change crosses the first counts.
    pub warnings: Vec<QuotaWarning>,
    /// Whom the messages are from.
    pub from: Address,
    /// Our name, for the Message-ID.
    pub hostname: String,
    /// Subject and text of the messages; `$percent`, `$user`, `$used`, `$limit` are filled in.
    pub subject: String,
    /// See `subject`.
    pub text: String,
}

/// A mark and what to do when it is crossed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaWarning {
    at: QuotaThreshold,
    /// A message when there is none.
    command: Option<Command>,
}

/// Why a warning cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaWarningError {
    /// The mark.
    #[error(transparent)]
    Threshold(#[from] QuotaRuleError),
    /// The program's name stands for none.
    #[error(
        "{0:?} is no program: write its whole path, or say in quota_warning_programs what the name stands for"
    )]
    Program(String),
}

impl QuotaWarning {
    /// Reads `storage=95%`, or with a command `storage=95% quota-warning 95 %u`; `program` says what a
    /// name without a slash stands for.
    ///
    /// # Errors
    /// When there is no such mark or program.
    pub fn parse(
        text: &str,
        program: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, QuotaWarningError> {
        let mut words = text.split_whitespace();
        let at = QuotaThreshold::parse(words.next().unwrap_or_default())?;
        let command = match words.next() {
            None => None,
            Some(name) => {
                let path = match name.starts_with('/') {
                    true => Some(name.to_owned()),
                    false => program(name).filter(|path| path.starts_with('/')),
                };
                let path = path.ok_or_else(|| QuotaWarningError::Program(name.to_owned()))?;
                Some(Command::new(path, words))
            }
        };
        Ok(Self { at, command })
    }
}

/// Warns. Clones share it.
#[derive(Clone)]
pub struct QuotaWarner {
    shared: Arc<Shared>,
}

struct Shared {
    options: ArcSwap<QuotaWarningOptions>,
    waiting: mpsc::Sender<Due>,
    /// Taken by the one that runs.
    due: Mutex<mpsc::Receiver<Due>>,
    commands: Arc<Semaphore>,
    stop: Notify,
}

/// A warning that is to be given.
struct Due {
    account: AccountSpec,
    usage: Usage,
    crossing: Crossing,
    warning: QuotaWarning,
    options: Arc<QuotaWarningOptions>,
}

impl QuotaWarner {
    /// One that has nothing to do.
    pub fn new(options: QuotaWarningOptions) -> Self {
        let (waiting, due) = mpsc::channel(MAX_WAITING);
        Self {
            shared: Arc::new(Shared {
                options: ArcSwap::from_pointee(options),
                waiting,
                due: Mutex::new(due),
                commands: Arc::new(Semaphore::new(MAX_COMMANDS)),
                stop: Notify::new(),
            }),
        }
    }

    /// Warns by other rules from now on.
    pub fn reconfigure(&self, options: QuotaWarningOptions) {
        self.shared.options.store(Arc::new(options));
    }

    /// Looks whether a change crosses a mark. Quick, and from any thread: the store calls it.
    pub fn note(&self, change: &UsageChange<'_>) {
        let options = self.shared.options.load();
        let crossed = options.warnings.iter().find_map(|warning| {
            let limits = &change.account.quota;
            let crossing = warning.at.crossed(limits, change.before, change.now)?;
            Some((warning, crossing))
        });
        let Some((warning, crossing)) = crossed else {
            return;
        };
        let due = Due {
            account: change.account.clone(),
            usage: change.now,
            crossing,
            warning: warning.clone(),
            options: Arc::clone(&options),
        };
        if self.shared.waiting.try_send(due).is_err() {
            error!(account = %change.account.id, percent = crossing.percent, "too many quota warnings at once: this one is dropped");
        }
    }

    /// Gives the warnings until [`QuotaWarner::finish`] is called.
    pub async fn run(self, store: Store) {
        let mut due = self.shared.due.lock().await;
        loop {
            tokio::select! {
                Some(due) = due.recv() => self.give(due, &store).await,
                () = self.shared.stop.notified() => return,
            }
        }
    }

    /// Gives the warnings that wait, and waits for the commands.
    pub async fn finish(&self, store: &Store) {
        self.shared.stop.notify_one();
        let mut due = self.shared.due.lock().await;
        while let Ok(due) = due.try_recv() {
            self.give(due, store).await;
        }
        let all = u32::try_from(MAX_COMMANDS).unwrap_or(u32::MAX);
        drop(self.shared.commands.acquire_many(all).await);
    }

    async fn give(&self, due: Due, store: &Store) {
        let (account, percent) = (due.account.id.clone(), due.crossing.percent);
        let below = due.warning.at.is_below();
        let Some(command) = due.warning.command.clone() else {
            let store = store.clone();
            let work = move || message::deliver(&store, &due, SystemTime::now());
            match tokio::task::spawn_blocking(work).await {
                Ok(Ok(())) => info!(%account, percent, below, "quota warning delivered"),
                Ok(Err(error)) => error!(%account, percent, %error, "quota warning not delivered"),
                Err(_) => error!(%account, percent, "quota warning not delivered"),
            }
            return;
        };
        let Ok(slot) = Arc::clone(&self.shared.commands).acquire_owned().await else {
            return;
        };
        tokio::spawn(async move {
            let program = command.program().to_owned();
            match command.run(&due.account).await {
                Ok(()) => info!(%account, percent, below, program, "quota warning command done"),
                Err(error) => {
                    warn!(%account, percent, program, %error, "quota warning command failed");
                }
            }
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests;
