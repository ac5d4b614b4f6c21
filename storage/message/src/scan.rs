//! What is found out about a message, and within which bounds.

use std::io;

use crate::{Scanner, Structure};

/// What bounds the work and the memory a message may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep multiparts and messages may nest; what lies deeper is opaque.
    pub depth: usize,
    /// How many parts are told apart; the last one reaches to the end.
    pub parts: usize,
    /// Bytes of a header line that are looked at.
    pub header_line: usize,
    /// Bytes of field values that are kept, over all parts; what comes after is as if empty.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 100,
            parts: 1000,
            header_line: 64 * 1024,
            values: 1024 * 1024,
        }
    }
}

/// What FETCH tells of a message, ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// ENVELOPE's parenthesised value.
    pub envelope: Vec<u8>,
    /// BODYSTRUCTURE's parenthesised value.
    pub body_structure: Vec<u8>,
    /// BODY's: the same without extension data.
    pub body: Vec<u8>,
    /// RFC822.SIZE: with CRLF line ends.
    pub size: u64,
    /// Bytes as stored.
    pub stored_size: u64,
    /// Where its parts lie.
    pub structure: Structure,
}

/// Scans a message that is in memory or mapped.
pub fn scan(message: &[u8]) -> Scanned {
    let mut scanner = Scanner::new(Limits::default());
    scanner.push(message);
    scanner.finish()
}

/// Scans a message from a reader, in chunks.
///
/// # Errors
/// When the reader fails.
pub fn scan_reader(mut reader: impl io::Read) -> io::Result<Scanned> {
    let mut scanner = Scanner::new(Limits::default());
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(scanner.finish()),
            Ok(n) => scanner.push(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
