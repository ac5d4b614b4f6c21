//! Finding the records in a segment, damaged or not.

use std::io;

use facteur_disk::DiskFile;

use crate::{
    record::{ALIGN, Codec, HEAD, Head, Kind, MAX_RECORD},
    segment::BLOCK,
};

/// Bytes read at once.
const WINDOW: usize = 256 << 10;

/// Reads a segment file through a window.
#[derive(Debug)]
pub(crate) struct Reader {
    file: DiskFile,
    start: u64,
    window: Vec<u8>,
    /// Position of the window's first byte in the log.
    at: u64,
    /// The first position that cannot be in the file.
    end: u64,
}

impl Reader {
    /// A reader of the segment that begins at `start`.
    pub(crate) fn new(file: DiskFile, start: u64) -> io::Result<Self> {
        let records = file.size()?.saturating_sub(BLOCK);
        Ok(Self {
            file,
            start,
            window: Vec::new(),
            at: start,
            end: start.saturating_add(records),
        })
    }

    /// Up to `size` bytes at position `at`, fewer at the end of the file.
    pub(crate) fn bytes(&mut self, at: u64, size: usize) -> io::Result<&[u8]> {
        let within = |reader: &Self| {
            let from = usize::try_from(at.checked_sub(reader.at)?).ok()?;
            let to = from.checked_add(size)?;
            (to <= reader.window.len()).then_some((from, to))
        };
        if within(self).is_none() {
            self.fill(at, size.max(WINDOW))?;
        }
        let (from, to) = within(self).unwrap_or((0, self.window.len()));
        Ok(self.window.get(from..to).unwrap_or_default())
    }

    fn fill(&mut self, at: u64, size: usize) -> io::Result<()> {
        self.window.clear();
        self.window.resize(size, 0);
        self.at = at;
        let offset = BLOCK.saturating_add(at.saturating_sub(self.start));
        let mut filled = 0;
        while let Some(rest) = self.window.get_mut(filled..)
            && !rest.is_empty()
        {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => {
                    self.window.clear();
                    return Err(error);
                }
            }
        }
        self.window.truncate(filled);
        Ok(())
    }

    /// The head of the record at `at`, if a whole and undamaged one lies there.
    pub(crate) fn record(&mut self, codec: Codec, at: u64) -> io::Result<Option<Head>> {
        let Some(head) = codec.parse(self.bytes(at, HEAD)?, at) else {
            return Ok(None);
        };
        if head.kind != Kind::Void && head.length > MAX_RECORD {
            return Ok(None);
        }
        let fits = at.saturating_add(head.total() as u64) <= self.end;
        if !fits {
            return Ok(None);
        }
        let body = self.body(&head, at)?;
        Ok((body.len() == head.length && head.matches(body)).then_some(head))
    }

    /// The body of the record at `at`.
    pub(crate) fn body(&mut self, head: &Head, at: u64) -> io::Result<&[u8]> {
        self.bytes(at + HEAD as u64, head.length)
    }
}

/// What lies in a segment.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Stretches of undamaged records, in order.
    pub(crate) runs: Vec<(u64, u64)>,
    /// What the marks say was durable, and no longer needed.
    pub(crate) durable: u64,
    pub(crate) cut: u64,
    /// The last record says that the journal was closed in order.
    pub(crate) closed: bool,
}

impl Scan {
    /// Looks at everything between a segment's beginning and `limit`.
    pub(crate) fn new(reader: &mut Reader, codec: Codec, limit: u64) -> io::Result<Self> {
        let mut scan = Self::default();
        let limit = limit.min(reader.end);
        let mut at = reader.start;
        while at < limit {
            let Some(head) = reader.record(codec, at)? else {
                at = search(reader, codec, at + ALIGN as u64, limit)?;
                continue;
            };
            scan.closed = false;
            if head.kind == Kind::Mark
                && let Some(mark) = Codec::parse_mark(reader.body(&head, at)?)
            {
                scan.durable = scan.durable.max(mark.durable);
                scan.cut = scan.cut.max(mark.cut);
                scan.closed = mark.closed;
            }
            let end = at + head.total() as u64;
            match scan.runs.last_mut() {
                Some((_, to)) if *to == at => *to = end,
                _ => scan.runs.push((at, end)),
            }
            at = end;
            if scan.closed {
                break;
            }
        }
        Ok(scan)
    }
}

/// The next position before `limit`, from `at` on, where a record begins; `limit` without one.
fn search(reader: &mut Reader, codec: Codec, mut at: u64, limit: u64) -> io::Result<u64> {
    while at < limit {
        let bytes = reader.bytes(at, WINDOW)?;
        let mut candidates = bytes.windows(HEAD).step_by(ALIGN).enumerate();
        let here = at;
        let place = |index: usize| here + (index * ALIGN) as u64;
        let found = candidates.find(|(index, head)| codec.parse(head, place(*index)).is_some());
        let steps = bytes.len().saturating_sub(HEAD) / ALIGN + 1;
        let short = bytes.len() < HEAD;
        match found {
            Some((index, _)) => {
                at = place(index);
                if at < limit && reader.record(codec, at)?.is_some() {
                    return Ok(at);
                }
                at += ALIGN as u64;
            }
            None if short => return Ok(limit),
            None => at = place(steps),
        }
    }
    Ok(limit)
}
