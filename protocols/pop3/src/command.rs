//! What a client can ask (RFC 1939, RFC 2449, RFC 2595, RFC 5034).

use bytes::Bytes;
use facteur_wire::Secret;

/// Longest command line in octets without its CRLF (RFC 2449 §4: 255 with it). Twice that is
/// taken, as passwords and names can be long.
pub const MAX_COMMAND_LINE: usize = 510;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `USER name`
    User(String),
    /// `PASS string`; spaces belong to it (RFC 1939 §7).
    Pass(Secret),
    /// `AUTH [mechanism [initial-response]]` (RFC 5034 §4)
    Auth {
        /// `None`: only the list of mechanisms is asked for.
        mechanism: Option<String>,
        /// Base64 as it came; `=` is an empty one.
        initial_response: Option<Secret>,
    },
    /// `STLS` (RFC 2595 §4)
    Stls,
    /// `CAPA` (RFC 2449 §5)
    Capa,
    /// `STAT`
    Stat,
    /// `LIST [msg]`
    List(Option<u32>),
    /// `UIDL [msg]`
    Uidl(Option<u32>),
    /// `RETR msg`
    Retr(u32),
    /// `TOP msg n`
    Top {
        /// Which message.
        message: u32,
        /// How many lines of its body.
        lines: u32,
    },
    /// `DELE msg`
    Dele(u32),
    /// `NOOP`
    Noop,
    /// `RSET`
    Rset,
    /// `QUIT`
    Quit,
}

/// Why a line is no command. The text is what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such keyword.
    #[error("unknown command")]
    Unknown,
    /// Arguments are missing.
    #[error("argument missing")]
    Missing,
    /// There are more arguments than it takes.
    #[error("too many arguments")]
    TooMany,
    /// A message number or line count that is no decimal number of at most 32 bits.
    #[error("argument is not a number")]
    Number,
    /// A name that is no UTF-8 or has control characters.
    #[error("argument has characters that are not allowed")]
    Text,
}

impl Command {
    /// Parses a line without its CRLF.
    ///
    /// # Errors
    /// [`CommandError`] says what is wrong with it.
    pub fn parse(line: &Bytes) -> Result<Self, CommandError> {
        let trimmed = line.trim_ascii_end();
        let keyword_len = memchr::memchr(b' ', trimmed).unwrap_or(trimmed.len());
        let (keyword, _) = trimmed.split_at(keyword_len);
        let keyword = keyword.to_ascii_uppercase();
        if keyword == b"PASS" {
            // Not trimmed: a password may end in a space.
            let password = line.get(keyword_len + 1..).ok_or(CommandError::Missing)?;
            return Ok(Self::Pass(Secret::new(password.to_vec())));
        }
        let rest = line.slice(keyword_len..trimmed.len());
        let mut arguments = Arguments(rest);
        let command = match keyword.as_slice() {
            b"USER" => return arguments.whole_text().map(Self::User),
            b"AUTH" => Self::Auth {
                mechanism: arguments.next().map(|word| text(&word)).transpose()?,
                initial_response: arguments.next().map(|word| Secret::new(word.to_vec())),
            },
            b"STLS" => Self::Stls,
            b"CAPA" => Self::Capa,
            b"STAT" => Self::Stat,
            b"LIST" => Self::List(arguments.number_if_any()?),
            b"UIDL" => Self::Uidl(arguments.number_if_any()?),
            b"RETR" => Self::Retr(arguments.number()?),
            b"TOP" => Self::Top {
                message: arguments.number()?,
                lines: arguments.number()?,
            },
            b"DELE" => Self::Dele(arguments.number()?),
            b"NOOP" => Self::Noop,
            b"RSET" => Self::Rset,
            b"QUIT" => Self::Quit,
            _ => return Err(CommandError::Unknown),
        };
        match arguments.next() {
            None => Ok(command),
            Some(_) => Err(CommandError::TooMany),
        }
    }
}

/// Words of a line.
struct Arguments(Bytes);

impl Arguments {
    fn next(&mut self) -> Option<Bytes> {
        let start = self.0.iter().position(|b| *b != b' ')?;
        let word = self.0.split_off(start);
        let end = memchr::memchr(b' ', &word).unwrap_or(word.len());
        self.0 = word.slice(end..);
        Some(word.slice(..end))
    }

    /// Everything that is left, as one argument.
    fn whole_text(&self) -> Result<String, CommandError> {
        match self.0.trim_ascii() {
            [] => Err(CommandError::Missing),
            all => text(all),
        }
    }

    fn number_if_any(&mut self) -> Result<Option<u32>, CommandError> {
        self.next().map(|word| number(&word)).transpose()
    }

    fn number(&mut self) -> Result<u32, CommandError> {
        self.number_if_any()?.ok_or(CommandError::Missing)
    }
}

fn number(word: &[u8]) -> Result<u32, CommandError> {
    let digits = std::str::from_utf8(word).map_err(|_| CommandError::Number)?;
    // `parse` would take a sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CommandError::Number);
    }
    digits.parse().map_err(|_| CommandError::Number)
}

fn text(word: &[u8]) -> Result<String, CommandError> {
    let text = std::str::from_utf8(word).map_err(|_| CommandError::Text)?;
    if text.chars().any(char::is_control) {
        return Err(CommandError::Text);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(&Bytes::copy_from_slice(line.as_bytes()))
    }

    #[test]
    fn commands_in_any_case_are_parsed() {
        assert_eq!(parse("quit "), Ok(Command::Quit));
        assert_eq!(
            parse("Top  1  0"),
            Ok(Command::Top {
                message: 1,
                lines: 0
            })
        );
        assert_eq!(parse("LIST"), Ok(Command::List(None)));
        assert_eq!(parse("uidl 4294967295"), Ok(Command::Uidl(Some(u32::MAX))));
        assert_eq!(parse("USER a b"), Ok(Command::User("a b".into())));
        assert_eq!(
            parse("AUTH PLAIN ="),
            Ok(Command::Auth {
                mechanism: Some("PLAIN".into()),
                initial_response: Some(Secret::new(b"=".to_vec()))
            })
        );
    }

    #[test]
    fn password_keeps_its_spaces() {
        let secret = Secret::new(b" two words ".to_vec());
        assert_eq!(parse("PASS  two words "), Ok(Command::Pass(secret)));
        assert_eq!(parse("PASS"), Err(CommandError::Missing));
    }

    #[test]
    fn malformed_commands_are_told_why() {
        for (line, error) in [
            ("", CommandError::Unknown),
            ("XYZ", CommandError::Unknown),
            ("RETR", CommandError::Missing),
            ("RETR +1", CommandError::Number),
            ("RETR 4294967296", CommandError::Number),
            ("TOP 1", CommandError::Missing),
            ("TOP 1 2 3", CommandError::TooMany),
            ("NOOP 1", CommandError::TooMany),
            ("USER", CommandError::Missing),
            ("USER a\0", CommandError::Text),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
    }
}
