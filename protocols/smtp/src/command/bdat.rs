//! `BDAT` (RFC 3030 §2).

use std::fmt;

use super::CommandError;

/// `BDAT chunk-size [LAST]`: as many octets of the message follow the CRLF, uninterpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bdat {
    /// How many octets follow.
    pub size: u64,
    /// Whether the message ends with them.
    pub last: bool,
}

impl Bdat {
    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Syntax("BDAT size [LAST]");
        let (size, rest) = text.split_once(' ').unwrap_or((text, ""));
        if !(1..=20).contains(&size.len()) || !size.bytes().all(|b| b.is_ascii_digit()) {
            return Err(FORM);
        }
        let size = size.parse().map_err(|_| FORM)?;
        let last = match rest.trim_ascii() {
            "" => false,
            word if word.eq_ignore_ascii_case("LAST") => true,
            _ => return Err(FORM),
        };
        Ok(Self { size, last })
    }
}

impl fmt::Display for Bdat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "BDAT {}{}",
            self.size,
            if self.last { " LAST" } else { "" }
        )
    }
}
