//! Multi-line bodies (RFC 1939 §3): dot-stuffing, CRLF line ends, and TOP's cut.

use bytes::BytesMut;
use memchr::memchr;

/// Turns a message's bytes, as they come, into the body of a multi-line response.
#[derive(Debug, Clone)]
pub struct DotStuffer {
    at: At,
    /// Lines of the body still to send; `None` is all of it.
    lines_left: Option<u32>,
    in_header: bool,
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    /// After a CR that is the first of its line.
    LoneCr,
    Text,
    /// After a CR.
    Cr,
}

impl DotStuffer {
    /// For RETR.
    pub fn whole() -> Self {
        Self::new(None)
    }

    /// For TOP: the header, the blank line, and `lines` lines of the body.
    pub fn top(lines: u32) -> Self {
        Self::new(Some(lines))
    }

    fn new(lines_left: Option<u32>) -> Self {
        Self {
            at: At::LineStart,
            lines_left,
            in_header: true,
            done: false,
        }
    }

    /// Whether nothing more is wanted: TOP has its lines.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Appends the next bytes to `out`. A line end without CR gets one.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        while let Some(first) = bytes.first().copied() {
            if self.done {
                return;
            }
            if self.at == At::LineStart && first == b'.' {
                out.extend_from_slice(b".");
            }
            match memchr(b'\n', bytes) {
                Some(lf) => {
                    let (line, rest) = bytes.split_at(lf);
                    self.end_line(line, out);
                    bytes = rest.get(1..).unwrap_or_default();
                }
                None => {
                    out.extend_from_slice(bytes);
                    let at_start = self.at == At::LineStart && bytes.len() == 1;
                    self.at = match bytes.last() {
                        Some(b'\r') if at_start => At::LoneCr,
                        Some(b'\r') => At::Cr,
                        _ => At::Text,
                    };
                    return;
                }
            }
        }
    }

    /// Ends the response.
    pub fn finish(self, out: &mut BytesMut) {
        match self.at {
            At::LineStart => {}
            At::LoneCr | At::Cr => out.extend_from_slice(b"\n"),
            At::Text => out.extend_from_slice(b"\r\n"),
        }
        out.extend_from_slice(b".\r\n");
    }

    /// The LF after `line` came.
    fn end_line(&mut self, line: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(line);
        let has_cr = match line.last() {
            Some(last) => *last == b'\r',
            None => matches!(self.at, At::LoneCr | At::Cr),
        };
        out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
        let blank = match self.at {
            At::LineStart => matches!(line, b"" | b"\r"),
            At::LoneCr => line.is_empty(),
            At::Text | At::Cr => false,
        };
        self.at = At::LineStart;
        if self.in_header {
            self.in_header = !blank;
            self.done = blank && self.lines_left == Some(0);
        } else if let Some(left) = &mut self.lines_left {
            *left -= 1;
            self.done = *left == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuffed(mut stuffer: DotStuffer, message: &[u8], chunk: usize) -> BytesMut {
        let mut out = BytesMut::new();
        for chunk in message.chunks(chunk) {
            stuffer.push(chunk, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_stuffed_and_line_ends_completed() {
        for (message, expected) in [
            (
                &b"a: b\r\n\r\n.\r\n..x\r\n"[..],
                &b"a: b\r\n\r\n..\r\n...x\r\n.\r\n"[..],
            ),
            (b"a\n\n.b", b"a\r\n\r\n..b\r\n.\r\n"),
            (b"a\r", b"a\r\n.\r\n"),
            (b"", b".\r\n"),
            (b"a.b\r\n", b"a.b\r\n.\r\n"),
        ] {
            for chunk in 1..=message.len().max(1) {
                assert_eq!(stuffed(DotStuffer::whole(), message, chunk), expected);
            }
        }
    }

    #[test]
    fn top_ends_after_its_lines() {
        let message = b"a: b\r\n\r\n1\r\n2\r\n3\r\n";
        for chunk in 1..=message.len() {
            for (lines, expected) in [
                (0, &b"a: b\r\n\r\n.\r\n"[..]),
                (2, b"a: b\r\n\r\n1\r\n2\r\n.\r\n"),
                (9, b"a: b\r\n\r\n1\r\n2\r\n3\r\n.\r\n"),
            ] {
                assert_eq!(stuffed(DotStuffer::top(lines), message, chunk), expected);
            }
        }
    }

    /// What a client does with a multi-line body.
    fn unstuffed(body: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut rest = body;
        loop {
            let end = rest.windows(2).position(|w| w == b"\r\n")? + 2;
            let (line, next) = rest.split_at(end);
            if line == b".\r\n" {
                return next.is_empty().then_some(out);
            }
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            rest = next;
        }
    }

    proptest! {
        #[test]
        fn client_reads_back_what_was_stuffed(
            message in "[.a\r\n]{0,40}",
            chunk in 1..9_usize,
            lines in 0..4_u32,
        ) {
            let body = stuffed(DotStuffer::whole(), message.as_bytes(), chunk);
            let mut expected = message.replace("\r\n", "\n").replace('\n', "\r\n");
            if !expected.is_empty() && !expected.ends_with("\r\n") {
                expected.push_str(if expected.ends_with('\r') { "\n" } else { "\r\n" });
            }
            prop_assert_eq!(unstuffed(&body), Some(expected.into_bytes()));
            let top = stuffed(DotStuffer::top(lines), message.as_bytes(), chunk);
            prop_assert_eq!(top, stuffed(DotStuffer::top(lines), message.as_bytes(), 100));
        }
    }
}
