//! The scripts of one recipient, in their order: those before, the account's, those after.
//!
//! The next one runs only while the message is kept, implicitly or not (Pigeonhole's multiscript):
//! a script that files, redirects, discards or refuses the message ends the row.

use std::{path::PathBuf, sync::Arc};

use facteur_address::Address;
use facteur_mapped::Mapped;
use facteur_model::{MailboxName, SpecialUse};
use facteur_store::{Account, Body, StoreError};
use tracing::{error, info, warn};

use crate::{
    options::{Options, RedirectSender},
    outbox::{self, Outbox, Target},
    plan::{LocalRecipient, Outcome, Transaction},
    sieve::{
        Action, Engine, Facts, Fault, Input, Job, Keep, Library, NoResult, Pool, REDIRECTED_FROM,
        Run, Script, Source, Text, Version, World, prefix_fields,
    },
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
                    filters: self,
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
                bytes: source(transaction)?,
                added: prefix_fields(outbox.prefix()),
            },
        };
        let sender = message.reverse_path.as_ref();
        Ok(Job {
            script,
            input,
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
        let job = job(script)?;
        let left = transaction.left();
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
            Err(NoResult::Busy | NoResult::Overrun) => {
                Ended::Deferred("no time left for its Sieve script".to_owned())
            }
        })
    }
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

/// The message as scripts read it.
fn source(transaction: &Transaction<'_>) -> Result<Source, StoreError> {
    if let Some(source) = transaction.source.get() {
        return Ok(source.clone());
    }
    let source = match &transaction.message.body {
        Body::Memory(bytes) => Source::Memory(bytes.clone()),
        Body::File(staged) => {
            let len = transaction.message.body.len();
            Source::Mapped(Mapped::new(staged.as_file(), len)?)
        }
    };
    Ok(transaction.source.get_or_init(|| source).clone())
}

/// Carries out what a script orders for one recipient.
struct Orders<'a> {
    filters: &'a Filters,
    transaction: &'a Transaction<'a>,
    recipient: &'a LocalRecipient,
    account: &'a Account,
}

impl Orders<'_> {
    /// Carries out `action`; when that cannot be, the message is to be kept instead.
    fn carry_out(
        &self,
        action: Action,
        outbox: &mut Outbox<'_>,
    ) -> Result<Option<Keep>, StoreError> {
        match action {
            Action::FileInto {
                folder,
                special_use,
                create,
                flags,
                version,
            } => match self.target(&folder, special_use.as_deref(), create)? {
                Some(target) => outbox.keep(target, &flags, version),
                None => {
                    self.not_done(&format!("there is no mailbox {folder}"));
                    return Ok(Some(Keep { flags, version }));
                }
            },
            Action::Redirect { to, version } => return self.redirect(&to, version, outbox),
            Action::Reply { message } => {
                if let Some(sender) = &self.transaction.message.reverse_path {
                    let id = outbox.send(std::slice::from_ref(sender), message)?;
                    self.done("vacation reply", sender, &id);
                }
            }
            Action::Notify { to, message } => {
                let id = outbox.send(&to, message)?;
                if let Some(first) = to.first() {
                    self.done("notified", first, &id);
                }
            }
        }
        Ok(None)
    }

    fn done(&self, action: &str, to: &Address, new: &facteur_spool::QueueId) {
        info!(
            queue_id = %self.transaction.message.queue_id,
            recipient = %self.recipient.account.address,
            action,
            %to,
            new_queue_id = %new,
            "sent by script"
        );
    }

    fn not_done(&self, error: &str) {
        warn!(
            queue_id = %self.transaction.message.queue_id,
            recipient = %self.recipient.account.address,
            error,
            "message kept; action of script not possible"
        );
    }

    /// The mailbox to file into, if there is one or it may be made.
    fn target(
        &self,
        folder: &str,
        special_use: Option<&str>,
        create: bool,
    ) -> Result<Option<Target>, StoreError> {
        if let Some(wanted) = special_use {
            let mut folders = self.account.folders()?.into_iter();
            let found = folders.find(|folder| {
                let special = folder.special_use.map(SpecialUse::as_str);
                folder.selectable && special.is_some_and(|s| s.eq_ignore_ascii_case(wanted))
            });
            if let Some(folder) = found {
                return Ok(Some(Target {
                    mailbox: folder.name,
                    create: false,
                }));
            }
        }
        let options = &self.filters.options;
        let Some(mailbox) = outbox::mailbox_name(folder, options) else {
            return Ok(None);
        };
        let create = create || options.lda_mailbox_autocreate;
        let there = create || outbox::exists(self.account, &mailbox)?;
        Ok(there.then_some(Target { mailbox, create }))
    }

    fn redirect(
        &self,
        to: &str,
        version: Version,
        outbox: &mut Outbox<'_>,
    ) -> Result<Option<Keep>, StoreError> {
        let message = self.transaction.message;
        let keep = |version| {
            Ok(Some(Keep {
                flags: Vec::new(),
                version,
            }))
        };
        let Ok(to) = Address::parse(to) else {
            self.not_done(&format!("{to} is no address"));
            return keep(version);
        };
        let source = source(self.transaction)?;
        let owner = self.recipient.account.address.to_string();
        let came_back = facteur_message::headers::fields(source.as_ref()).any(|field| {
            let by = String::from_utf8_lossy(field.value);
            field.is(REDIRECTED_FROM) && by.trim().eq_ignore_ascii_case(&owner)
        });
        if came_back {
            self.not_done("the message was redirected from here before");
            return keep(version);
        }
        let sender = match &self.filters.options.sieve.redirect_envelope_from {
            // A null reverse-path stays null: what bounces must not come back as mail.
            _ if message.reverse_path.is_none() => None,
            RedirectSender::Sender => message.reverse_path.as_ref(),
            RedirectSender::Recipient => Some(&self.recipient.account.address),
            RedirectSender::OriginalRecipient => Some(&self.recipient.original),
            RedirectSender::Address(address) => Some(address),
        };
        let id = outbox.redirect(sender, &to, version)?;
        self.done("redirected", &to, &id);
        Ok(None)
    }
}

/// An account as its scripts see it.
struct AccountWorld {
    account: Account,
    options: Arc<Options>,
    library: Arc<Library>,
    now: i64,
}

impl World for AccountWorld {
    fn mailboxes(&self) -> Result<Vec<(MailboxName, Option<SpecialUse>)>, StoreError> {
        let folders = self.account.folders()?.into_iter();
        let usable = folders.filter(|folder| folder.selectable);
        Ok(usable
            .map(|folder| (folder.name, folder.special_use))
            .collect())
    }

    fn mailbox_name(&self, name: &str) -> Option<MailboxName> {
        outbox::mailbox_name(name, &self.options)
    }

    fn remembers(&self, key: &[u8; 32]) -> Result<bool, StoreError> {
        self.account.remembers(key, self.now)
    }

    fn script(&self, name: &sieve::Script) -> Result<Option<Arc<Script>>, Fault> {
        let text = match name {
            sieve::Script::Personal(name) => match self.account.script(name) {
                Ok(text) => Some(Text::new(name, text.into())),
                Err(StoreError::NoScript | StoreError::Script(_)) => None,
                Err(error) => return Err(Fault::Store(error)),
            },
            sieve::Script::Global(name) => self.global(name)?,
        };
        let Some(text) = text else {
            return Ok(None);
        };
        let compiled = self.library.compiled(&text);
        let failed = |error| Fault::Include(format!("included script {}: {error}", text.name));
        Ok(Some(compiled.map_err(failed)?))
    }
}

impl AccountWorld {
    /// RFC 6609 §3.1: what a global name means is ours to say; here, a file below one folder.
    fn global(&self, name: &str) -> Result<Option<Text>, Fault> {
        let Some(folder) = &self.options.sieve.global else {
            return Ok(None);
        };
        if name.starts_with('.') || name.contains(['/', '\0']) {
            return Ok(None);
        }
        let file = self.library.file(&folder.join(format!("{name}.sieve")));
        file.map_err(|error| Fault::Include(format!("included script {name}: {error}")))
    }
}
