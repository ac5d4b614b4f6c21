//! Line ends for the wire.

/// Copies bytes and gives every line end that lacks it its CR. A CR alone stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrlfWriter {
    after_cr: bool,
}

impl CrlfWriter {
    /// At the beginning of a range.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `bytes` to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut copied = 0;
        for lf in memchr::memchr_iter(b'\n', bytes) {
            let cr = match lf.checked_sub(1) {
                Some(before) => bytes.get(before) == Some(&b'\r'),
                None => self.after_cr,
            };
            if !cr {
                out.extend_from_slice(bytes.get(copied..lf).unwrap_or_default());
                out.push(b'\r');
                copied = lf;
            }
        }
        out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
        if let Some(last) = bytes.last() {
            self.after_cr = *last == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_lf_gets_its_cr_wherever_chunks_end() {
        let text = b"\na\r\n\n\rb\r\r\nc\n";
        let mut whole = Vec::new();
        CrlfWriter::new().push(text, &mut whole);
        assert_eq!(whole, b"\r\na\r\n\r\n\rb\r\r\nc\r\n");
        for at in 0..text.len() {
            let mut writer = CrlfWriter::new();
            let mut out = Vec::new();
            writer.push(&text[..at], &mut out);
            writer.push(&text[at..], &mut out);
            assert_eq!(out, whole);
        }
    }
}
