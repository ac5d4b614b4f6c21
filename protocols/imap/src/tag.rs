//! A command's tag.

use std::fmt;

use crate::cursor::{Cursor, Malformed, is_astring_char};

/// What ties a completion to its command (RFC 3501 §2.2.1): `1*<any ASTRING-CHAR except "+">`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(Box<str>);

impl Tag {
    /// As the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let bytes = cursor.take_while(|b| is_astring_char(b) && b != b'+');
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() => Ok(Self(text.into())),
            _ => Err(Malformed("a tag")),
        }
    }

    /// The tag that a line begins with, if it has one followed by a space.
    pub(crate) fn of_line(line: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(line);
        let tag = Self::take(&mut cursor).ok()?;
        cursor.take_if(b' ').then_some(tag)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
