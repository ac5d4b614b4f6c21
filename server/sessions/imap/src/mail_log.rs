//! One line for each message that comes, goes or is marked deleted, and for each folder that does
//! (what Dovecot's mail_log plugin writes). Target `mail_log`, level info.

use facteur_model::{MailboxName, Uid, UidSet};
use facteur_store::{Mailbox, MessageState};
use tracing::info;

use crate::envelope;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Copy,
    Delete,
    Undelete,
    Expunge,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Expunge => "expunge",
        }
    }
}

/// What the log says of a message.
#[derive(Debug)]
pub(crate) struct Line {
    uid: Uid,
    message_id: String,
    size: u64,
}

/// Whether anybody reads the log.
pub(crate) fn enabled() -> bool {
    tracing::enabled!(target: "mail_log", tracing::Level::INFO)
}

/// What the log will say of these messages, in UID order; nothing when nobody reads it.
pub(crate) fn describe(mailbox: &Mailbox, uids: &UidSet) -> Vec<Line> {
    let mut lines = Vec::new();
    if !enabled() {
        return lines;
    }
    let snapshot = mailbox.snapshot();
    let size = |uid| snapshot.by_uid(uid).map_or(0, |m: &MessageState| m.size);
    let read = mailbox.summaries(uids, &mut |uid, summary| {
        lines.push(Line {
            uid,
            message_id: envelope::message_id(&summary.envelope).unwrap_or_default(),
            size: size(uid),
        });
    });
    if let Err(error) = read {
        tracing::debug!(%error, "no summaries for the log");
    }
    lines
}

/// Writes the lines of those messages that it happened to.
pub(crate) fn write(
    event: Event,
    user: &str,
    mailbox: &MailboxName,
    lines: &[Line],
    which: &UidSet,
) {
    for line in lines.iter().filter(|line| which.contains(line.uid)) {
        info!(target: "mail_log", user, event = event.as_str(), %mailbox, uid = line.uid.value(),
            message_id = %line.message_id, size = line.size);
    }
}

/// A message was saved by APPEND.
pub(crate) fn saved(user: &str, mailbox: &MailboxName, uid: Uid, message_id: &str, size: u64) {
    info!(target: "mail_log", user, event = "save", %mailbox, uid = uid.value(), message_id, size);
}

/// A folder was made or removed.
pub(crate) fn mailbox(user: &str, event: &'static str, mailbox: &MailboxName) {
    info!(target: "mail_log", user, event, %mailbox);
}

/// A folder was renamed.
pub(crate) fn renamed(user: &str, from: &MailboxName, to: &MailboxName) {
    info!(target: "mail_log", user, event = "mailbox_rename", mailbox = %from, %to);
}
