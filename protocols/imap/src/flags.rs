//! Flags as arguments of STORE and APPEND.

use crate::cursor::{Cursor, Malformed, Parsed};

/// `flag-list` (RFC 3501 §9) as the client wrote it: system flags with their backslash, keywords.
/// `\Recent` is refused: no client sets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagList(pub(crate) Vec<String>);

impl FlagList {
    /// The flags.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// `flag-list = "(" [flag *(SP flag)] ")"`
    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.expect(b'(', "a list of flags")?;
        let mut flags = Vec::new();
        if cursor.take_if(b')') {
            return Ok(Self(flags));
        }
        loop {
            let backslash = if cursor.take_if(b'\\') { "\\" } else { "" };
            flags.push(format!("{backslash}{}", cursor.atom("a flag")?));
            if cursor.take_if(b')') {
                return Self(flags).without_recent();
            }
            cursor.space()?;
        }
    }

    pub(crate) fn without_recent(self) -> Parsed<Self> {
        if self
            .iter()
            .any(|flag| flag.eq_ignore_ascii_case("\\Recent"))
        {
            return Err(Malformed(
                "flags that a client can set; \\Recent is not one",
            ));
        }
        Ok(self)
    }
}
