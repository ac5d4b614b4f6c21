//! How a command ends.

use std::{borrow::Cow, io};

use facteur_imap::{Utf7Error, write::Condition};
use facteur_model::MailboxNameError;
use facteur_store::StoreError;
use tracing::{debug, error, warn};

/// A tagged reply: its text begins with the response code, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) condition: Condition,
    pub(crate) text: Cow<'static, str>,
}

impl Reply {
    pub(crate) fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition: Condition::Ok,
            text: text.into(),
        }
    }

    pub(crate) fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition: Condition::No,
            text: text.into(),
        }
    }

    pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition: Condition::Bad,
            text: text.into(),
        }
    }
}

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The client is gone, or cannot be written to.
    Gone(io::Error),
    /// We say why, in BYE.
    Bye(&'static str),
    /// LOGOUT: the client was told already.
    Logout,
}

/// Why a command was not completed.
#[derive(Debug)]
pub(crate) enum Stop {
    /// With this reply.
    Reply(Reply),
    /// It answered by itself.
    Answered,
    /// With the connection.
    Closed(Closed),
}

/// What a verb yields.
pub(crate) type Outcome = Result<Reply, Stop>;

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<Closed> for Stop {
    fn from(closed: Closed) -> Self {
        Self::Closed(closed)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Reply(reply_for(&error))
    }
}

/// What a client is told when the store could not (RFC 5530 §3, RFC 9208 §4.1). Causes go to the
/// log.
pub(crate) fn reply_for(error: &StoreError) -> Reply {
    match error {
        StoreError::NoMailbox(_) => Reply::no("[NONEXISTENT] No such mailbox"),
        StoreError::MailboxExists(_) => Reply::no("[ALREADYEXISTS] Mailbox exists already"),
        StoreError::Cannot(why) => Reply::no(format!("[CANNOT] {why}")),
        StoreError::Gone => Reply::no("[EXPUNGEISSUED] Some of the messages are gone"),
        StoreError::OverQuota => Reply::no("[OVERQUOTA] Quota exceeded"),
        StoreError::NoSpace => {
            error!("no space left for mail");
            // What the quota of the disk is, clients cannot ask; but that there is one, they
            // understand (RFC 5530 §3), and that retrying soon is no use.
            Reply::no("[OVERQUOTA] Not enough disk space")
        }
        StoreError::Io(cause) => {
            error!(%cause, "mail store failed");
            Reply::no("[SERVERBUG] Internal error, see the server's log")
        }
        StoreError::Index(cause) => {
            warn!(%cause, "index failed");
            Reply::no("[UNAVAILABLE] Index is being repaired, try again later")
        }
        other => {
            debug!(%other, "unexpected store error");
            Reply::no("[CANNOT] Not possible")
        }
    }
}

/// The same where the mailbox is where messages go to (RFC 3501 §6.3.11); `full` is said when they
/// do not fit.
pub(crate) fn reply_for_target(error: &StoreError, full: &str) -> Reply {
    match error {
        StoreError::OverQuota => Reply::no(format!("[OVERQUOTA] {full}")),
        StoreError::NoMailbox(_) => Reply::no("[TRYCREATE] No such mailbox"),
        other => reply_for(other),
    }
}

impl From<Utf7Error> for Stop {
    fn from(error: Utf7Error) -> Self {
        Self::Reply(Reply::no(format!("[CANNOT] {error}")))
    }
}

impl From<MailboxNameError> for Stop {
    fn from(error: MailboxNameError) -> Self {
        Self::Reply(Reply::no(format!("[CANNOT] {error}")))
    }
}
