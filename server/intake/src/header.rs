//! The header of a message on its way in: what is missing, what must go.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Longest header accepted. Postfix cuts longer ones at half of this.
pub(crate) const HEADER_LIMIT: usize = 256 * 1024;

/// The header is longer than [`HEADER_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderTooLong;

/// What the header has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) received: usize,
    pub(crate) has_date: bool,
    pub(crate) has_message_id: bool,
    /// For the log only.
    pub(crate) message_id: Option<String>,
}

/// Holds the header back until it is whole; after that the body passes through untouched.
#[derive(Debug)]
pub(crate) struct HeaderGate {
    scanner: Option<Scanner>,
    held: BytesMut,
    facts: Facts,
}

impl HeaderGate {
    /// `strip_bcc`: for messages of authors (RFC 6409 §8 lets it, RFC 5322 §3.6.3 wants it).
    pub(crate) fn new(strip_bcc: bool) -> Self {
        Self {
            scanner: Some(Scanner {
                strip_bcc,
                ..Scanner::default()
            }),
            held: BytesMut::new(),
            facts: Facts::default(),
        }
    }

    /// Takes a piece of the message and gives what can go on. A header that comes whole in one
    /// piece is not copied.
    pub(crate) fn push(
        &mut self,
        piece: Bytes,
        mut out: impl FnMut(Bytes),
    ) -> Result<(), HeaderTooLong> {
        let Some(scanner) = &mut self.scanner else {
            out(piece);
            return Ok(());
        };
        let whole = if self.held.is_empty() {
            if !scanner.scan(&piece) {
                self.held.extend_from_slice(&piece);
                return self.check_length();
            }
            piece
        } else {
            self.held.extend_from_slice(&piece);
            if !scanner.scan(&self.held) {
                return self.check_length();
            }
            self.held.split().freeze()
        };
        self.release(&whole, &mut out);
        Ok(())
    }

    /// The message has ended.
    pub(crate) fn finish(mut self, mut out: impl FnMut(Bytes)) -> Facts {
        if let Some(scanner) = &mut self.scanner {
            let whole = self.held.split().freeze();
            scanner.finish(&whole);
            self.release(&whole, &mut out);
        }
        self.facts
    }

    fn check_length(&self) -> Result<(), HeaderTooLong> {
        if self.held.len() > HEADER_LIMIT {
            Err(HeaderTooLong)
        } else {
            Ok(())
        }
    }

    fn release(&mut self, whole: &Bytes, out: &mut impl FnMut(Bytes)) {
        let Some(scanner) = self.scanner.take() else {
            return;
        };
        let mut at = 0;
        let mut keep = |range: Range<usize>| {
            if !range.is_empty() {
                out(whole.slice(range));
            }
        };
        for dropped in &scanner.dropped {
            keep(at..dropped.start);
            at = dropped.end;
        }
        if scanner.lacks_separator {
            keep(at..scanner.at);
            at = scanner.at;
            out(Bytes::from_static(b"\r\n"));
        }
        if at < whole.len() {
            out(whole.slice(at..));
        }
        self.facts = scanner.facts;
    }
}

/// Goes over the header line by line, as it comes.
#[derive(Debug, Default)]
struct Scanner {
    strip_bcc: bool,
    /// Start of the first line not looked at.
    at: usize,
    /// Up to where its end was searched for: a line that comes byte by byte is read once.
    searched: usize,
    /// The field being read is to be dropped, continuation lines too.
    dropping: bool,
    dropped: Vec<Range<usize>>,
    /// A line that is no header field ended the header: an empty line is put before it.
    lacks_separator: bool,
    facts: Facts,
}

impl Scanner {
    /// Whether the header has ended. `bytes` is all there is, from the first byte of the message.
    fn scan(&mut self, bytes: &[u8]) -> bool {
        while let Some(found) = bytes
            .get(self.searched..)
            .and_then(|rest| memchr::memchr(b'\n', rest))
        {
            self.searched += found + 1;
            let range = self.at..self.searched;
            if self.ends_with(bytes.get(range.clone()).unwrap_or_default(), range) {
                return true;
            }
        }
        self.searched = bytes.len();
        false
    }

    /// The message is over: what is left is a line without its end.
    fn finish(&mut self, bytes: &[u8]) {
        if !self.scan(bytes) && self.at < bytes.len() {
            let range = self.at..bytes.len();
            self.ends_with(bytes.get(range.clone()).unwrap_or_default(), range);
        }
    }

    fn ends_with(&mut self, line: &[u8], range: Range<usize>) -> bool {
        if matches!(line, b"\r\n" | b"\n") {
            return true;
        }
        if matches!(line.first(), Some(b' ' | b'\t')) && self.at > 0 {
            if self.dropping {
                self.drop_line(range.clone());
            }
            self.at = range.end;
            return false;
        }
        // What mbox writers leave at the top.
        let is_mbox_line =
            self.at == 0 && (line.starts_with(b"From ") || line.starts_with(b">From "));
        let Some((name, value)) = field(line).filter(|_| !is_mbox_line) else {
            if is_mbox_line {
                self.dropping = true;
                self.drop_line(range.clone());
                self.at = range.end;
                return false;
            }
            self.lacks_separator = true;
            return true;
        };
        self.dropping = self.strip_bcc
            && (name.eq_ignore_ascii_case(b"Bcc") || name.eq_ignore_ascii_case(b"Resent-Bcc"));
        if self.dropping {
            self.drop_line(range.clone());
        } else if name.eq_ignore_ascii_case(b"Received") {
            self.facts.received += 1;
        } else if name.eq_ignore_ascii_case(b"Date") {
            self.facts.has_date = true;
        } else if name.eq_ignore_ascii_case(b"Message-ID") {
            self.facts.has_message_id = true;
            let text = value.get(..value.len().min(200)).unwrap_or_default();
            self.facts.message_id = Some(text.trim_ascii().escape_ascii().to_string());
        }
        self.at = range.end;
        false
    }

    fn drop_line(&mut self, range: Range<usize>) {
        match self.dropped.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.dropped.push(range),
        }
    }
}

/// Name and value of a header line: `ftext`s, perhaps blanks (RFC 5322 §4.5), a colon.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at(colon);
    let name = name.trim_ascii_end();
    let fits = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    fits.then(|| (name, value.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(message: &str, cut: usize, strip_bcc: bool) -> (String, Facts) {
        let mut gate = HeaderGate::new(strip_bcc);
        let mut out = Vec::new();
        for piece in message.as_bytes().chunks(cut) {
            let piece = Bytes::copy_from_slice(piece);
            gate.push(piece, |bytes| out.extend_from_slice(&bytes))
                .unwrap();
        }
        let facts = gate.finish(|bytes| out.extend_from_slice(&bytes));
        (String::from_utf8(out).unwrap(), facts)
    }

    fn passed(message: &str, strip_bcc: bool) -> (String, Facts) {
        let whole = pass(message, 10_000, strip_bcc);
        for cut in [1, 2, 3, 7] {
            assert_eq!(pass(message, cut, strip_bcc), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn bcc_is_removed_with_its_continuation_lines_on_submission_only() {
        let message = "A: 1\r\nbcc: x@y,\r\n z@y\r\nResent-BCC : q\r\nB: 2\r\n\r\nBcc: body\r\n";
        assert_eq!(passed(message, true).0, "A: 1\r\nB: 2\r\n\r\nBcc: body\r\n");
        assert_eq!(passed(message, false).0, message);
    }

    #[test]
    fn facts_are_of_the_header_only() {
        let message = "Received: a\r\n b\r\nRECEIVED: c\r\nDate: d\r\nMessage-Id: <1@x>\r\n\r\nReceived: z\r\n";
        let (text, facts) = passed(message, true);
        assert_eq!(text, message);
        assert_eq!(
            (facts.received, facts.has_date, facts.has_message_id),
            (2, true, true)
        );
        assert_eq!(facts.message_id.as_deref(), Some("<1@x>"));
        assert_eq!(passed("\r\nDate: x\r\n", true).1, Facts::default());
    }

    #[test]
    fn text_without_a_header_gets_the_empty_line_it_lacks() {
        assert_eq!(
            passed("hello world\r\nmore\r\n", false).0,
            "\r\nhello world\r\nmore\r\n"
        );
        assert_eq!(
            passed("A: 1\r\nhello\r\n", false).0,
            "A: 1\r\n\r\nhello\r\n"
        );
        assert_eq!(passed("A: 1\r\n", false).0, "A: 1\r\n");
        assert_eq!(passed("", false).0, "");
        assert_eq!(passed("x", false).0, "\r\nx");
    }

    #[test]
    fn mbox_line_at_the_top_goes() {
        assert_eq!(
            passed("From a@b today\r\nA: 1\r\n\r\nx", false).0,
            "A: 1\r\n\r\nx"
        );
    }

    #[test]
    fn endless_header_is_refused() {
        let mut gate = HeaderGate::new(false);
        let line = Bytes::from_static(b"X: 0123456789012345678901234567890\r\n");
        let refused = (0..20_000).any(|_| gate.push(line.clone(), |_| {}).is_err());
        assert!(refused);
    }
}
