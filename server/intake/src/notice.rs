//! The notice to a sender when only some recipients refuse (RFC 5429 §2.1.2, RFC 3464).

use std::time::SystemTime;

use facteur_address::Address;
use facteur_delivery::{Arrived, LocalRecipient, Outcome};
use facteur_dsn::{Action, Diagnostic, Original, RecipientReport, Report};
use facteur_model::Guid;
use facteur_spool::{BodyType, Destination, Entry, Origin, QueueId, Recipient, RecipientState};
use facteur_store::{Batch, Body, StoreError};

use crate::Intake;

impl Intake {
    /// Adds a notice to the batch. None answers the null reverse-path (RFC 5321 §4.5.5).
    pub(crate) fn add_notice(
        &self,
        arrived: &Arrived,
        bounced: &[(LocalRecipient, Outcome)],
        now: SystemTime,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let Some(to) = &arrived.reverse_path else {
            return Ok(());
        };
        let random = |error: getrandom::Error| StoreError::Io(std::io::Error::other(error));
        let queue_id = QueueId::generate(now).map_err(random)?;
        let message = self.compose(arrived, bounced, to, &queue_id)?;
        let eight_bit = !message.is_ascii();
        let mut staging = self.parts.store.stage();
        staging.write(&message)?;
        let body: Body = staging.finish()?;
        let recipient = Recipient {
            forward_path: to.to_string(),
            original: to.to_string(),
            delivery: Guid::random().map_err(random)?,
            destination: Destination::Unresolved,
            state: RecipientState::Pending { last: None },
        };
        let entry = Entry {
            queue_id,
            reverse_path: String::new(),
            accepted_at: arrived.now,
            origin: Origin {
                client: "local".to_owned(),
                ..Origin::default()
            },
            body_type: if eight_bit {
                BodyType::EightBitMime
            } else {
                BodyType::SevenBit
            },
            size: body.len(),
            prefix: String::new(),
            recipients: vec![recipient],
            next_attempt_at: arrived.now,
            attempts: 0,
            held: false,
            delay_warned: false,
        };
        tracing::info!(queue_id = %arrived.queue_id, notice = %entry.queue_id, to = %to,
            recipients = bounced.len(), "sender is notified");
        batch.spool.push((entry, body));
        Ok(())
    }

    fn compose(
        &self,
        arrived: &Arrived,
        bounced: &[(LocalRecipient, Outcome)],
        to: &Address,
        queue_id: &QueueId,
    ) -> Result<Vec<u8>, StoreError> {
        let mut header = arrived.prefix.to_vec();
        header.extend_from_slice(&arrived.body.head(Report::MAX_HEADER)?);
        let names: Vec<_> = bounced
            .iter()
            .map(|(r, _)| (r.account.address.to_string(), r.original.to_string()))
            .collect();
        let recipients: Vec<_> = bounced
            .iter()
            .zip(&names)
            .map(|((_, outcome), (account, original))| {
                let reason = match outcome {
                    Outcome::Rejected { reason } => Some(reason.as_str()),
                    _ => None,
                };
                RecipientReport {
                    final_recipient: account,
                    original_recipient: Some(original),
                    action: Action::Failed,
                    status: if reason.is_some() { "5.7.1" } else { "5.2.2" },
                    remote_mta: None,
                    diagnostic: reason.is_none().then_some(Diagnostic::Local(
                        self.parts.deliverer.quota_exceeded_message(),
                    )),
                    last_attempt_at: Some(arrived.now),
                    retry_until: None,
                    reason,
                }
            })
            .collect();
        let from = Address::from_parts("MAILER-DAEMON", self.options.hostname.clone())
            .map_err(|_| StoreError::Cannot("host name is no domain"))?;
        Ok(Report {
            reporting_mta: &self.options.hostname,
            from: &from,
            to,
            id: queue_id.as_str(),
            about: arrived.queue_id.as_str(),
            arrived_at: arrived.now,
            received_from: Some(&arrived.origin.helo),
            now: arrived.now,
            recipients: &recipients,
            original: Original::Header(&header),
        }
        .compose())
    }
}
