//! `[imap]`: mail to clients.

use crate::{
    section::section,
    setting::{Period, choice},
};

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
        /// Flags were changed.
        FlagChange = "flag_change",
    }
}

choice! {
    /// What is said of a message in the log.
    MailLogField {
        /// Its UID.
        Uid = "uid",
        /// Its mailbox.
        Box = "box",
        /// Its Message-ID.
        Msgid = "msgid",
        /// Its size.
        Size = "size",
        /// Its flags.
        Flags = "flags",
        /// Its From.
        From = "from",
        /// Its Subject.
        Subject = "subject",
    }
}

section! {
    /// IMAP (RFC 3501 and its extensions), on 143 and 993.
    Imap {
        /// Most connections of one user from one address.
        mail_max_userip_connections: u32 = 10,
        /// Longest command line in bytes, literals not counted.
        imap_max_line_length: u32 = 65536,
        /// How long a client may be silent once it is logged in; RFC 9051 §5.4 asks for at least 30
        /// minutes.
        imap_idle_timeout: Period = Period::minutes(30),
        /// Longest wait before a client in IDLE hears a sign of life, for the sake of the routers
        /// between.
        imap_idle_notify_interval: Period = Period::minutes(2),
        /// What is written to the log, one line for each message or mailbox.
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
        /// What such a line says of a message.
        mail_log_fields: Vec<MailLogField> = vec![
            MailLogField::Uid,
            MailLogField::Box,
            MailLogField::Msgid,
            MailLogField::Size,
        ],
    }
}
