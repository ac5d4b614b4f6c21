//! Sieve's lexical tokens (RFC 5228 §8.1), each with its line.
//!
//! sieve-rs keeps its own to itself. We need ours to name the line of a wrong `require`, to tell
//! what a script will want of the message, and to rewrite what sieve-rs reads differently from the
//! RFC.

use super::ScriptError;

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// What it is.
    pub(super) kind: Kind<'a>,
    /// Offset of its first byte.
    pub(super) start: usize,
    /// Offset after its last byte.
    pub(super) end: usize,
    /// The line it begins on, from 1.
    pub(super) line: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// `identifier`, as written; compared without regard to case.
    Identifier(&'a str),
    /// `":" identifier`, without the colon.
    Tag(&'a str),
    /// `number`, with its quantifier.
    Number,
    /// `quoted-string`: what stands between the quotes.
    Quoted(&'a [u8]),
    /// `multi-line`: its lines, still dot-stuffed, without the lone dot.
    MultiLine(&'a [u8]),
    /// `; , ( ) [ ] { }`
    Mark(u8),
}

impl Kind<'_> {
    /// Whether it is this identifier, in any case.
    pub(super) fn is_identifier(&self, name: &str) -> bool {
        matches!(self, Self::Identifier(text) if text.eq_ignore_ascii_case(name))
    }

    /// The value of a string; `None` for anything else.
    pub(super) fn string(&self) -> Option<Vec<u8>> {
        match self {
            Self::Quoted(raw) => Some(unquote(raw)),
            Self::MultiLine(raw) => Some(unstuff(raw)),
            _ => None,
        }
    }
}

/// The value of a quoted string: a backslash makes the next byte plain (RFC 5228 §2.4.2).
fn unquote(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => value.extend(bytes.next()),
            _ => value.push(byte),
        }
    }
    value
}

/// The value of a multi-line: a line's first dot is dropped where two stand (RFC 5228 §2.4.2).
fn unstuff(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        let line = line
            .strip_prefix(b".")
            .filter(|rest| rest.first() == Some(&b'.'))
            .unwrap_or(line);
        value.extend_from_slice(line);
    }
    value
}

/// Splits a script into its tokens; comments and white space are dropped.
///
/// # Errors
/// What is no token, and where.
pub(super) fn tokens(script: &[u8]) -> Result<Vec<Token<'_>>, ScriptError> {
    let mut lexer = Lexer {
        script,
        at: 0,
        line: 1,
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    script: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn peek(&self) -> Option<u8> {
        self.script.get(self.at).copied()
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn bump_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
        self.script.get(start..self.at).unwrap_or_default()
    }

    fn identifier(&mut self) -> &'a str {
        let bytes = self.bump_while(|b| b.is_ascii_alphanumeric() || b == b'_');
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, ScriptError> {
        self.skip_blank()?;
        let (start, line) = (self.at, self.line);
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        let kind = match first {
            b'"' => self.quoted()?,
            b':' => {
                self.bump();
                match self.identifier() {
                    "" => return Err(ScriptError::at(line, "a colon without a tag after it")),
                    name => Kind::Tag(name),
                }
            }
            b'0'..=b'9' => {
                self.bump_while(|b| b.is_ascii_digit());
                self.bump_while(|b| b.is_ascii_alphabetic());
                Kind::Number
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => match self.identifier() {
                name if name.eq_ignore_ascii_case("text") && self.peek() == Some(b':') => {
                    self.multi_line()?
                }
                name => Kind::Identifier(name),
            },
            b';' | b',' | b'(' | b')' | b'[' | b']' | b'{' | b'}' => {
                self.bump();
                Kind::Mark(first)
            }
            other => {
                let message = format!("unexpected character {:?}", char::from(other));
                return Err(ScriptError::at(line, message));
            }
        };
        let end = self.at;
        Ok(Some(Token {
            kind,
            start,
            end,
            line,
        }))
    }

    fn skip_blank(&mut self) -> Result<(), ScriptError> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => {
                    self.bump();
                }
                Some(b'#') => {
                    self.bump_while(|b| b != b'\n');
                }
                Some(b'/') if self.script.get(self.at + 1) == Some(&b'*') => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), ScriptError> {
        let line = self.line;
        self.bump();
        self.bump();
        loop {
            match self.bump() {
                Some(b'*') if self.peek() == Some(b'/') => {
                    self.bump();
                    return Ok(());
                }
                Some(_) => {}
                None => return Err(ScriptError::at(line, "this comment never ends")),
            }
        }
    }

    fn quoted(&mut self) -> Result<Kind<'a>, ScriptError> {
        let line = self.line;
        self.bump();
        let start = self.at;
        loop {
            match self.bump() {
                Some(b'"') => {
                    let raw = self.script.get(start..self.at - 1).unwrap_or_default();
                    return Ok(Kind::Quoted(raw));
                }
                Some(b'\\') => {
                    self.bump();
                }
                Some(_) => {}
                None => return Err(ScriptError::at(line, "this string has no closing quote")),
            }
        }
    }

    fn multi_line(&mut self) -> Result<Kind<'a>, ScriptError> {
        let line = self.line;
        self.bump_while(|b| b != b'\n');
        self.bump();
        let start = self.at;
        loop {
            let line_start = self.at;
            let text = self.bump_while(|b| b != b'\n');
            let ended = self.bump().is_some();
            if matches!(text, b"." | b".\r") && ended {
                let raw = self.script.get(start..line_start).unwrap_or_default();
                return Ok(Kind::MultiLine(raw));
            }
            if !ended {
                return Err(ScriptError::at(
                    line,
                    "this text has no line with a single dot after it",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_kinds_are_found_across_comments_and_texts() {
        let script =
            b"# c\nrequire [\"a\\\"b\"]; /* x\n y */ KEEP;\ntext: # c\r\n..dot\r\n.\r\n:tag 10K";
        let tokens = tokens(script).unwrap();
        let seen: Vec<_> = tokens
            .iter()
            .map(|token| (token.line, token.kind.clone()))
            .collect();
        assert_eq!(
            seen,
            [
                (2, Kind::Identifier("require")),
                (2, Kind::Mark(b'[')),
                (2, Kind::Quoted(b"a\\\"b")),
                (2, Kind::Mark(b']')),
                (2, Kind::Mark(b';')),
                (3, Kind::Identifier("KEEP")),
                (3, Kind::Mark(b';')),
                (4, Kind::MultiLine(b"..dot\r\n")),
                (7, Kind::Tag("tag")),
                (7, Kind::Number),
            ]
        );
        assert_eq!(tokens[2].kind.string().unwrap(), b"a\"b");
        assert_eq!(tokens[7].kind.string().unwrap(), b".dot\r\n");
    }

    #[test]
    fn what_never_ends_is_named_by_its_first_line() {
        for script in ["\n\"abc\n", "\n/* abc\n", "\ntext:\nabc\n"] {
            assert_eq!(tokens(script.as_bytes()).unwrap_err().line, 2, "{script:?}");
        }
    }
}
