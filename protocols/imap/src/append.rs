//! APPEND up to its literal.

use crate::{
    FlagList, MailboxArgument, Tag,
    cursor::{Cursor, Malformed, Parsed},
    date,
};

/// `append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal` (RFC 3501 §6.3.11)
/// without the literal's octets, which come after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendHead {
    /// The command's tag.
    pub tag: Tag,
    /// Where to.
    pub mailbox: MailboxArgument,
    /// Flags to set.
    pub flags: FlagList,
    /// INTERNALDATE in seconds since the Unix epoch, when given.
    pub date: Option<i64>,
    /// How many octets the message has.
    pub size: u64,
    /// Whether the client waits for a continuation before it sends them.
    pub synchronizing: bool,
}

/// What stands before a literal marker in an APPEND.
#[derive(Debug)]
pub(crate) enum Before {
    /// All there is before the message.
    Message {
        mailbox: MailboxArgument,
        flags: FlagList,
        date: Option<i64>,
    },
    /// The marker is the mailbox name's.
    Mailbox,
}

/// Reads what stands between the verb and a literal marker: `rest` ends where the marker begins.
pub(crate) fn before_literal(rest: &[u8]) -> Parsed<Before> {
    let mut cursor = Cursor::new(rest);
    cursor.space()?;
    if cursor.rest().is_empty() {
        return Ok(Before::Mailbox);
    }
    let mailbox = MailboxArgument::take(&mut cursor)?;
    cursor.space()?;
    let mut flags = FlagList::default();
    if cursor.peek() == Some(b'(') {
        flags = FlagList::take(&mut cursor)?;
        cursor.space()?;
    }
    let mut date = None;
    if cursor.peek() == Some(b'"') {
        date = Some(date::date_time(&mut cursor)?);
        cursor.space()?;
    }
    if !cursor.rest().is_empty() {
        return Err(Malformed("flags, a date or the message as a literal"));
    }
    Ok(Before::Message {
        mailbox,
        flags,
        date,
    })
}
