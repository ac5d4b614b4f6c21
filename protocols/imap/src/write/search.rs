//! The SEARCH response.

use bytes::BytesMut;

use super::number;

/// Writes `* SEARCH` (RFC 3501 §7.2.5, RFC 7162 §3.1.5), number by number.
#[derive(Debug)]
pub struct SearchWriter<'a> {
    out: &'a mut BytesMut,
}

impl<'a> SearchWriter<'a> {
    /// Begins the response.
    pub fn begin(out: &'a mut BytesMut) -> Self {
        out.extend_from_slice(b"* SEARCH");
        Self { out }
    }

    /// One message found: its sequence number or UID.
    pub fn found(&mut self, value: u32) {
        self.out.extend_from_slice(b" ");
        number(self.out, u64::from(value));
    }

    /// Ends it, with the highest mod-sequence of what was found when the client asked by MODSEQ.
    pub fn end(self, modseq: Option<u64>) {
        if let Some(modseq) = modseq {
            self.out.extend_from_slice(b" (MODSEQ ");
            number(self.out, modseq);
            self.out.extend_from_slice(b")");
        }
        self.out.extend_from_slice(b"\r\n");
    }
}
