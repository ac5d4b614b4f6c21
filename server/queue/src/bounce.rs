//! What the sender is told (RFC 3464).

use std::io::Read;

use facteur_address::{Address, Domain};
use facteur_dsn::{Action, Diagnostic, Original, RecipientReport, Report};
use facteur_model::Guid;
use facteur_spool::{
    BodyType, Change, Destination, Entry, Origin, QueueId, Recipient, RecipientState,
};
use facteur_store::{Batch, Body};
use tracing::{info, warn};

use crate::{Options, attempt::Context, outcome::Outcome, schedule, settle::WriteError};

/// Who a notice is about and to, and which recipients it names.
struct Notice<'a> {
    entry: &'a Entry,
    to: Address,
    named: Vec<(&'a Recipient, &'a Outcome)>,
    retry_until: Option<i64>,
}

/// Commits the notices that these outcomes call for together with `change`; `false` when there is
/// none, and nothing was done.
pub(crate) fn commit(
    context: &Context,
    entry: &Entry,
    outcomes: &[Option<Outcome>],
    mut change: Change,
) -> Result<bool, WriteError> {
    let named = |wanted: fn(&Outcome) -> bool| -> Vec<(&Recipient, &Outcome)> {
        let tried = entry.recipients.iter().zip(outcomes);
        tried
            .filter_map(|(r, o)| Some((r, o.as_ref().filter(|o| wanted(o))?)))
            .collect()
    };
    let mut batch = Batch::default();
    let failed = named(|outcome| matches!(outcome, Outcome::Failed { .. }));
    if !failed.is_empty()
        && let Some(to) = addressee(entry, &context.options())
    {
        let notice = Notice {
            entry,
            to,
            named: failed,
            retry_until: None,
        };
        batch.spool.push(notice.compose(context)?);
    }
    let now = context.clock.now();
    let delayed = named(|outcome| matches!(outcome, Outcome::Delayed(_)));
    if !delayed.is_empty()
        && schedule::warning_is_due(entry, &context.options(), now)
        && let Some(to) = addressee(entry, &context.options())
    {
        let retry_until = Some(schedule::gives_up_at(entry, &context.options()));
        let notice = Notice {
            entry,
            to,
            named: delayed,
            retry_until,
        };
        batch.spool.push(notice.compose(context)?);
        change.delay_warned = Some(true);
    }
    if batch.spool.is_empty() {
        return Ok(false);
    }
    batch.updates.push((entry.queue_id.clone(), change));
    context.store.commit(batch)?;
    Ok(true)
}

/// To whom a notice about `entry` goes. Never an answer to a notice (RFC 5321 §4.5.5): what cannot
/// be returned goes to who looks after such things here, or nowhere.
fn addressee(entry: &Entry, options: &Options) -> Option<Address> {
    if !entry.reverse_path.is_empty() {
        let sender = Address::parse(&entry.reverse_path).ok();
        if sender.is_none() {
            warn!(queue_id = %entry.queue_id, "sender is malformed; no notice can be sent");
        }
        return sender;
    }
    let keeper = options.double_bounce_recipient.clone();
    // A notice that was on its way to that very person ends here.
    let keeper = keeper.filter(|keeper| {
        let keeper = keeper.to_string();
        entry.recipients.iter().all(|r| r.original != keeper)
    });
    if keeper.is_none() {
        info!(queue_id = %entry.queue_id, "undeliverable notice dropped");
    }
    keeper
}

impl Notice<'_> {
    fn compose(&self, context: &Context) -> Result<(Entry, Body), WriteError> {
        let now = context.clock.now();
        let queue_id = QueueId::generate(std::time::SystemTime::now()).map_err(random)?;
        let (text, body_type) = self.text(context, &queue_id, now);
        let mut staging = context.store.stage();
        staging.write(&text)?;
        info!(queue_id = %self.entry.queue_id, notice = %queue_id, to = %self.to, "sender is notified");
        let entry = Entry {
            queue_id,
            reverse_path: String::new(),
            accepted_at: now,
            origin: Origin {
                client: "local".to_owned(),
                ..Origin::default()
            },
            body_type,
            size: text.len() as u64,
            prefix: String::new(),
            recipients: vec![Recipient {
                forward_path: self.to.to_string(),
                original: self.to.to_string(),
                delivery: Guid::random().map_err(random)?,
                destination: Destination::Unresolved,
                state: RecipientState::Pending { last: None },
            }],
            next_attempt_at: now,
            attempts: 0,
            held: false,
            delay_warned: false,
        };
        Ok((entry, staging.finish()?))
    }

    /// The notice's bytes, and what they are made of.
    fn text(&self, context: &Context, queue_id: &QueueId, now: i64) -> (Vec<u8>, BodyType) {
        let options = context.options();
        let (original, read) = self.original(context);
        let whole = read && self.entry.size <= options.bounce_size_limit;
        let recipients: Vec<_> = self
            .named
            .iter()
            .map(|named| self.report(named, now))
            .collect();
        let hostname = &options.hostname;
        let report = Report {
            reporting_mta: hostname,
            from: &mailer_daemon(hostname).unwrap_or_else(|| self.to.clone()),
            to: &self.to,
            id: queue_id.as_str(),
            about: self.entry.queue_id.as_str(),
            arrived_at: self.entry.accepted_at,
            received_from: Some(self.entry.origin.helo.as_str()),
            now,
            recipients: &recipients,
            original: if whole {
                Original::Message(&original)
            } else {
                Original::Header(&original)
            },
        };
        let body_type = if report.is_8bit() {
            BodyType::EightBitMime
        } else {
            BodyType::SevenBit
        };
        (report.compose(), body_type)
    }

    fn report<'a>(&'a self, named: &(&'a Recipient, &'a Outcome), now: i64) -> RecipientReport<'a> {
        let (recipient, outcome) = *named;
        let status = outcome.status();
        RecipientReport {
            final_recipient: &recipient.forward_path,
            original_recipient: Some(recipient.original.as_str()).filter(|text| !text.is_empty()),
            action: match outcome {
                Outcome::Delivered(_) => Action::Delivered,
                Outcome::Relayed(_) => Action::Relayed,
                Outcome::Delayed(_) => Action::Delayed,
                Outcome::Failed { .. } => Action::Failed,
            },
            status: &status.enhanced,
            remote_mta: status.remote.as_deref().map(host_of),
            diagnostic: Some(match status.remote {
                Some(_) => Diagnostic::Smtp(&status.text),
                None => Diagnostic::Local(&status.text),
            }),
            last_attempt_at: Some(now),
            retry_until: self.retry_until,
            reason: match outcome {
                Outcome::Failed { reason, .. } => reason.as_deref(),
                _ => None,
            },
        }
    }

    /// The message, or as much of it as the header takes; and whether it could be read. The sender
    /// is told also when it cannot.
    fn original(&self, context: &Context) -> (Vec<u8>, bool) {
        let limit = context
            .options()
            .bounce_size_limit
            .max(Report::MAX_HEADER as u64);
        let mut original = Vec::from(self.entry.prefix.as_bytes());
        let read = (|| -> Result<(), WriteError> {
            let body = context.spool.body(&self.entry.queue_id)?;
            body.take(limit).read_to_end(&mut original)?;
            Ok(())
        })();
        if let Err(error) = &read {
            warn!(queue_id = %self.entry.queue_id, %error, "message cannot be read for the notice");
        }
        (original, read.is_ok())
    }
}

/// The name in `host[address]:port`.
fn host_of(relay: &str) -> &str {
    relay.split_once('[').map_or(relay, |(host, _)| host)
}

fn mailer_daemon(hostname: &Domain) -> Option<Address> {
    Address::from_parts("MAILER-DAEMON", hostname.clone()).ok()
}

fn random(error: getrandom::Error) -> std::io::Error {
    std::io::Error::other(error.to_string())
}
