//! APPEND (RFC 3501 §6.3.11, RFC 4315 §3, RFC 7889).

use std::time::SystemTime;

use bytes::Bytes;
use facteur_imap::{AppendHead, Event};
use facteur_message::{CrlfWriter, headers};
use facteur_model::{AccountSpec, Flags, Guid, InternalDate, Keyword, MailboxName, Usage};
use facteur_store::{Append, Batch, Body, QuotaCheck, Staging, Store, StoreError};
use tokio::time::timeout;

use crate::{
    io as wire, mail_log,
    outcome::{Closed, Outcome, Reply, Stop, reply_for_target},
    session::Session,
    store::flags_of,
};

/// So many octets are gathered before they go to the store: one visit to the bridge for most
/// messages, a bounded piece at a time for the others.
const GATHERED: usize = 256 * 1024;
/// From this size on it is asked beforehand whether the message can be taken at all.
const LARGE: u64 = 64 * 1024;
/// Where the Message-ID is looked for, for the log.
const HEAD: usize = 16 * 1024;

/// Where a message goes, and how.
struct Target {
    account: AccountSpec,
    user: String,
    mailbox: MailboxName,
    flags: Flags,
    keywords: Vec<Keyword>,
    date: InternalDate,
}

/// A message on its way into the store.
struct Incoming {
    staging: Option<Staging>,
    gathered: Vec<u8>,
    crlf: CrlfWriter,
    has_nul: bool,
}

impl Session {
    pub(crate) async fn append(&mut self, head: AppendHead) -> Outcome {
        let target = match self.append_target(&head).await {
            Ok(target) => target,
            Err(stop) => {
                self.decoder.refuse_append();
                return Err(stop);
            }
        };
        if self.decoder.accept_append() {
            self.out.extend_from_slice(b"+ OK\r\n");
        }
        match self.receive(head.size).await {
            Ok(incoming) => self.save(target, incoming).await,
            Err(stop) => {
                self.decoder.refuse_append();
                Err(stop)
            }
        }
    }

    async fn append_target(&mut self, head: &AppendHead) -> Result<Target, Stop> {
        let name = self.user()?.name.clone();
        let mailbox = self.mailbox_name(&head.mailbox)?;
        let (flags, keywords) = flags_of(&head.flags)?;
        let limit = self.service.options.message_size_limit;
        if limit != 0 && head.size > limit {
            return Err(Reply::no("[TOOBIG] Message is larger than this server takes").into());
        }
        if head.size == 0 {
            return Err(Reply::no("[CANNOT] An empty message cannot be saved").into());
        }
        let account = self.user()?.account.clone();
        if head.size >= LARGE {
            self.foresee(&mailbox, head.size).await?;
        }
        let date = head.date.map_or_else(
            || InternalDate::from(SystemTime::now()),
            InternalDate::from_unix,
        );
        Ok(Target {
            account: account.spec().as_ref().clone(),
            user: name,
            mailbox,
            flags,
            keywords,
            date,
        })
    }

    /// Refuses a large message before it comes, when the mailbox is missing or it cannot fit.
    async fn foresee(&mut self, mailbox: &MailboxName, size: u64) -> Result<(), Stop> {
        let account = self.user()?.account.clone();
        let mailbox = mailbox.clone();
        let added = Usage {
            bytes: size,
            messages: 1,
        };
        self.blocking(move || {
            account.status(&mailbox)?;
            match account.quota().allow(&mailbox, account.usage()?, added) {
                true => Ok(()),
                false => Err(StoreError::OverQuota),
            }
        })
        .await
        .map_err(|error| reply_for_target(&error, self.quota_exceeded_message()).into())
    }

    /// Takes the message from the wire.
    async fn receive(&mut self, size: u64) -> Result<Incoming, Stop> {
        let expected = usize::try_from(size).unwrap_or(usize::MAX);
        let mut incoming = Incoming {
            staging: None,
            gathered: Vec::with_capacity(expected.min(GATHERED)),
            crlf: CrlfWriter::new(),
            has_nul: false,
        };
        loop {
            match self.decoder.poll() {
                Event::Chunk(chunk) => {
                    incoming.push(&chunk);
                    if incoming.gathered.len() >= GATHERED {
                        let store = self.service.store.clone();
                        incoming = self.blocking(move || incoming.stage(&store)).await?;
                    }
                }
                Event::AppendEnd => return Ok(incoming),
                Event::Invalid(_, text) => return Err(Reply::bad(text).into()),
                Event::Fatal(text) => return Err(Closed::Bye(text).into()),
                _ => {
                    self.flush().await?;
                    if self.decoder.append_is_whole() {
                        wire::acknowledge(&self.connection.stream);
                    }
                    let patience = self.service.options.autologout;
                    let read = wire::read_bulk(&mut self.connection.stream, &mut self.decoder);
                    timeout(patience, read)
                        .await
                        .map_err(|_| Closed::Gone(std::io::ErrorKind::TimedOut.into()))?
                        .map_err(Closed::Gone)?;
                }
            }
        }
    }

    async fn save(&mut self, target: Target, incoming: Incoming) -> Outcome {
        if incoming.has_nul {
            return Err(Reply::no("[CANNOT] A message with NUL cannot be saved").into());
        }
        let store = self.service.store.clone();
        let appended = self
            .blocking(move || commit(&store, target, incoming))
            .await
            .map_err(|error| reply_for_target(&error, self.quota_exceeded_message()))?;
        Ok(Reply::ok(format!(
            "[APPENDUID {} {}] APPEND completed",
            appended.uid_validity, appended.uid
        )))
    }
}

impl Incoming {
    /// Adds octets as they came. Lines end in CRLF in the store, whatever the client sent.
    fn push(&mut self, chunk: &Bytes) {
        self.has_nul |= memchr::memchr(0, chunk).is_some();
        self.crlf.push(chunk, &mut self.gathered);
    }

    /// Hands what has gathered to the store.
    fn stage(mut self, store: &Store) -> Result<Self, StoreError> {
        let staging = self.staging.get_or_insert_with(|| store.stage());
        staging.write(&self.gathered)?;
        self.gathered.clear();
        Ok(self)
    }

    fn finish(self, store: &Store) -> Result<Body, StoreError> {
        let staged = self.stage(store)?;
        match staged.staging {
            Some(staging) => staging.finish(),
            None => store.stage().finish(),
        }
    }
}

fn commit(
    store: &Store,
    target: Target,
    incoming: Incoming,
) -> Result<facteur_store::Appended, StoreError> {
    let body = incoming.finish(store)?;
    let message_id = match mail_log::enabled() {
        true => message_id(&body.head(HEAD)?),
        false => String::new(),
    };
    let mut batch = Batch::default();
    batch.appends.push(Append {
        account: target.account,
        mailbox: target.mailbox,
        create: false,
        prefix: Bytes::new(),
        body,
        flags: target.flags,
        keywords: target.keywords,
        internal_date: target.date,
        delivery: Guid::random().map_err(std::io::Error::other)?,
        repeated: false,
        quota: QuotaCheck::Strict,
    });
    let committed = store.commit(batch)?;
    let Some(appended) = committed.appended.into_iter().next() else {
        return Err(StoreError::Cannot("Message was not saved"));
    };
    mail_log::saved(
        &target.user,
        &appended.mailbox,
        appended.uid,
        &message_id,
        appended.size,
    );
    Ok(appended)
}

fn message_id(head: &[u8]) -> String {
    headers::fields(head)
        .find(|field| field.is("Message-ID"))
        .map(|field| String::from_utf8_lossy(field.unfolded().trim_ascii()).into_owned())
        .unwrap_or_default()
}
