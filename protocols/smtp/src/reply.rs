//! Replies (RFC 5321 §4.2).

use std::{borrow::Cow, fmt};

use bytes::{BufMut, BytesMut};

use crate::EnhancedStatus;

/// A reply: a three-digit code, an enhanced status (RFC 2034), and text of one line or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<EnhancedStatus>,
    /// Lines separated by LF.
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced status. `text` may have several lines, separated by LF.
    pub fn new(code: u16, status: EnhancedStatus, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            status: Some(status),
            text: text.into(),
        }
    }

    /// A reply without an enhanced status: greetings, EHLO, 3yz (RFC 2034 §4).
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            status: None,
            text: text.into(),
        }
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status, if it has one.
    pub fn status(&self) -> Option<EnhancedStatus> {
        self.status
    }

    /// The text; lines are separated by LF.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2yz: done.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: go on.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz: not now.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: never.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Longest text on one line, so that a reply line stays below 512 octets (RFC 5321 §4.5.3.1.5).
    const MAX_TEXT_LEN: usize = 480;

    /// Writes it as it goes over the wire. Control characters become spaces; what is too long for a
    /// line goes on in the next.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut lines = self.text.split('\n').flat_map(fold).peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { b'-' } else { b' ' };
            out.reserve(line.len() + 16);
            put_number(out, self.code);
            out.put_u8(separator);
            if let Some(status) = self.status {
                put_number(out, u16::from(status.class()));
                out.put_u8(b'.');
                put_number(out, status.subject());
                out.put_u8(b'.');
                put_number(out, status.detail());
                out.put_u8(b' ');
            }
            out.extend(
                line.bytes()
                    .map(|b| if b.is_ascii_control() { b' ' } else { b }),
            );
            out.put_slice(b"\r\n");
        }
    }
}

/// Cuts a line at character boundaries into pieces that fit.
fn fold(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.len() <= Reply::MAX_TEXT_LEN {
            return Some(text);
        }
        let (piece, after) = text.split_at(text.floor_char_boundary(Reply::MAX_TEXT_LEN));
        rest = Some(after);
        Some(piece)
    })
}

/// Decimal digits without an allocation or the formatting machinery: replies are the hot output.
fn put_number(out: &mut BytesMut, number: u16) {
    if number >= 10 {
        put_number(out, number / 10);
    }
    out.put_u8(b'0' + (number % 10).to_le_bytes()[0]);
}

impl fmt::Display for Reply {
    /// One line, for logs and DSNs: `550 5.1.1 no such user`. Control characters become spaces: the
    /// text may be another server's, or a script's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        for line in self.text.split('\n').filter(|line| !line.is_empty()) {
            f.write_str(" ")?;
            for piece in line.split_inclusive(char::is_control) {
                let text = piece.trim_end_matches(char::is_control);
                f.write_str(text)?;
                if text.len() < piece.len() {
                    f.write_str(" ")?;
                }
            }
        }
        Ok(())
    }
}

/// A line that is no reply line, or replies whose lines do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed reply")]
pub struct MalformedReply;

/// Puts the lines of a reply together (RFC 5321 §4.2.1).
///
/// ```text
/// Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
/// ```
#[derive(Debug, Default)]
pub struct ReplyReader {
    code: Option<u16>,
    status: Option<EnhancedStatus>,
    text: String,
}

impl ReplyReader {
    /// Longest text kept of one reply; the rest is dropped.
    const MAX_TEXT_LEN: usize = 16 * 1024;

    /// Takes one line, without its CRLF; returns the reply when it was the last.
    ///
    /// # Errors
    /// When the line breaks the grammar or its code differs from the lines before it.
    pub fn push_line(&mut self, line: &[u8]) -> Result<Option<Reply>, MalformedReply> {
        let digits = line.get(..3).ok_or(MalformedReply)?;
        if !digits.iter().all(u8::is_ascii_digit) || !matches!(digits.first(), Some(b'2'..=b'5')) {
            return Err(MalformedReply);
        }
        let code = digits
            .iter()
            .fold(0, |code, d| code * 10 + u16::from(d - b'0'));
        let last = match line.get(3) {
            None | Some(b' ') => true,
            Some(b'-') => false,
            Some(_) => return Err(MalformedReply),
        };
        let first = self.code.is_none();
        if self.code.is_some_and(|earlier| earlier != code) {
            return Err(MalformedReply);
        }
        self.code = Some(code);
        let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
        self.add_text(first, code, &text);
        if !last {
            return Ok(None);
        }
        let done = std::mem::take(self);
        Ok(Some(Reply {
            code,
            status: done.status,
            text: Cow::Owned(done.text),
        }))
    }

    fn add_text(&mut self, first: bool, code: u16, text: &str) {
        let (word, after) = text.split_once(' ').unwrap_or((text, ""));
        // An enhanced status counts only when its class is the code's (RFC 2034 §4).
        let status = EnhancedStatus::parse(word).filter(|s| u16::from(s.class()) == code / 100);
        if first {
            self.status = status;
        }
        let text = if status.is_some() && status == self.status {
            after
        } else {
            text
        };
        if self.text.len() + text.len() >= Self::MAX_TEXT_LEN {
            return;
        }
        if !first {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(reply: &Reply) -> String {
        let mut out = BytesMut::new();
        reply.encode(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn decoded(wire: &str) -> Result<Option<Reply>, MalformedReply> {
        let mut reader = ReplyReader::default();
        let mut last = Ok(None);
        for line in wire.lines() {
            last = reader.push_line(line.as_bytes());
        }
        last
    }

    #[test]
    fn lines_carry_the_code_and_the_status() {
        let reply = Reply::new(250, EnhancedStatus::new(2, 1, 0), "one\ntwo");
        assert_eq!(encoded(&reply), "250-2.1.0 one\r\n250 2.1.0 two\r\n");
        assert_eq!(reply.to_string(), "250 2.1.0 one two");
    }

    #[test]
    fn control_characters_cannot_forge_a_reply() {
        let reply = Reply::plain(550, "no\r250 ok\0");
        assert_eq!(encoded(&reply), "550 no 250 ok \r\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_log() {
        let reply = Reply::plain(550, "no\r\x1b[2J\u{9b}x\nend");
        assert_eq!(reply.to_string(), "550 no  [2J x end");
    }

    #[test]
    fn long_text_is_folded_below_512_octets() {
        let wire = encoded(&Reply::new(
            554,
            EnhancedStatus::new(5, 7, 1),
            "é".repeat(700),
        ));
        assert!(wire.lines().count() == 3 && wire.lines().all(|line| line.len() < 510));
    }

    #[test]
    fn malformed_replies_are_refused() {
        for wire in ["25", "abc hi", "250_x", "999 x", "250-a\n251 b"] {
            assert_eq!(decoded(wire), Err(MalformedReply), "{wire}");
        }
        assert_eq!(decoded("250"), Ok(Some(Reply::plain(250, ""))));
    }

    #[test]
    fn status_of_another_class_is_text() {
        assert_eq!(
            decoded("550 4.1.1 x"),
            Ok(Some(Reply::plain(550, "4.1.1 x")))
        );
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(
            code in 200u16..600,
            class in prop::sample::select(vec![2u8, 4, 5]),
            subject in 0u16..1000,
            with_status: bool,
            lines in prop::collection::vec("[a-zA-Z][ -~]{0,60}", 1..4),
        ) {
            let text = lines.join("\n");
            let reply = if with_status {
                let code = u16::from(class) * 100 + code % 100;
                Reply::new(code, EnhancedStatus::new(class, subject, 1), text)
            } else {
                Reply::plain(code, text)
            };
            prop_assert_eq!(decoded(&encoded(&reply)), Ok(Some(reply)));
        }
    }
}
