//! Names of scripts (RFC 5804 §1.6).

use std::fmt;

/// A script's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScriptName(String);

/// Why a string names no script. The text is what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScriptNameError {
    /// Nothing in it.
    #[error("The script name is empty")]
    Empty,
    /// Not UTF-8.
    #[error("The script name is not UTF-8")]
    Utf8,
    /// Over [`ScriptName::MAX_CHARS`].
    #[error("The script name is longer than 128 characters")]
    TooLong,
    /// A control character, a line or paragraph separator, or a slash: scripts are files.
    #[error("The script name has a character that is not allowed")]
    Character,
}

impl ScriptName {
    /// Longest name in characters: what RFC 5804 §1.6 asks a server to allow.
    pub const MAX_CHARS: usize = 128;

    /// Parses a name.
    ///
    /// # Errors
    /// [`ScriptNameError`] says which rule it breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, ScriptNameError> {
        let name = std::str::from_utf8(bytes).map_err(|_| ScriptNameError::Utf8)?;
        if name.is_empty() {
            return Err(ScriptNameError::Empty);
        }
        if name.chars().count() > Self::MAX_CHARS {
            return Err(ScriptNameError::TooLong);
        }
        let refused = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '/');
        if name.chars().any(refused) {
            return Err(ScriptNameError::Character);
        }
        Ok(Self(name.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScriptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_128_characters_are_allowed() {
        assert!(ScriptName::parse("é".repeat(128).as_bytes()).is_ok());
        assert!(ScriptName::parse(b"my script.v2").is_ok());
    }

    #[test]
    fn names_that_break_a_rule_are_refused() {
        for (name, error) in [
            (&b""[..], ScriptNameError::Empty),
            (b"\xff", ScriptNameError::Utf8),
            (b"a\0", ScriptNameError::Character),
            (b"a\x7f", ScriptNameError::Character),
            ("a\u{85}".as_bytes(), ScriptNameError::Character),
            ("a\u{2028}".as_bytes(), ScriptNameError::Character),
            (b"../a", ScriptNameError::Character),
            (&[b'a'; 129], ScriptNameError::TooLong),
        ] {
            assert_eq!(ScriptName::parse(name), Err(error));
        }
    }
}
