//! LIST and LSUB.

use crate::{
    MailboxArgument,
    cursor::{Cursor, Parsed, is_astring_char},
};

/// `"LIST" SP mailbox SP list-mailbox` (RFC 3501 §6.3.8), LSUB's likewise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What the pattern is relative to.
    pub reference: MailboxArgument,
    /// The pattern, with its wildcards `*` and `%`.
    pub pattern: MailboxArgument,
}

/// `list-mailbox = 1*list-char / string`, `list-char = ATOM-CHAR / list-wildcards / resp-specials`
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<List> {
    cursor.space()?;
    let reference = MailboxArgument::take(cursor)?;
    cursor.space()?;
    let pattern = cursor.string_or(|b| is_astring_char(b) || matches!(b, b'*' | b'%'))?;
    cursor.end()?;
    Ok(List {
        reference,
        pattern: MailboxArgument(pattern.into_owned()),
    })
}
