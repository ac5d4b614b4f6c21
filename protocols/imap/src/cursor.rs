//! The grammar's small pieces (RFC 3501 §9), taken from the front of a complete command.

use std::borrow::Cow;

/// What the grammar wanted where the input had something else. Displays as a reply text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Malformed(pub(crate) &'static str);

pub(crate) type Parsed<T> = Result<T, Malformed>;

/// A place in a command whose literals are all there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

/// `ATOM-CHAR`: any CHAR but `atom-specials`.
pub(crate) fn is_atom_char(b: u8) -> bool {
    (0x21..0x7f).contains(&b) && !b"(){%*\"\\]".contains(&b)
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials`
pub(crate) fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']'
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn take_if(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        self.take_if(byte).then_some(()).ok_or(Malformed(what))
    }

    pub(crate) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "a space")
    }

    pub(crate) fn end(&self) -> Parsed<()> {
        self.rest
            .is_empty()
            .then_some(())
            .ok_or(Malformed("the end of the command"))
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let count = self
            .rest
            .iter()
            .position(|b| !accept(*b))
            .unwrap_or(self.rest.len());
        self.take(count).unwrap_or_default()
    }

    /// Takes `text` in any case. What follows it is the caller's matter.
    pub(crate) fn take_text(&mut self, text: &str) -> bool {
        match self.rest.split_at_checked(text.len()) {
            Some((head, rest)) if head.eq_ignore_ascii_case(text.as_bytes()) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// `atom = 1*ATOM-CHAR`
    pub(crate) fn atom(&mut self, what: &'static str) -> Parsed<&'a str> {
        let bytes = self.take_while(is_atom_char);
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(Malformed(what)),
        }
    }

    /// `number64 = 1*DIGIT`, at most 63 bits (RFC 9051 §9).
    pub(crate) fn number64(&mut self) -> Parsed<u64> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|number| *number <= i64::MAX as u64)
            .ok_or(Malformed("a number"))
    }

    /// `number = 1*DIGIT`, 32 bits.
    pub(crate) fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.number64()?).map_err(|_| Malformed("a 32-bit number"))
    }

    /// `string = quoted / literal`
    pub(crate) fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Malformed("a string")),
        }
    }

    /// `astring = 1*ASTRING-CHAR / string`
    pub(crate) fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.string_or(is_astring_char)
    }

    /// A string, or characters that `accept` lets through without quotes.
    pub(crate) fn string_or(&mut self, accept: impl Fn(u8) -> bool) -> Parsed<Cow<'a, [u8]>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string();
        }
        match self.take_while(accept) {
            [] => Err(Malformed("a string")),
            bytes => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`. Octets above 127 pass: what they mean is for the
    /// caller, as in a literal.
    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        const UNCLOSED: Malformed = Malformed("a closing quote");
        self.expect(b'"', "a quote")?;
        let plain = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.take_if(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.take(1).ok_or(UNCLOSED)? {
                b"\"" => return Ok(Cow::Owned(text)),
                b"\\" => match self.take(1).ok_or(UNCLOSED)? {
                    escaped @ (b"\"" | b"\\") => text.extend_from_slice(escaped),
                    _ => return Err(Malformed("a quote or a backslash after a backslash")),
                },
                b"\r" | b"\n" | b"\0" => return Err(UNCLOSED),
                other => text.extend_from_slice(other),
            }
        }
    }

    /// `literal = "{" number ["+"] "}" CRLF *CHAR8` (RFC 7888 §8); CHAR8 has no NUL.
    fn literal(&mut self) -> Parsed<&'a [u8]> {
        self.expect(b'{', "a literal")?;
        let count = self.number()?;
        self.take_if(b'+');
        self.expect(b'}', "a literal")?;
        self.take_if(b'\r');
        self.expect(b'\n', "a literal")?;
        let bytes = usize::try_from(count)
            .ok()
            .and_then(|count| self.take(count))
            .ok_or(Malformed("a whole literal"))?;
        match memchr::memchr(0, bytes) {
            Some(_) => Err(Malformed("a literal without NUL")),
            None => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_are_unescaped() {
        let mut cursor = Cursor::new(b"\"a \\\"b\\\\ c\" rest");
        assert_eq!(cursor.string().unwrap().as_ref(), b"a \"b\\ c");
        assert_eq!(cursor.rest(), b" rest");
    }

    #[test]
    fn broken_strings_are_refused() {
        for input in [
            &b"\"abc"[..],
            b"\"a\\n\"",
            b"\"a\r\nb\"",
            b"{5}\r\nabc",
            b"{3}\r\na\0c",
            b"{99999999999999999999}\r\na",
            b"{}\r\n",
            b"",
        ] {
            assert!(Cursor::new(input).string().is_err(), "{input:?}");
        }
    }

    #[test]
    fn numbers_past_their_width_are_refused() {
        assert_eq!(Cursor::new(b"4294967295").number(), Ok(u32::MAX));
        assert!(Cursor::new(b"4294967296").number().is_err());
        assert!(Cursor::new(b"9223372036854775808").number64().is_err());
        assert!(Cursor::new(b"-1").number().is_err());
    }
}
