//! One run of one script over one message: sieve-rs asks and orders, this answers and notes down.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use facteur_address::Address;
use facteur_model::{MailboxName, SpecialUse};
use facteur_store::StoreError;
use mail_parser::Message;
use sieve::{Context, Envelope, Event, Mailbox, Recipient, Runtime, runtime::Variable};

use super::{
    Script,
    budget::{Budget, NoMemory},
    compose::{self, Writer},
    message::{Input, TooComplex, cost, header},
    rewrite::KEEP,
    vacation,
};
use crate::options::SieveOptions;

/// What a run needs to know of the account and of its mail.
pub(crate) trait World: Send + Sync {
    /// Every mailbox that mail can be filed into.
    fn mailboxes(&self) -> Result<Vec<(MailboxName, Option<SpecialUse>)>, StoreError>;
    /// The mailbox that a script calls `name`; `None` if it cannot be one's name.
    fn mailbox_name(&self, name: &str) -> Option<MailboxName>;
    /// Whether `key` is remembered.
    fn remembers(&self, key: &[u8; 32]) -> Result<bool, StoreError>;
    /// A script to include, compiled; `None` when there is none of that name.
    fn script(&self, name: &sieve::Script) -> Result<Option<Arc<Script>>, Fault>;
}

/// Who and whence: the same for every script that runs for one recipient.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Envelope sender; empty for the null reverse-path.
    pub(crate) sender: String,
    /// What RCPT said.
    pub(crate) original: Address,
    /// The account.
    pub(crate) owner: Address,
    /// The client's address.
    pub(crate) remote_ip: String,
    /// Unix seconds.
    pub(crate) now: i64,
}

/// A run that is about to begin.
pub(crate) struct Job {
    pub(crate) script: Arc<Script>,
    pub(crate) input: Input,
    /// The version that the scripts before left.
    pub(crate) version: Version,
    pub(crate) facts: Facts,
    /// Flags that the scripts before left on the message.
    pub(crate) flags: Vec<String>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) engine: Arc<Engine>,
    /// How long memory is waited for.
    pub(crate) patience: Duration,
}

/// What every run shares.
pub(crate) struct Engine {
    pub(crate) runtime: Runtime,
    pub(crate) options: SieveOptions,
    pub(crate) hostname: String,
    pub(crate) budget: Budget,
}

/// The message as it came (`None`) or as the script changed or made it.
pub(crate) type Version = Option<Bytes>;

/// What a script orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// `fileinto`, or a copy of a message sent (`:fcc`).
    FileInto {
        folder: String,
        special_use: Option<String>,
        create: bool,
        flags: Vec<String>,
        version: Version,
        /// It is the copy of a message sent: nothing is lost without it.
        is_copy: bool,
    },
    /// `redirect`
    Redirect { to: String, version: Version },
    /// `vacation`: to the sender.
    Reply { message: Bytes },
    /// `notify` by mail.
    Notify { to: Vec<Address>, message: Bytes },
}

/// What remains in the inbox, or goes to the next script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    pub(crate) flags: Vec<String>,
    pub(crate) version: Version,
}

/// The result of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) actions: Vec<Action>,
    pub(crate) keep: Option<Keep>,
    pub(crate) reject: Option<String>,
    /// What is remembered once all this is done, and for how many seconds.
    pub(crate) memory: Vec<([u8; 32], u64)>,
}

/// Why a run has no result. The mail is kept, unless the store failed or memory is short.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The script's: it is suspended.
    #[error("{0}")]
    Script(String),
    /// A script that it includes is missing or wrong.
    #[error("{0}")]
    Include(String),
    /// The message's.
    #[error(transparent)]
    Complex(#[from] TooComplex),
    /// It needs more memory than scripts have.
    #[error("the message is too large for a script that looks into its body")]
    TooLarge,
    /// Others have the memory it needs: try later.
    #[error("memory for scripts is short")]
    Busy,
    /// Ours: try later.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Job {
    /// Runs the script to its end.
    ///
    /// # Errors
    /// [`Fault`] says whose fault it is that there is no result.
    pub(crate) fn run(self) -> Result<Run, Fault> {
        let wants = self.script.wants;
        let raw = self.input.bytes.as_ref();
        let _memory = if wants.body {
            let bytes = cost(raw, wants.body_patterns)?;
            let share = self.engine.budget.take(bytes, self.patience);
            Some(share.map_err(|error| match error {
                NoMemory::Never => Fault::TooLarge,
                NoMemory::NotNow => Fault::Busy,
            })?)
        } else {
            None
        };
        let message = self.input.parse(wants.body)?;
        let mut context = self.context(message);
        let mut host = Host::new(&self);
        let program = Arc::clone(&self.script.program);
        let mut input = sieve::Input::script("", program);
        while let Some(event) = context.run(input) {
            let event = event.map_err(|error| Fault::Script(error.to_string()))?;
            input = host.answer(event, &context)?;
        }
        host.finish()
    }

    fn context<'x>(&'x self, message: Message<'x>) -> Context<'x> {
        let facts = &self.facts;
        let text = |text: &str| Variable::from(text.to_owned());
        let mut context = self
            .engine
            .runtime
            .filter_parsed(message)
            .with_envelope_list(vec![
                (Envelope::From, text(&facts.sender)),
                (Envelope::To, text(&facts.original.to_string())),
            ])
            .with_user_address(facts.owner.to_string())
            .with_env_variable("domain", facts.owner.domain().as_str().to_owned())
            .with_env_variable("remote-ip", facts.remote_ip.clone());
        let options = &self.engine.options;
        let fields = header(self.input.bytes.as_ref());
        if let Some(score) = &options.spamtest {
            context.set_spam_status(score.spam(fields));
        }
        if let Some(score) = &options.virustest {
            context.set_virus_status(score.virus(fields));
        }
        if !self.flags.is_empty() {
            context.set_global_variable("__flags", self.flags.join(" "));
        }
        context
    }
}

/// What the run has come to.
struct Host<'a> {
    job: &'a Job,
    run: Run,
    created: HashMap<usize, Bytes>,
    /// The messages made to be sent, and whether they are.
    outgoing: HashMap<usize, bool>,
    /// The next message created is a vacation reply.
    replying: bool,
    replied: bool,
}

impl<'a> Host<'a> {
    fn new(job: &'a Job) -> Self {
        Self {
            job,
            run: Run::default(),
            // sieve-rs calls what it was given 0.
            created: job
                .version
                .clone()
                .map(|bytes| (0, bytes))
                .into_iter()
                .collect(),
            outgoing: HashMap::new(),
            replying: false,
            replied: false,
        }
    }

    fn answer(&mut self, event: Event, context: &Context<'_>) -> Result<sieve::Input, Fault> {
        // `true` would flip the result of the last test, where there is nothing to answer.
        let mut answer = false;
        match event {
            Event::IncludeScript { name, optional } => {
                if let Some(script) = self.job.world.script(&name)? {
                    return Ok(sieve::Input::script(name, Arc::clone(&script.program)));
                }
                if !optional {
                    return Err(Fault::Include(format!(
                        "there is no script {name} to include"
                    )));
                }
            }
            Event::MailboxExists {
                mailboxes,
                special_use,
            } => {
                answer = self.mailboxes_exist(&mailboxes, &special_use)?;
            }
            Event::DuplicateId { id, expiry, last } => {
                answer = self.is_duplicate(&id, expiry, last, context)?;
            }
            Event::CreatedMessage {
                message_id,
                message,
            } => {
                self.created_message(message_id, message)?;
            }
            Event::Keep { flags, message_id } => self.keep(flags, message_id),
            Event::Reject { reason, .. } => self.run.reject = Some(reason),
            Event::FileInto {
                folder,
                flags,
                message_id,
                ..
            } if folder == KEEP => {
                self.keep(flags, message_id);
            }
            Event::FileInto {
                folder,
                flags,
                special_use,
                create,
                message_id,
                ..
            } => {
                let version = self.created.get(&message_id).cloned();
                let sent = self.outgoing.get(&message_id);
                // RFC 8580 §3: what is not sent has no copy.
                if sent != Some(&false) {
                    self.order(Action::FileInto {
                        folder,
                        special_use,
                        create,
                        flags,
                        version,
                        is_copy: sent.is_some(),
                    })?;
                }
            }
            Event::SendMessage {
                recipient,
                message_id,
                ..
            } => self.send(recipient, message_id, context)?,
            Event::Notify { method, .. } => {
                let message = format!("notify by \"{method}\" is not supported");
                return Err(Fault::Script(message));
            }
            // `discard` leaves nothing to do; the others belong to extensions that cannot be
            // required.
            Event::Discard
            | Event::SetEnvelope { .. }
            | Event::Function { .. }
            | Event::ListContains { .. } => {}
        }
        Ok(answer.into())
    }

    fn order(&mut self, action: Action) -> Result<(), Fault> {
        if self.run.actions.len() >= self.job.engine.options.max_actions {
            return Err(Fault::Script("too many actions".to_owned()));
        }
        self.run.actions.push(action);
        Ok(())
    }

    fn keep(&mut self, flags: Vec<String>, message_id: usize) {
        let version = self.created.get(&message_id).cloned();
        self.run.keep = Some(Keep { flags, version });
    }

    fn writer(&self) -> Writer<'a> {
        Writer {
            owner: &self.job.facts.owner,
            hostname: &self.job.engine.hostname,
            now: self.job.facts.now,
        }
    }

    fn created_message(&mut self, message_id: usize, mut message: Vec<u8>) -> Result<(), Fault> {
        if self.replying {
            let sender = Address::parse(&self.job.facts.sender).ok();
            let reply =
                sender.and_then(|sender| compose::vacation(&message, &sender, self.writer()));
            message = reply.ok_or_else(|| Fault::Script("no vacation reply was made".into()))?;
        }
        self.created.insert(message_id, Bytes::from(message));
        Ok(())
    }

    fn send(
        &mut self,
        recipient: Recipient,
        message_id: usize,
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        let version = self.created.get(&message_id).cloned();
        match recipient {
            Recipient::Address(_) if std::mem::take(&mut self.replying) => {
                let message = version.unwrap_or_default();
                self.outgoing.insert(message_id, true);
                self.order(Action::Reply { message })
            }
            Recipient::Address(to) => self.order(Action::Redirect { to, version }),
            // RFC 5436 §2.7.1
            Recipient::Group(_) if vacation::is_auto_submitted(context.message()) => {
                self.outgoing.insert(message_id, false);
                Ok(())
            }
            Recipient::Group(to) => {
                let to: Vec<Address> = to.iter().filter_map(|to| Address::parse(to).ok()).collect();
                let draft = version.unwrap_or_default();
                let message = compose::notification(&draft, &to, self.writer());
                let message = message.map(Bytes::from).filter(|_| !to.is_empty());
                let Some(message) = message else {
                    return Err(Fault::Script("notify has no valid address".to_owned()));
                };
                self.created.insert(message_id, message.clone());
                self.outgoing.insert(message_id, true);
                self.order(Action::Notify { to, message })
            }
            Recipient::List(_) => Err(Fault::Script("lists are not supported".to_owned())),
        }
    }

    /// RFC 5490 §3.1, RFC 8579 §4: all of them.
    fn mailboxes_exist(&self, names: &[Mailbox], uses: &[String]) -> Result<bool, Fault> {
        let world = &self.job.world;
        let mailboxes = world.mailboxes()?;
        let has_use = |special: Option<SpecialUse>, wanted: &String| {
            special.is_some_and(|special| special.as_str().eq_ignore_ascii_case(wanted))
        };
        if names.is_empty() {
            let exists = |wanted: &String| {
                mailboxes
                    .iter()
                    .any(|(_, special)| has_use(*special, wanted))
            };
            return Ok(uses.iter().all(exists));
        }
        Ok(names.iter().all(|name| {
            let Mailbox::Name(name) = name else {
                return false;
            };
            let Some(name) = world.mailbox_name(name) else {
                return false;
            };
            let found = mailboxes.iter().find(|(mailbox, _)| *mailbox == name);
            found.is_some_and(|(_, special)| uses.iter().all(|wanted| has_use(*special, wanted)))
        }))
    }

    /// `duplicate` (RFC 7352) and `vacation` ask the same question.
    fn is_duplicate(
        &mut self,
        id: &str,
        expiry: u64,
        last: bool,
        context: &Context<'_>,
    ) -> Result<bool, Fault> {
        let (wants, options) = (self.job.script.wants, &self.job.engine.options);
        // The rewriting gives `duplicate` a handle, so that no Message-ID can look like this.
        let reply = wants.vacation && id.starts_with(vacation::KEY);
        let facts = &self.job.facts;
        let own = |address: &Address| address.to_string().eq_ignore_ascii_case(&facts.sender);
        if reply
            && (self.replied
                || own(&facts.owner)
                || own(&facts.original)
                || !vacation::may_reply(&facts.sender, context.message()))
        {
            return Ok(true);
        }
        let kind: &[u8] = if reply { b"vacation\0" } else { b"duplicate\0" };
        let mut key = blake3::Hasher::new();
        key.update(kind).update(id.as_bytes());
        let key = *key.finalize().as_bytes();
        let known = self.job.world.remembers(&key)?;
        let seconds = match reply {
            true => vacation::period(expiry, options),
            false => expiry.min(options.duplicate_max_period),
        };
        // With `:last` the time starts anew each time it is seen (RFC 7352 §3.4).
        if !known || (last && !reply) {
            self.run.memory.retain(|(remembered, _)| *remembered != key);
            self.run.memory.push((key, seconds));
        }
        if reply && !known {
            (self.replying, self.replied) = (true, true);
        }
        Ok(known)
    }

    /// A refusal goes together with nothing else (RFC 5429 §2.3, §2.4).
    fn finish(self) -> Result<Run, Fault> {
        let mut run = self.run;
        if run.reject.is_some() {
            if run.keep.is_some() || !run.actions.is_empty() {
                return Err(Fault::Script("reject goes with no other action".to_owned()));
            }
            run.keep = None;
        }
        Ok(run)
    }
}
