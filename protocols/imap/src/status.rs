//! STATUS.

use crate::{
    Command, MailboxArgument,
    cursor::{Cursor, Malformed, Parsed},
};

/// `status-att` (RFC 3501 §6.3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// How many messages.
    Messages,
    /// How many are `\Recent`.
    Recent,
    /// The next UID.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// How many are not `\Seen`.
    Unseen,
    /// How many are `\Deleted` (RFC 9208 §4.1.4).
    Deleted,
    /// Octets of those that are `\Deleted` (RFC 9208 §4.1.4).
    DeletedStorage,
    /// RFC 8438: octets of all messages.
    Size,
    /// RFC 7162 §3.1.7.
    HighestModSeq,
    /// RFC 7889 §4.
    AppendLimit,
}

impl StatusItem {
    const ALL: [Self; 10] = [
        Self::Messages,
        Self::Recent,
        Self::UidNext,
        Self::UidValidity,
        Self::Unseen,
        Self::Deleted,
        Self::DeletedStorage,
        Self::Size,
        Self::HighestModSeq,
        Self::AppendLimit,
    ];

    /// As it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::Deleted => "DELETED",
            Self::DeletedStorage => "DELETED-STORAGE",
            Self::Size => "SIZE",
            Self::HighestModSeq => "HIGHESTMODSEQ",
            Self::AppendLimit => "APPENDLIMIT",
        }
    }
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mailbox = MailboxArgument::take(cursor)?;
    cursor.space()?;
    cursor.expect(b'(', "a list of status items")?;
    let mut items = Vec::new();
    loop {
        let name = cursor.atom("a status item")?;
        let item = StatusItem::ALL
            .into_iter()
            .find(|item| item.as_str().eq_ignore_ascii_case(name))
            .ok_or(Malformed("a status item that this server has"))?;
        if !items.contains(&item) {
            items.push(item);
        }
        if cursor.take_if(b')') {
            break;
        }
        cursor.space()?;
    }
    cursor.end()?;
    Ok(Command::Status { mailbox, items })
}
