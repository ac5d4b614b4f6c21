//! The block of metadata behind a message: a key letter and a value a line, then an empty line.

use facteur_model::{Guid, InternalDate};

/// What stands between a message and its metadata.
pub(crate) const MAGIC: &[u8; 4] = b"\n\x01\x03\n";

/// What a message's file says of it besides its bytes.
///
/// Keys are Dovecot's, but for `D`, ours: Dovecot ignores keys it does not know and keeps them when
/// it copies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// `G`: the message's GUID, kept by copies. `None` when it is missing or not 128 bits.
    pub guid: Option<Guid>,
    /// `D`: identifies the delivery that made the file.
    pub delivery: Option<Guid>,
    /// `R`: when it was received.
    pub received: Option<InternalDate>,
    /// `V`: its size with CRLF line ends (RFC822.SIZE).
    pub virtual_size: Option<u64>,
    /// `Z`: its plain size, when that is not what the file's header says (it is compressed).
    pub plain_size: Option<u64>,
    /// `P`: its UIDL of old.
    pub pop3_uidl: Option<String>,
}

impl Metadata {
    /// As it stands in the file, magic included.
    pub(crate) fn encode(&self) -> Vec<u8> {
        use std::io::Write as _;
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(MAGIC);
        // Writing to a Vec cannot fail.
        if let Some(size) = self.plain_size {
            let _ = writeln!(out, "Z{size:x}");
        }
        if let Some(received) = self.received {
            // Dovecot prints a negative time as unsigned.
            let _ = writeln!(out, "R{:x}", received.unix());
        }
        if let Some(size) = self.virtual_size {
            let _ = writeln!(out, "V{size:x}");
        }
        if let Some(uidl) = &self.pop3_uidl {
            let _ = writeln!(out, "P{uidl}");
        }
        if let Some(guid) = self.guid {
            let _ = writeln!(out, "G{guid}");
        }
        if let Some(delivery) = self.delivery {
            let _ = writeln!(out, "D{delivery}");
        }
        out.push(b'\n');
        out
    }

    /// From the bytes behind the magic; `None` when the closing empty line is missing. Unknown and
    /// malformed lines are passed over.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut metadata = Self::default();
        let mut rest = bytes;
        loop {
            let end = rest.iter().position(|b| *b == b'\n')?;
            let (line, after) = rest.split_at_checked(end)?;
            rest = after.get(1..)?;
            let Some((key, value)) = line.split_first() else {
                return Some(metadata);
            };
            if let Ok(value) = std::str::from_utf8(value) {
                metadata.set(*key, value);
            }
        }
    }

    fn set(&mut self, key: u8, value: &str) {
        let number = || u64::from_str_radix(value, 16).ok();
        match key {
            b'G' => self.guid = Guid::parse(value),
            b'D' => self.delivery = Guid::parse(value),
            b'R' => {
                self.received =
                    number().map(|n| InternalDate::from_unix(i64::from_ne_bytes(n.to_ne_bytes())));
            }
            b'V' => self.virtual_size = number(),
            b'Z' => self.plain_size = number(),
            b'P' => self.pop3_uidl = Some(value.to_owned()),
            _ => {}
        }
    }
}
