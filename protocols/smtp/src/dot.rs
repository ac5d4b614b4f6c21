//! Transparency of DATA (RFC 5321 §4.5.2): dots taken off on the way in, put on on the way out.

use bytes::{BufMut, Bytes, BytesMut};
use facteur_wire::LineBuffer;
use memchr::{memchr2, memchr3};

/// What makes a body unacceptable. Bare CR and bare LF are how mail is smuggled past a server that
/// sees other line ends than its peer (RFC 5321 §2.3.8 forbids both); NUL is in no text (RFC 2045
/// §2.8) and cannot be handed to IMAP clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// A CR without an LF after it.
    #[error("bare CR in message")]
    BareCr,
    /// An LF without a CR before it.
    #[error("bare LF in message")]
    BareLf,
    /// A NUL.
    #[error("NUL in message")]
    Nul,
}

/// What [`Unstuffer::next`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The body goes on: a slice of the input, not a copy.
    Chunk(Bytes),
    /// The body is not acceptable. Calling on leads to the true end of the data.
    Fault {
        /// Why.
        fault: BodyFault,
        /// How many octets of text came before it; they are not handed out any more.
        text: usize,
    },
    /// `CRLF.CRLF` has come.
    End,
    /// More input is needed.
    Starved,
}

/// Finds the end of DATA, takes off the dots, and looks for faults. Only `CRLF.CRLF` ends it.
#[derive(Debug)]
pub struct Unstuffer {
    line_start: bool,
}

impl Default for Unstuffer {
    fn default() -> Self {
        Self { line_start: true }
    }
}

/// What a look at the line's first bytes tells.
enum Lead {
    Dot,
    Text,
    End,
    Undecided,
}

fn lead(line: &[u8]) -> Lead {
    match line {
        [] | [b'.'] | [b'.', b'\r'] => Lead::Undecided,
        [b'.', b'\r', b'\n', ..] => Lead::End,
        [b'.', ..] => Lead::Dot,
        _ => Lead::Text,
    }
}

impl Unstuffer {
    /// Takes the next step. Each slice it gives out is as long as the input allows: it ends only
    /// where a dot falls out or the input does.
    pub fn next(&mut self, input: &mut LineBuffer) -> Step {
        if self.line_start {
            match lead(input.as_slice()) {
                Lead::Undecided => return Step::Starved,
                Lead::End => {
                    input.take(3);
                    return Step::End;
                }
                Lead::Dot => {
                    input.take(1);
                    self.line_start = false;
                }
                Lead::Text => self.line_start = false,
            }
        }
        match self.scan(input.as_slice()) {
            Ok(0) => Step::Starved,
            Ok(length) => Step::Chunk(input.take(length)),
            Err((length, fault)) => {
                input.take(length);
                let text = length - 1;
                Step::Fault { fault, text }
            }
        }
    }

    /// How many bytes can be handed out at once.
    fn scan(&mut self, bytes: &[u8]) -> Result<usize, (usize, BodyFault)> {
        let mut at = 0;
        while let Some(found) = bytes
            .get(at..)
            .and_then(|rest| memchr3(b'\r', b'\n', 0, rest))
        {
            let here = at + found;
            match (bytes.get(here), bytes.get(here + 1)) {
                (Some(b'\r'), Some(b'\n')) => at = here + 2,
                // The LF may still come.
                (Some(b'\r'), None) => return Ok(here),
                (Some(b'\r'), Some(_)) => return Err((here + 1, BodyFault::BareCr)),
                (Some(b'\n'), _) => return Err((here + 1, BodyFault::BareLf)),
                _ => return Err((here + 1, BodyFault::Nul)),
            }
            if bytes.get(at).is_none_or(|first| *first == b'.') {
                self.line_start = true;
                return Ok(at);
            }
        }
        Ok(bytes.len())
    }
}

/// Looks for faults in a body that is not dot-stuffed (BDAT, RFC 3030).
#[derive(Debug, Default)]
pub struct FaultScanner {
    after_cr: bool,
}

impl FaultScanner {
    /// Looks at the next bytes.
    ///
    /// # Errors
    /// The first fault, and how many of the bytes came before the one that showed it.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<(), (usize, BodyFault)> {
        let mut at = 0;
        if std::mem::take(&mut self.after_cr) {
            match bytes.first() {
                None => self.after_cr = true,
                Some(b'\n') => at = 1,
                Some(_) => return Err((0, BodyFault::BareCr)),
            }
        }
        while let Some(found) = bytes
            .get(at..)
            .and_then(|rest| memchr3(b'\r', b'\n', 0, rest))
        {
            let here = at + found;
            match (bytes.get(here), bytes.get(here + 1)) {
                (Some(b'\r'), Some(b'\n')) => at = here + 2,
                (Some(b'\r'), None) => {
                    self.after_cr = true;
                    return Ok(());
                }
                (Some(b'\r'), Some(_)) => return Err((here + 1, BodyFault::BareCr)),
                (Some(b'\n'), _) => return Err((here, BodyFault::BareLf)),
                _ => return Err((here, BodyFault::Nul)),
            }
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// When it ended in a CR.
    pub fn finish(&self) -> Result<(), BodyFault> {
        if self.after_cr {
            Err(BodyFault::BareCr)
        } else {
            Ok(())
        }
    }
}

/// Puts dots on for DATA, in as many pieces as the caller likes. A bare CR or LF becomes CRLF: what
/// leaves here has one reading only.
#[derive(Debug)]
pub struct Stuffer {
    line_start: bool,
    after_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self {
            line_start: true,
            after_cr: false,
        }
    }
}

impl Stuffer {
    /// Adds a piece of the body to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        out.reserve(bytes.len() + 8);
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) {
                out.put_slice(b"\r\n");
                self.line_start = true;
                if *first == b'\n' {
                    bytes = bytes.get(1..).unwrap_or_default();
                }
                continue;
            }
            if std::mem::take(&mut self.line_start) && *first == b'.' {
                out.put_u8(b'.');
            }
            let end = memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len());
            let (text, rest) = bytes.split_at(end);
            out.put_slice(text);
            match rest.first() {
                Some(b'\r') => self.after_cr = true,
                Some(_) => {
                    out.put_slice(b"\r\n");
                    self.line_start = true;
                }
                None => {}
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
    }

    /// Ends the data: `CRLF.CRLF`, the first CRLF only where the body does not end in one.
    pub fn finish(self, out: &mut BytesMut) {
        if !self.line_start {
            out.put_slice(b"\r\n");
        }
        out.put_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body, the faults, and whether the end came.
    fn unstuff<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<BodyFault>, bool) {
        let (mut input, mut unstuffer) = (LineBuffer::new(), Unstuffer::default());
        let (mut body, mut faults) = (Vec::new(), Vec::new());
        for piece in pieces {
            input.push(piece);
            loop {
                match unstuffer.next(&mut input) {
                    Step::Chunk(chunk) => body.extend_from_slice(&chunk),
                    Step::Fault { fault, .. } => faults.push(fault),
                    Step::End => return (body, faults, true),
                    Step::Starved => break,
                }
            }
        }
        (body, faults, false)
    }

    fn unstuffed(wire: &[u8]) -> (Vec<u8>, Vec<BodyFault>, bool) {
        unstuff(std::iter::once(wire))
    }

    #[test]
    fn dots_fall_out_at_line_starts_only() {
        let wire = b"..a.\r\n.b\r\n...\r\n.c.\r\n\r\n.\r\n";
        let (body, faults, end) = unstuffed(wire);
        assert_eq!(body, b".a.\r\nb\r\n..\r\nc.\r\n\r\n");
        assert!(faults.is_empty() && end);
    }

    #[test]
    fn empty_message_ends() {
        assert_eq!(unstuffed(b".\r\n"), (vec![], vec![], true));
    }

    #[test]
    fn only_crlf_dot_crlf_ends_data() {
        for wire in [
            &b"a\n.\n"[..],
            b"a\n.\r\n",
            b"a\r\n.\n",
            b"a\r.\r",
            b"a\r\n.\r",
            b"a\r.\r\n",
            b"a\r\n\0.\r\n",
            b"a\r\n.\r\r\n",
            b"a\r\n.\0\r\n",
        ] {
            let (_, _, end) = unstuffed(wire);
            assert!(!end, "{}", wire.escape_ascii());
        }
        let (_, faults, end) = unstuffed(b"a\n.\nMAIL FROM:<x@y>\r\n.\r\n");
        assert!(end);
        assert_eq!(faults, [BodyFault::BareLf, BodyFault::BareLf]);
    }

    #[test]
    fn lines_without_dots_come_as_one_slice() {
        let mut input = LineBuffer::new();
        input.push(b"one\r\ntwo\r\nthree\r\n.\r\n");
        let mut unstuffer = Unstuffer::default();
        assert_eq!(
            unstuffer.next(&mut input),
            Step::Chunk(Bytes::from("one\r\ntwo\r\nthree\r\n"))
        );
        assert_eq!(unstuffer.next(&mut input), Step::End);
    }

    #[test]
    fn stuffer_normalises_bare_line_ends() {
        let (mut out, mut stuffer) = (BytesMut::new(), Stuffer::default());
        stuffer.push(b"a\n.\rb\r", &mut out);
        stuffer.push(b"\n.c", &mut out);
        stuffer.finish(&mut out);
        assert_eq!(&out[..], b"a\r\n..\r\nb\r\n..c\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn unstuff_inverts_stuff(
            lines in prop::collection::vec("[.a\u{e9}]{0,5}", 0..8),
            cut in 1usize..6,
        ) {
            let body: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
            let (mut wire, mut stuffer) = (BytesMut::new(), Stuffer::default());
            for piece in body.as_bytes().chunks(cut) {
                stuffer.push(piece, &mut wire);
            }
            stuffer.finish(&mut wire);
            prop_assert_eq!(unstuff(wire.chunks(cut)), (body.into_bytes(), vec![], true));
        }

        #[test]
        fn unstuffing_byte_by_byte_equals_one_chunk(wire in "[.a\0\r\n]{0,40}") {
            let whole = unstuffed(wire.as_bytes());
            let cut = unstuff(wire.as_bytes().chunks(1));
            prop_assert_eq!(&cut.1, &whole.1);
            prop_assert_eq!(cut.2, whole.2);
            if whole.1.is_empty() {
                prop_assert_eq!(cut.0, whole.0);
            }
        }

        #[test]
        fn fault_scanner_agrees_with_unstuffer(body in "[a\0\r\n]{0,30}", cut in 1usize..5) {
            let mut scanner = FaultScanner::default();
            let pieces: Result<(), BodyFault> = body
                .as_bytes()
                .chunks(cut)
                .try_for_each(|piece| scanner.scan(piece).map_err(|(_, fault)| fault))
                .and_then(|()| scanner.finish());
            let faults = unstuffed(format!("{body}x\r\n.\r\n").as_bytes()).1;
            prop_assert_eq!(pieces.err(), faults.first().copied());
        }
    }
}
