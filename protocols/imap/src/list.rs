//! LIST and LSUB.

use crate::{
    MailboxArgument,
    cursor::{Cursor, Malformed, Parsed, is_astring_char},
};

/// `"LIST" SP mailbox SP list-mailbox` (RFC 3501 §6.3.8), LSUB's likewise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What the pattern is relative to.
    pub reference: MailboxArgument,
    /// The pattern, with its wildcards `*` and `%`.
    pub pattern: MailboxArgument,
    /// The selection option SPECIAL-USE (RFC 6154 §2): only mailboxes that have such an attribute.
    pub special_use: bool,
}

/// `"LSUB" SP mailbox SP list-mailbox`
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<List> {
    cursor.space()?;
    let list = names(cursor)?;
    cursor.end()?;
    Ok(list)
}

/// `"LIST" [SP list-select-opts] SP mailbox SP list-mailbox [SP "RETURN" SP "(" … ")"]`
/// (RFC 5258 §6), of whose options RFC 6154's are ours.
pub(crate) fn parse_extended(cursor: &mut Cursor<'_>) -> Parsed<List> {
    cursor.space()?;
    let mut special_use = false;
    if cursor.peek() == Some(b'(') {
        special_use = options(cursor)?;
        cursor.space()?;
    }
    let list = names(cursor)?;
    if !cursor.rest().is_empty() {
        cursor.space()?;
        if !cursor.take_text("RETURN ") {
            return Err(Malformed("return options or the end of the command"));
        }
        // They are returned in any case.
        options(cursor)?;
    }
    cursor.end()?;
    Ok(List {
        special_use,
        ..list
    })
}

/// `"(" ["SPECIAL-USE" *(SP "SPECIAL-USE")] ")"`; whether it is there.
fn options(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    const UNKNOWN: Malformed = Malformed("the option SPECIAL-USE");
    cursor.expect(b'(', "a list of options")?;
    if cursor.take_if(b')') {
        return Ok(false);
    }
    loop {
        if !cursor
            .atom("an option")?
            .eq_ignore_ascii_case("SPECIAL-USE")
        {
            return Err(UNKNOWN);
        }
        if cursor.take_if(b')') {
            return Ok(true);
        }
        cursor.space()?;
    }
}

/// `mailbox SP list-mailbox`, `list-mailbox = 1*list-char / string`,
/// `list-char = ATOM-CHAR / list-wildcards / resp-specials`
fn names(cursor: &mut Cursor<'_>) -> Parsed<List> {
    let reference = MailboxArgument::take(cursor)?;
    cursor.space()?;
    let pattern = cursor.string_or(|b| is_astring_char(b) || matches!(b, b'*' | b'%'))?;
    Ok(List {
        reference,
        pattern: MailboxArgument(pattern.into_owned()),
        special_use: false,
    })
}
