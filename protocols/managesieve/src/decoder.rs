//! Lines with their strings: quoted ones and literals (RFC 5804 §4).

use bytes::{Buf as _, Bytes, BytesMut};
use facteur_wire::{LineBuffer, LineError};

/// What bounds one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest line in octets, without literals.
    pub line: usize,
    /// Most octets of a line's literals together. What is longer is read past and never kept.
    pub literal: u64,
    /// Longest literal that is even read past; at a longer one the session ends.
    pub skipped_literal: u64,
}

/// One word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A command's name.
    Atom(Bytes),
    /// A number.
    Number(u64),
    /// A string, without its quotes.
    String(Bytes),
}

/// A command, or the answer to a challenge: words.
pub type Line = Vec<Argument>;

/// What is wrong with a line. It has been read past, literals included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too long, or its end is no CRLF.
    #[error("{0}")]
    Line(#[from] LineError),
    /// Not in the grammar.
    #[error("syntax error")]
    Syntax,
    /// A literal over [`Limits::literal`]: `NO (QUOTA/MAXSIZE)`.
    #[error("string is longer than allowed")]
    TooLarge,
    /// A literal over [`Limits::skipped_literal`]: nothing after it can be understood.
    #[error("string is far longer than allowed")]
    FarTooLarge,
}

/// More words than any command has.
const MAX_ARGUMENTS: usize = 8;

/// Reads lines off the input. The outcome does not depend on how the input was cut.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Line,
    literal: Option<Literal>,
    /// Octets of the line's literals so far.
    kept: u64,
    /// What is wrong with the line being read; its literals are read past all the same.
    error: Option<DecodeError>,
}

#[derive(Debug)]
enum Literal {
    Kept { text: BytesMut, left: usize },
    Skipped { left: u64 },
}

impl Decoder {
    /// At the beginning of a line.
    pub fn new() -> Self {
        Self::default()
    }

    /// How much of a literal has not come yet: room worth making.
    pub fn expects(&self) -> usize {
        match &self.literal {
            Some(Literal::Kept { left, .. }) => *left,
            Some(Literal::Skipped { left }) => usize::try_from(*left).unwrap_or(usize::MAX),
            None => 0,
        }
    }

    /// Takes the next line; `None` when it has not come whole.
    ///
    /// # Errors
    /// [`DecodeError`]; the next call goes on after that line, but for
    /// [`DecodeError::FarTooLarge`].
    pub fn decode(
        &mut self,
        input: &mut LineBuffer,
        limits: &Limits,
    ) -> Result<Option<Line>, DecodeError> {
        loop {
            if let Some(literal) = &mut self.literal {
                if !literal.fill(input) {
                    return Ok(None);
                }
                if let Some(Literal::Kept { text, .. }) = self.literal.take() {
                    self.line.push(Argument::String(text.freeze()));
                }
            }
            let text = match input.take_line(limits.line) {
                Ok(Some(text)) => text,
                Ok(None) => return Ok(None),
                Err(error) => {
                    // Whether a literal follows cannot be known; its text will be refused line by
                    // line.
                    self.line.clear();
                    self.kept = 0;
                    return Err(self.error.take().unwrap_or(error.into()));
                }
            };
            let text = self.begin_literal(text, limits)?;
            if self.error.is_none() {
                self.words(&text);
            }
            if self.literal.is_none() {
                let line = std::mem::take(&mut self.line);
                self.kept = 0;
                return match self.error.take() {
                    Some(error) => Err(error),
                    None => Ok(Some(line)),
                };
            }
        }
    }

    /// Whether a literal ends the text; gives the text before it. `literal-c2s` has a `+`; clients
    /// from before RFC 5804 leave it out and do not wait either.
    fn begin_literal(&mut self, text: Bytes, limits: &Limits) -> Result<Bytes, DecodeError> {
        let Some((start, length)) = literal_length(&text) else {
            return Ok(text);
        };
        if length > limits.skipped_literal {
            return Err(DecodeError::FarTooLarge);
        }
        let kept = self.kept.saturating_add(length);
        if kept > limits.literal {
            self.error.get_or_insert(DecodeError::TooLarge);
        } else if self.line.len() >= MAX_ARGUMENTS {
            self.error.get_or_insert(DecodeError::Syntax);
        }
        self.literal = Some(match (usize::try_from(length), self.error) {
            (Ok(left), None) => {
                self.kept = kept;
                Literal::Kept {
                    text: BytesMut::new(),
                    left,
                }
            }
            _ => Literal::Skipped { left: length },
        });
        Ok(text.slice(..start))
    }

    /// Adds the words in `text` to the line.
    fn words(&mut self, text: &Bytes) {
        let mut rest = text.clone();
        loop {
            let blank = rest.iter().take_while(|b| **b == b' ').count();
            rest.advance(blank);
            let Some(first) = rest.first() else {
                return;
            };
            let word = if *first == b'"' {
                quoted(&mut rest)
            } else {
                atom(&mut rest)
            };
            match word {
                Some(word) if self.line.len() < MAX_ARGUMENTS => self.line.push(word),
                _ => {
                    self.error = Some(DecodeError::Syntax);
                    return;
                }
            }
        }
    }
}

impl Literal {
    /// Takes what there is; says whether it is whole.
    fn fill(&mut self, input: &mut LineBuffer) -> bool {
        match self {
            Self::Kept { text, left } => {
                let bytes = input.take(*left);
                *left -= bytes.len();
                text.extend_from_slice(&bytes);
                *left == 0
            }
            Self::Skipped { left } => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let taken = input.take(most).len();
                *left -= u64::try_from(taken).unwrap_or(u64::MAX);
                *left == 0
            }
        }
    }
}

/// Where `{n+}` or `{n}` at the end of the text begins, and n. It must not lie in a quoted string.
fn literal_length(text: &[u8]) -> Option<(usize, u64)> {
    let inner = text.strip_suffix(b"}")?;
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let digits = inner
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let (before, digits) = inner.split_at(inner.len() - digits);
    let start = before.strip_suffix(b"{")?.len();
    let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (!ends_in_quotes(text.get(..start)?)).then_some((start, length))
}

/// Whether a quoted string is open at the end of the text.
fn ends_in_quotes(text: &[u8]) -> bool {
    let mut open = false;
    let mut bytes = text.iter();
    while let Some(b) = bytes.next() {
        match b {
            b'"' => open = !open,
            b'\\' if open => {
                bytes.next();
            }
            _ => {}
        }
    }
    open
}

/// `quoted`: `"` UTF-8 text with `\"` and `\\` `"`. Longer ones than the grammar's 1024 octets are
/// taken, as far as the line goes.
fn quoted(rest: &mut Bytes) -> Option<Argument> {
    rest.advance(1);
    let end = memchr::memchr2(b'"', b'\\', rest)?;
    if rest.get(end) == Some(&b'"') {
        let text = rest.split_to(end);
        return string_end(rest, text);
    }
    let mut text = BytesMut::from(rest.split_to(end).as_ref());
    loop {
        let b = *rest.first()?;
        match b {
            b'"' => return string_end(rest, text.freeze()),
            b'\\' => {
                let escaped = *rest.get(1)?;
                if !matches!(escaped, b'"' | b'\\') {
                    return None;
                }
                text.extend_from_slice(&[escaped]);
                rest.advance(2);
            }
            b => {
                text.extend_from_slice(&[b]);
                rest.advance(1);
            }
        }
    }
}

/// Takes the closing quote, after which a space or the end must come.
fn string_end(rest: &mut Bytes, text: Bytes) -> Option<Argument> {
    rest.advance(1);
    let separated = matches!(rest.first(), None | Some(b' '));
    let valid = std::str::from_utf8(&text).is_ok() && !text.contains(&0);
    (separated && valid).then_some(Argument::String(text))
}

/// `atom` or `number`.
fn atom(rest: &mut Bytes) -> Option<Argument> {
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let word = rest.split_to(end);
    if word.iter().all(u8::is_ascii_digit) {
        let digits = std::str::from_utf8(&word).ok()?;
        return Some(Argument::Number(digits.parse().ok()?));
    }
    let allowed = |b: &u8| (0x21..0x7f).contains(b) && !b"(){\"\\".contains(b);
    word.iter().all(allowed).then_some(Argument::Atom(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        line: 100,
        literal: 10,
        skipped_literal: 1000,
    };

    fn decode(chunks: &[&[u8]]) -> Vec<Result<Line, DecodeError>> {
        let mut input = LineBuffer::new();
        let mut decoder = Decoder::new();
        let mut found = Vec::new();
        for chunk in chunks {
            input.push(chunk);
            loop {
                match decoder.decode(&mut input, &LIMITS) {
                    Ok(Some(line)) => found.push(Ok(line)),
                    Ok(None) => break,
                    Err(DecodeError::FarTooLarge) => {
                        found.push(Err(DecodeError::FarTooLarge));
                        return found;
                    }
                    Err(error) => found.push(Err(error)),
                }
            }
        }
        found
    }

    fn string(text: &'static str) -> Argument {
        Argument::String(Bytes::from_static(text.as_bytes()))
    }

    fn name(text: &'static str) -> Argument {
        Argument::Atom(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn strings_are_taken_in_every_form() {
        assert_eq!(
            decode(&[b"Put \"a \\\"\\\\ b\" {3+}\r\nx\r\n {2}\r\n{}\r\nN 12 {0+}\r\n\r\n\r\n"]),
            [
                Ok(vec![
                    name("Put"),
                    string("a \"\\ b"),
                    string("x\r\n"),
                    string("{}")
                ]),
                Ok(vec![name("N"), Argument::Number(12), string("")]),
                Ok(vec![]),
            ]
        );
    }

    #[test]
    fn braces_in_a_quoted_string_are_no_literal() {
        assert_eq!(
            decode(&[b"A \"{3+}\"\r\nB \"x{3}\r\nC\r\n"]),
            [
                Ok(vec![name("A"), string("{3+}")]),
                Err(DecodeError::Syntax),
                Ok(vec![name("C")]),
            ]
        );
    }

    #[test]
    fn literal_over_the_limit_is_read_past() {
        let long = b"P \"a\" {11+}\r\n01234567890 {2+}\r\nxy\r\nN\r\n";
        assert_eq!(
            decode(&[long]),
            [Err(DecodeError::TooLarge), Ok(vec![name("N")])]
        );
        assert_eq!(
            decode(&[b"P {1001+}\r\nN\r\n"]),
            [Err(DecodeError::FarTooLarge)]
        );
    }

    #[test]
    fn literals_of_a_line_are_bounded_together() {
        assert_eq!(
            decode(&[b"P {6+}\r\n012345 {5+}\r\n01234\r\nN {10}\r\n0123456789\r\n"]),
            [
                Err(DecodeError::TooLarge),
                Ok(vec![name("N"), string("0123456789")])
            ]
        );
        let mut many = b"P".to_vec();
        for _ in 0..100 {
            many.extend_from_slice(b" {0+}\r\n");
        }
        many.extend_from_slice(b"\r\nN\r\n");
        assert_eq!(
            decode(&[&many]),
            [Err(DecodeError::Syntax), Ok(vec![name("N")])]
        );
    }

    #[test]
    fn literal_of_a_wrong_line_is_not_taken_for_commands() {
        assert_eq!(
            decode(&[b"P (x) {7+}\r\nEVIL\r\nx\r\nN\r\n"]),
            [Err(DecodeError::Syntax), Ok(vec![name("N")])]
        );
    }

    #[test]
    fn malformed_lines_are_errors() {
        for line in [
            &b"\"open\r\n"[..],
            b"\"a\"b\r\n",
            b"\"\\x\"\r\n",
            b"\"\xff\"\r\n",
            b"\"\0\"\r\n",
            b"a(b\r\n",
            b"99999999999999999999999\r\n",
            b"1 2 3 4 5 6 7 8 9\r\n",
        ] {
            assert_eq!(decode(&[line]), [Err(DecodeError::Syntax)], "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn byte_by_byte_equals_one_chunk(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "A", " ", "\"", "\\", "x", "{3+}\r\n", "{11}\r\n", "{0+}\r\n", "\r\n", "\r",
                    "\n", "7", "{", "}", "(", "é",
                ]),
                0..40,
            ),
        ) {
            let bytes = pieces.concat().into_bytes();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(decode(&[&bytes]), decode(&single));
        }

        #[test]
        fn any_string_written_is_read_back(text in "[a\"\\\\é {}+\r\n]{0,8}") {
            let mut out = BytesMut::from("X ");
            crate::push_string(&mut out, text.as_bytes());
            out.extend_from_slice(b"\r\n");
            if text.len() <= 10 {
                let read = decode(&[&out]);
                prop_assert_eq!(read, [Ok(vec![name("X"), Argument::String(text.into())])]);
            }
        }
    }
}
