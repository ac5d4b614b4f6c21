//! Line ends: messages that Dovecot stored with LF are read with CRLF.

use std::io::{self, BufRead, BufReader, Read};

/// Reads `inner` with every bare LF made CRLF.
#[derive(Debug)]
pub struct CrlfLines<R> {
    inner: BufReader<R>,
    after_cr: bool,
    owes_lf: bool,
}

impl<R: Read> CrlfLines<R> {
    /// Over `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner: BufReader::with_capacity(64 * 1024, inner),
            after_cr: false,
            owes_lf: false,
        }
    }
}

impl<R: Read> Read for CrlfLines<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.inner.fill_buf()?;
        let (mut taken, mut given) = (0, 0);
        for slot in out {
            if self.owes_lf {
                *slot = b'\n';
                self.owes_lf = false;
                self.after_cr = false;
                taken += 1;
            } else {
                let Some(byte) = input.get(taken) else { break };
                if *byte == b'\n' && !self.after_cr {
                    *slot = b'\r';
                    self.owes_lf = true;
                } else {
                    *slot = *byte;
                    self.after_cr = *byte == b'\r';
                    taken += 1;
                }
            }
            given += 1;
        }
        self.inner.consume(taken);
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bare_line_feeds_become_crlf(text in "[a\r\n]{0,40}", step in 1usize..9) {
            let mut lines = CrlfLines::new(text.as_bytes());
            let mut read = Vec::new();
            let mut chunk = vec![0; step];
            loop {
                let n = lines.read(&mut chunk).unwrap();
                if n == 0 { break }
                read.extend_from_slice(&chunk[..n]);
            }
            let expected = text.replace("\r\n", "\n").replace('\n', "\r\n");
            prop_assert_eq!(String::from_utf8(read).unwrap(), expected);
        }
    }
}
