//! The scripts of one recipient, in their order: those before, the account's, those after.
//!
//! The next one runs only while the message is kept, implicitly or not (Pigeonhole's multiscript):
//! a script that files, redirects, discards or refuses the message ends the row.

use std::{path::PathBuf, sync::Arc};

use facteur_store::{Account, StoreError};
use tracing::{error, info, warn};

use crate::{
    options::Options,
    orders::Orders,
    outbox::{self, Outbox},
    plan::{LocalRecipient, Outcome, Transaction},
    sieve::{
        Engine, Facts, Fault, Input, Job, Keep, Library, NoResult, Pool, Run, Script, Source, Text,
        prefix_fields,
    },
    world::AccountWorld,
};

/// What all deliveries share.
pub(crate) struct Filters {
    options: Arc<Options>,
    engine: Arc<Engine>,
    library: Arc<Library>,
    pool: Pool,
}

/// How a script ended.
enum Ended {
    Ran(Run),
    /// It did not, and the message is kept.
    Skipped,
    /// It could not now.
    Deferred(String),
}

impl Filters {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            options: Arc::new(options.clone()),
            engine: Arc::new(Engine::new(options)),
            library: Arc::new(Library::new()),
            pool: Pool::new(options.sieve.threads),
        }
    }

    /// The scripts that run for `account`. A file that cannot be read is left out, and said so.
    pub(crate) fn scripts(&self, account: &Account) -> Result<Vec<Text>, StoreError> {
        let sieve = &self.options.sieve;
        let mut scripts = Vec::new();
        self.configured(&sieve.before, &mut scripts);
        match account.active_script()? {
            Some((name, text)) => scripts.push(Text::new(&name, text)),
            None => self.configured(sieve.default.as_slice(), &mut scripts),
        }
        self.configured(&sieve.after, &mut scripts);
        Ok(scripts)
    }

    fn configured(&self, paths: &[PathBuf], scripts: &mut Vec<Text>) {
        for path in paths {
            match self.library.files(path) {
                Ok(texts) => scripts.extend(texts),
                Err(error) => error!(path = %path.display(), %error, "Sieve script not read"),
            }
        }
    }

    /// Runs `scripts` and does what they say.
    pub(crate) fn run(
        &self,
        transaction: &Transaction<'_>,
        recipient: &LocalRecipient,
        account: &Account,
        scripts: &[Text],
        outbox: &mut Outbox<'_>,
    ) -> Result<Outcome, StoreError> {
        let mut kept = Keep::default();
        let world = Arc::new(AccountWorld {
            account: account.clone(),
            options: Arc::clone(&self.options),
            library: Arc::clone(&self.library),
            now: transaction.message.now,
        });
        for text in scripts {
            let job = |script| self.job(transaction, recipient, outbox, &world, script, &kept);
            let run = match self.run_one(transaction, recipient, text, job)? {
                Ended::Ran(run) => run,
                Ended::Skipped => continue,
                Ended::Deferred(reason) => return Ok(Outcome::Deferred { reason }),
            };
            for (key, seconds) in &run.memory {
                outbox.remember(*key, *seconds);
            }
            if let Some(reason) = run.reject {
                info!(
                    queue_id = %transaction.message.queue_id,
                    recipient = %recipient.account.address,
                    script = %text.name,
                    action = "rejected",
                    "message refused by script"
                );
                return Ok(Outcome::Rejected { reason });
            }
            let mut keep = run.keep;
            for action in run.actions {
                let orders = Orders {
                    options: &self.options,
                    transaction,
                    recipient,
                    account,
                };
                if let Some(instead) = orders.carry_out(action, outbox)? {
                    keep.get_or_insert(instead);
                }
            }
            match keep {
                None => {
                    if outbox.is_empty() {
                        discarded(transaction, recipient, text);
                    }
                    return Ok(Outcome::Delivered);
                }
                Some(keep) => kept = keep,
            }
        }
        let inbox = outbox::inbox(account, recipient, &self.options)?;
        outbox.keep(inbox, &kept.flags, kept.version);
        Ok(Outcome::Delivered)
    }

    fn job(
        &self,
        transaction: &Transaction<'_>,
        recipient: &LocalRecipient,
        outbox: &Outbox<'_>,
        world: &Arc<AccountWorld>,
        script: Arc<Script>,
        kept: &Keep,
    ) -> Result<Job, StoreError> {
        let message = transaction.message;
        let input = match &kept.version {
            Some(bytes) => Input {
                bytes: Source::Memory(bytes.clone()),
                added: Vec::new(),
            },
            None => Input {
                bytes: transaction.source()?,
                added: prefix_fields(outbox.prefix()),
            },
        };
        let sender = message.reverse_path.as_ref();
        Ok(Job {
            script,
            input,
            version: kept.version.clone(),
            facts: Facts {
                sender: sender.map(ToString::to_string).unwrap_or_default(),
                original: recipient.original.clone(),
                owner: recipient.account.address.clone(),
                remote_ip: message.origin.client.clone(),
                now: message.now,
            },
            flags: kept.flags.clone(),
            world: Arc::<AccountWorld>::clone(world),
            engine: Arc::clone(&self.engine),
            patience: transaction.left(),
        })
    }

    fn run_one(
        &self,
        transaction: &Transaction<'_>,
        recipient: &LocalRecipient,
        text: &Text,
        job: impl FnOnce(Arc<Script>) -> Result<Job, StoreError>,
    ) -> Result<Ended, StoreError> {
        let address = recipient.account.address.to_string();
        if self.library.is_suspended(&address, text) {
            return Ok(Ended::Skipped);
        }
        let suspend = |error: &dyn std::fmt::Display| {
            self.library.suspend(&address, text);
            warn!(
                queue_id = %transaction.message.queue_id,
                recipient = %address,
                script = %text.name,
                %error,
                "message kept; script suspended until it is edited"
            );
        };
        let script = match self.library.compiled(text) {
            Ok(script) => script,
            Err(error) => {
                suspend(&error);
                return Ok(Ended::Skipped);
            }
        };
        let left = transaction.left();
        if left.is_zero() {
            return Ok(no_time());
        }
        let job = job(script)?;
        let limit = self.options.sieve.max_time;
        Ok(match self.pool.run(limit.min(left), move || job.run()) {
            Ok(Ok(run)) => Ended::Ran(run),
            Ok(Err(Fault::Store(error))) => return Err(error),
            Ok(Err(fault @ Fault::Busy)) => Ended::Deferred(fault.to_string()),
            Ok(Err(fault @ Fault::Script(_))) => {
                suspend(&fault);
                Ended::Skipped
            }
            Ok(Err(fault @ (Fault::Include(_) | Fault::Complex(_) | Fault::TooLarge))) => {
                warn!(
                    queue_id = %transaction.message.queue_id,
                    recipient = %address,
                    script = %text.name,
                    error = %fault,
                    "message kept; script not run"
                );
                Ended::Skipped
            }
            Err(NoResult::Overrun) if left >= limit => {
                suspend(&"it takes too long");
                Ended::Skipped
            }
            Err(NoResult::Panicked) => {
                suspend(&"its run panicked");
                Ended::Skipped
            }
            Err(NoResult::Busy | NoResult::Overrun) => no_time(),
        })
    }
}

fn no_time() -> Ended {
    Ended::Deferred("no time left for its Sieve script".to_owned())
}

fn discarded(transaction: &Transaction<'_>, recipient: &LocalRecipient, text: &Text) {
    info!(
        queue_id = %transaction.message.queue_id,
        recipient = %recipient.account.address,
        script = %text.name,
        action = "discarded",
        "message discarded by script"
    );
}
