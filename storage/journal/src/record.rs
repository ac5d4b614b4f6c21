//! Records as bytes.
//!
//! ```text
//! 0  magic      u32   which kind; differs from journal to journal
//! 4  length     u32   of the body
//! 8  position   u64   the record's own
//! 16 body sum   u32   CRC-32 of the body
//! 20 head sum   u32   CRC-32 of what is above, begun with the journal's own number
//! 24 body, and zeros up to a multiple of 8
//! ```
//!
//! All numbers are little-endian. Magic and seed come from the journal's random identity, so that no
//! message can contain what passes for a record while a damaged place is searched.

/// Longest record, in bytes.
pub const MAX_RECORD: usize = 256 << 20;

/// Bytes before a body.
pub(crate) const HEAD: usize = 24;

/// Bytes of a mark, its head included.
pub(crate) const MARK: usize = HEAD + MARK_BODY;
const MARK_BODY: usize = 24;

/// Records begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A caller's.
    Data,
    /// The first of a group.
    Mark,
    /// Was refused after it had got its position.
    Void,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Data, Self::Mark, Self::Void];

    const fn magic(self) -> u32 {
        match self {
            Self::Data => 0x4a52_4443,
            Self::Mark => 0x4a52_4d4b,
            Self::Void => 0x4a52_5644,
        }
    }
}

/// What a group's first record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Everything before it was durable when the group was written.
    pub(crate) durable: u64,
    /// Everything before it is no longer needed.
    pub(crate) cut: u64,
    /// Nothing follows: the journal was closed in order.
    pub(crate) closed: bool,
}

/// A record's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) length: usize,
    pub(crate) sum: u32,
}

impl Head {
    /// Bytes of the whole record.
    pub(crate) fn total(&self) -> usize {
        total(self.length)
    }

    /// Whether `body` is what was written. Nobody reads a void record's.
    pub(crate) fn matches(&self, body: &[u8]) -> bool {
        self.kind == Kind::Void || crc32fast::hash(body) == self.sum
    }
}

/// Bytes of a record whose body has `length`.
pub(crate) const fn total(length: usize) -> usize {
    (HEAD + length).next_multiple_of(ALIGN)
}

/// The sum over a body in parts.
pub(crate) fn sum(parts: &[&[u8]]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in parts {
        sum.update(part);
    }
    sum.finalize()
}

/// Writes and reads records of one journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec {
    magic: u32,
    seed: u32,
}

impl Codec {
    pub(crate) fn new(id: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = id;
        Self {
            magic: u32::from_le_bytes([a, b, c, d]),
            seed: u32::from_le_bytes([e, f, g, h]),
        }
    }

    fn head(self, kind: Kind, at: u64, length: u32, sum: u32) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let magic = kind.magic() ^ self.magic;
        let fields = magic
            .to_le_bytes()
            .into_iter()
            .chain(length.to_le_bytes())
            .chain(at.to_le_bytes())
            .chain(sum.to_le_bytes());
        for (place, byte) in head.iter_mut().zip(fields) {
            *place = byte;
        }
        if let Some((fields, place)) = head.split_last_chunk_mut::<4>() {
            *place = self.head_sum(fields).to_le_bytes();
        }
        head
    }

    fn head_sum(self, fields: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new_with_initial(self.seed);
        sum.update(fields);
        sum.finalize()
    }

    /// Appends a caller's record that begins at `at`; `sum` is that of its parts.
    pub(crate) fn push(self, into: &mut Vec<u8>, at: u64, length: u32, sum: u32, parts: &[&[u8]]) {
        into.extend_from_slice(&self.head(Kind::Data, at, length, sum));
        for part in parts {
            into.extend_from_slice(part);
        }
        into.resize(into.len().next_multiple_of(ALIGN), 0);
    }

    /// A group's first record, at `at`.
    pub(crate) fn mark(self, at: u64, mark: Mark) -> [u8; MARK] {
        let fields = [mark.durable, mark.cut, u64::from(mark.closed)];
        let mut body = [0; MARK_BODY];
        for (place, byte) in body
            .iter_mut()
            .zip(fields.into_iter().flat_map(u64::to_le_bytes))
        {
            *place = byte;
        }
        let mut record = [0; MARK];
        let length = u32::try_from(MARK_BODY).unwrap_or(u32::MAX);
        let head = self.head(Kind::Mark, at, length, crc32fast::hash(&body));
        for (place, byte) in record.iter_mut().zip(head.into_iter().chain(body)) {
            *place = byte;
        }
        record
    }

    /// The head of a record that begins at `at`, if there is one.
    pub(crate) fn parse(self, bytes: &[u8], at: u64) -> Option<Head> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        let magic = u32_at(head, 0)? ^ self.magic;
        let kind = Kind::ALL.into_iter().find(|kind| kind.magic() == magic)?;
        let (fields, _) = head.split_last_chunk::<4>()?;
        if u64_at(head, 8)? != at || u32_at(head, 20)? != self.head_sum(fields) {
            return None;
        }
        Some(Head {
            kind,
            length: usize::try_from(u32_at(head, 4)?).ok()?,
            sum: u32_at(head, 16)?,
        })
    }

    /// What a mark's body says.
    pub(crate) fn parse_mark(body: &[u8]) -> Option<Mark> {
        Some(Mark {
            durable: u64_at(body, 0)?,
            cut: u64_at(body, 8)?,
            closed: u64_at(body, 16)? != 0,
        })
    }

    /// Turns the record at the beginning of `record` into one that says nothing.
    pub(crate) fn make_void(self, record: &mut [u8], at: u64) {
        let length = record.len().saturating_sub(HEAD);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let head = self.head(Kind::Void, at, length, 0);
        record.fill(0);
        for (place, byte) in record.iter_mut().zip(head) {
            *place = byte;
        }
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|n| u32::from_le_bytes(*n))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|n| u64::from_le_bytes(*n))
}
