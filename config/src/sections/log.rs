//! `[log]`: what is written and how.

use crate::{section::section, setting::choice};

choice! {
    /// How log lines look.
    LogFormat {
        /// For people; in colours on a terminal.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// What happened to a message or a mailbox.
    MailLogEvent {
        /// `\Deleted` was set.
        Delete = "delete",
        /// `\Deleted` was taken back.
        Undelete = "undelete",
        /// A message was expunged.
        Expunge = "expunge",
        /// A message was stored by APPEND or a delivery.
        Save = "save",
        /// A message was copied or moved.
        Copy = "copy",
        /// A mailbox was made.
        MailboxCreate = "mailbox_create",
        /// A mailbox was deleted.
        MailboxDelete = "mailbox_delete",
        /// A mailbox was renamed.
        MailboxRename = "mailbox_rename",
    }
}

section! {
    /// The log, which goes to standard error.
    Log {
        /// How lines look.
        format: LogFormat = LogFormat::Human,
        /// What is written: `error`, `warn`, `info`, `debug` (transcripts without secrets) or `trace`,
        /// also by part: `info,facteur_queue=debug`.
        level: String = "info".to_owned(),
        /// What happens to messages and mailboxes and is written, one line for each, with the user, the
        /// mailbox, and the message's UID, Message-ID and size. An empty list writes none.
        mail_log_events: Vec<MailLogEvent> = vec![
            MailLogEvent::Delete,
            MailLogEvent::Undelete,
            MailLogEvent::Expunge,
            MailLogEvent::Save,
            MailLogEvent::Copy,
            MailLogEvent::MailboxCreate,
            MailLogEvent::MailboxDelete,
            MailLogEvent::MailboxRename,
        ],
    }
}

impl MailLogEvent {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Expunge => "expunge",
            Self::Save => "save",
            Self::Copy => "copy",
            Self::MailboxCreate => "mailbox_create",
            Self::MailboxDelete => "mailbox_delete",
            Self::MailboxRename => "mailbox_rename",
        }
    }
}
