//! A spool file, byte by byte.
//!
//! ```text
//! file    = magic header-length body-count check *body-length header *body *record
//! magic   = "FSPOOL1\n"
//! header-length, body-count = u32, little-endian
//! body-length               = u64, little-endian
//! check   = 16 bytes of BLAKE3 over header-length, body-count, the body lengths and the header
//! record  = length check content            ; u32, 16 bytes over length and content
//! ```
//!
//! The header is an entry as JSON. Bodies have no checksum: until a file is durable the log has it
//! too. A record cut short by a crash is ignored, and overwritten by the next or done again from the
//! log.

use std::io::{self, Read};

use crate::SpoolError;

/// The first bytes of a file.
const MAGIC: &[u8; 8] = b"FSPOOL1\n";
/// Bytes of a checksum.
const CHECK: usize = 16;
/// Magic, the two counts and the checksum.
const FIXED: usize = MAGIC.len() + 4 + 4 + CHECK;
/// Longest header: a thousand recipients take some 300 KiB.
const MAX_HEADER: usize = 64 << 20;
/// Most bodies in one file.
const MAX_BODIES: usize = 1 << 16;

/// What stands at the head of a file.
#[derive(Debug)]
pub(crate) struct Head {
    /// The header's bytes.
    pub(crate) header: Vec<u8>,
    /// The lengths of the bodies.
    pub(crate) bodies: Vec<u64>,
}

impl Head {
    /// Where body `index` begins, and its length.
    pub(crate) fn body(&self, index: usize) -> Option<(u64, u64)> {
        let length = *self.bodies.get(index)?;
        let before: u64 = self.bodies.iter().take(index).sum();
        Some((self.length() + before, length))
    }

    /// Where the first record begins.
    pub(crate) fn records_at(&self) -> u64 {
        self.length() + self.bodies.iter().sum::<u64>()
    }

    fn length(&self) -> u64 {
        (FIXED + self.bodies.len() * 8 + self.header.len()) as u64
    }

    /// Reads one. The sum of the lengths is checked not to overflow.
    pub(crate) fn read(from: &mut dyn Read) -> Result<Self, SpoolError> {
        let mut fixed = [0; FIXED];
        read_exact(from, &mut fixed)?;
        let (magic, rest) = fixed.split_at(MAGIC.len());
        let (counts, check) = rest.split_at(8);
        if magic != MAGIC {
            return Err(SpoolError::Damaged("it does not begin as a spool file"));
        }
        let (header_length, bodies) = (u32_at(counts, 0), u32_at(counts, 4));
        if header_length > MAX_HEADER || bodies > MAX_BODIES {
            return Err(SpoolError::Damaged("a length is out of range"));
        }
        let mut lengths = vec![0; bodies * 8];
        read_exact(from, &mut lengths)?;
        // Not allocated before it is there: the length is not yet known to be right.
        let mut header = Vec::new();
        from.take(header_length as u64).read_to_end(&mut header)?;
        if header.len() != header_length {
            return Err(SpoolError::Damaged("it ends too early"));
        }
        if digest(&[counts, &lengths, &header]) != check {
            return Err(SpoolError::Damaged("the header's checksum is wrong"));
        }
        let bodies: Vec<u64> = lengths
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| u64::from_le_bytes(*b))
            .collect();
        let sum = bodies
            .iter()
            .try_fold(0u64, |sum, length| sum.checked_add(*length));
        if sum.is_none_or(|sum| sum > 1 << 62) {
            return Err(SpoolError::Damaged("a length is out of range"));
        }
        Ok(Self { header, bodies })
    }
}

/// The bytes before the bodies.
pub(crate) fn encode_head(header: &[u8], bodies: &[u64]) -> Result<Vec<u8>, SpoolError> {
    if header.len() > MAX_HEADER || bodies.len() > MAX_BODIES {
        return Err(SpoolError::TooLarge);
    }
    let mut counts = [0; 8];
    let (first, second) = counts.split_at_mut(4);
    first.copy_from_slice(&length_bytes(header.len())?);
    second.copy_from_slice(&length_bytes(bodies.len())?);
    let lengths: Vec<u8> = bodies
        .iter()
        .flat_map(|length| length.to_le_bytes())
        .collect();
    let mut out = Vec::with_capacity(FIXED + lengths.len() + header.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&counts);
    out.extend_from_slice(&digest(&[&counts, &lengths, header]));
    out.extend_from_slice(&lengths);
    out.extend_from_slice(header);
    Ok(out)
}

/// A record's bytes.
pub(crate) fn encode_record(content: &[u8]) -> Result<Vec<u8>, SpoolError> {
    if content.len() > MAX_HEADER {
        return Err(SpoolError::TooLarge);
    }
    let length = length_bytes(content.len())?;
    let mut out = Vec::with_capacity(4 + CHECK + content.len());
    out.extend_from_slice(&length);
    out.extend_from_slice(&digest(&[&length, content]));
    out.extend_from_slice(content);
    Ok(out)
}

/// The next whole record and how many bytes it takes; `None` at the end, or where a record was cut
/// short.
pub(crate) fn read_record(from: &mut dyn Read) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mut fixed = Vec::with_capacity(4 + CHECK);
    from.take(4 + CHECK as u64).read_to_end(&mut fixed)?;
    let Some((length, check)) = fixed.split_at_checked(4) else {
        return Ok(None);
    };
    let size = u32_at(length, 0);
    if size > MAX_HEADER {
        return Ok(None);
    }
    let mut content = Vec::new();
    from.take(size as u64).read_to_end(&mut content)?;
    let whole = content.len() == size && digest(&[length, &content]) == check;
    Ok(whole.then(|| {
        let taken = (4 + CHECK + content.len()) as u64;
        (content, taken)
    }))
}

fn read_exact(from: &mut dyn Read, into: &mut [u8]) -> Result<(), SpoolError> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SpoolError::Damaged("it ends too early"),
        _ => SpoolError::Io(error),
    })
}

fn digest(parts: &[&[u8]]) -> [u8; CHECK] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut out = [0; CHECK];
    hasher.finalize_xof().fill(&mut out);
    out
}

fn length_bytes(length: usize) -> Result<[u8; 4], SpoolError> {
    let length = u32::try_from(length).map_err(|_| SpoolError::TooLarge)?;
    Ok(length.to_le_bytes())
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    four.map_or(0, |four| u32::from_le_bytes(*four) as usize)
}
