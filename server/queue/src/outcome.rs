//! What came of one recipient in one attempt.

use facteur_smtp::client;
use facteur_spool::Status;

/// What came of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A mailbox here has it.
    Delivered(Status),
    /// Another server has taken it over.
    Relayed(Status),
    /// Try again later.
    Delayed(Status),
    /// Never.
    Failed {
        status: Status,
        /// What a Sieve script says to the sender (RFC 5429).
        reason: Option<String>,
    },
}

/// A peer's text is cut to this: it is kept for every recipient.
const MAX_TEXT: usize = 1024;

impl Outcome {
    /// A failure that we found out ourselves.
    pub(crate) fn failed(enhanced: &str, text: impl Into<String>) -> Self {
        Self::Failed {
            status: status(enhanced, text),
            reason: None,
        }
    }

    /// A delay that we found out ourselves.
    pub(crate) fn delayed(enhanced: &str, text: impl Into<String>) -> Self {
        Self::Delayed(status(enhanced, text))
    }

    /// From what the client session says.
    pub(crate) fn from_client(outcome: &client::Outcome, relay: &str) -> Self {
        let reply = &outcome.reply;
        let enhanced = match reply.status() {
            Some(status) => status.to_string(),
            None => format!("{}.0.0", reply.code() / 100),
        };
        // Our own finding says why in words; a reply is told as it came.
        let text = if outcome.from_peer {
            reply.to_string()
        } else {
            reply.text().to_owned()
        };
        let status = Status {
            enhanced,
            text: cut(text),
            remote: outcome.from_peer.then(|| relay.to_owned()),
        };
        if reply.is_positive() {
            Self::Relayed(status)
        } else if reply.is_permanent() {
            Self::Failed {
                status,
                reason: None,
            }
        } else {
            Self::Delayed(status)
        }
    }

    pub(crate) fn status(&self) -> &Status {
        match self {
            Self::Delivered(status) | Self::Relayed(status) | Self::Delayed(status) => status,
            Self::Failed { status, .. } => status,
        }
    }

    /// RFC 3464 §2.3.3, for the log.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Relayed(_) => "relayed",
            Self::Delayed(_) => "delayed",
            Self::Failed { .. } => "failed",
        }
    }
}

pub(crate) fn status(enhanced: &str, text: impl Into<String>) -> Status {
    Status {
        enhanced: enhanced.to_owned(),
        text: cut(text.into()),
        remote: None,
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}
