//! Input that has been read and not yet parsed.

use std::fmt;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// What is wrong with a line. The line has been taken out of the buffer, to its LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than the limit.
    #[error("line is too long")]
    TooLong,
    /// An LF without a CR before it.
    #[error("line ends in LF without CR")]
    BareLf,
    /// A CR without an LF after it.
    #[error("line contains CR without LF")]
    BareCr,
}

/// Input of a line protocol: bytes go in as they are read, lines and counted blocks come out.
///
/// It never holds much more than one line: what exceeds the limit of [`LineBuffer::take_line`] is
/// dropped as it comes, up to the line's end. The outcome does not depend on how the input was cut.
///
/// ```
/// # use facteur_wire::LineBuffer;
/// let mut input = LineBuffer::new();
/// input.push(b"NOOP\r\nQU");
/// assert_eq!(input.take_line(510), Ok(Some("NOOP".into())));
/// assert_eq!(input.take_line(510), Ok(None));
/// ```
#[derive(Default)]
pub struct LineBuffer {
    bytes: BytesMut,
    /// How much of `bytes` is known to have no LF.
    scanned: usize,
    /// The line being read is over the limit: the rest of it is dropped.
    overlong: bool,
}

impl fmt::Debug for LineBuffer {
    /// Without what is in it: that may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineBuffer")
            .field("len", &self.bytes.len())
            .field("overlong", &self.overlong)
            .finish_non_exhaustive()
    }
}

impl LineBuffer {
    /// An empty one, without an allocation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The buffer itself with room for at least `room` bytes, to read into its end (such as with
    /// tokio's `read_buf`). What is in it already must not be changed.
    pub fn spare(&mut self, room: usize) -> &mut BytesMut {
        self.bytes.reserve(room);
        &mut self.bytes
    }

    /// What has not been taken yet.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// How much has not been taken yet.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the next line, without its CRLF; `None` when it has not come whole. `limit` is in
    /// octets without the CRLF. NUL and other control characters are the caller's to judge.
    ///
    /// # Errors
    /// [`LineError`]; the line is gone then, and the next call goes on after it.
    pub fn take_line(&mut self, limit: usize) -> Result<Option<Bytes>, LineError> {
        let unseen = self.bytes.get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr(b'\n', unseen) else {
            self.scanned = self.bytes.len();
            self.drop_overlong(limit);
            return Ok(None);
        };
        let mut line = self.bytes.split_to(self.scanned + found + 1);
        self.scanned = 0;
        if std::mem::take(&mut self.overlong) || line.len() > limit + 2 {
            return Err(LineError::TooLong);
        }
        line.truncate(line.len() - 1);
        if line.last() != Some(&b'\r') {
            return Err(LineError::BareLf);
        }
        line.truncate(line.len() - 1);
        if memchr(b'\r', &line).is_some() {
            return Err(LineError::BareCr);
        }
        Ok(Some(line.freeze()))
    }

    /// Takes up to `max` bytes as they are (a counted block such as BDAT's or a literal), without
    /// a copy.
    pub fn take(&mut self, max: usize) -> Bytes {
        self.scanned = 0;
        let length = max.min(self.bytes.len());
        self.bytes.split_to(length).freeze()
    }

    /// Drops everything, and the allocation (STARTTLS; or a session that falls idle).
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Gives the allocation back when nothing is in it, so that an idle session holds none.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }

    fn drop_overlong(&mut self, limit: usize) {
        // A CR at the end may belong to the CRLF, which the limit does not count.
        if self.overlong || self.bytes.len() > limit + 1 {
            self.overlong = true;
            self.bytes.clear();
            self.scanned = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(input: &mut LineBuffer, limit: usize) -> Vec<Result<Bytes, LineError>> {
        std::iter::from_fn(|| input.take_line(limit).transpose()).collect()
    }

    #[test]
    fn lines_come_out_without_their_crlf() {
        let mut input = LineBuffer::new();
        input.push(b"a\r\n\r\nb\r");
        assert_eq!(
            drain(&mut input, 10),
            [Ok(Bytes::from("a")), Ok(Bytes::new())]
        );
        input.push(b"\n");
        assert_eq!(drain(&mut input, 10), [Ok(Bytes::from("b"))]);
    }

    #[test]
    fn bare_line_ends_are_errors_and_the_next_line_survives() {
        let mut input = LineBuffer::new();
        input.push(b"a\nb\rc\r\nd\r\r\ne\r\n");
        assert_eq!(
            drain(&mut input, 10),
            [
                Err(LineError::BareLf),
                Err(LineError::BareCr),
                Err(LineError::BareCr),
                Ok(Bytes::from("e"))
            ]
        );
    }

    #[test]
    fn limit_is_exact_and_an_overlong_line_is_not_kept() {
        let mut input = LineBuffer::new();
        input.push(b"12345\r\n123456\r\n");
        assert_eq!(
            drain(&mut input, 5),
            [Ok(Bytes::from("12345")), Err(LineError::TooLong)]
        );
        for _ in 0..100 {
            input.push(b"0123456789");
            assert_eq!(input.take_line(5), Ok(None));
            assert!(input.len() <= 6);
        }
        input.push(b"\r\nok\r\n");
        assert_eq!(
            drain(&mut input, 5),
            [Err(LineError::TooLong), Ok(Bytes::from("ok"))]
        );
    }

    #[test]
    fn counted_block_is_taken_raw() {
        let mut input = LineBuffer::new();
        input.push(b"x\r\n\n\r.y\r\n");
        assert_eq!(input.take_line(5), Ok(Some(Bytes::from("x"))));
        assert_eq!(input.take(3), Bytes::from("\n\r."));
        assert_eq!(input.take_line(5), Ok(Some(Bytes::from("y"))));
    }

    #[test]
    fn what_was_read_is_not_printed() {
        let mut input = LineBuffer::new();
        input.push(b"PASS hunter2\r\n");
        assert!(!format!("{input:?}").contains("hunter2"), "{input:?}");
    }

    proptest! {
        #[test]
        fn byte_by_byte_equals_one_chunk(bytes in "[ab\r\n]{0,60}") {
            let mut whole = LineBuffer::new();
            whole.push(bytes.as_bytes());
            let expected = drain(&mut whole, 4);
            let mut cut = LineBuffer::new();
            let mut got = Vec::new();
            for byte in bytes.bytes() {
                cut.push(&[byte]);
                got.extend(drain(&mut cut, 4));
            }
            prop_assert_eq!(got, expected);
        }
    }
}
