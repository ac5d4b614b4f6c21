//! A message's octets, and where its sections lie. Blocking: for the bridge.

use std::{io, ops::Range};

use bytes::BytesMut;
use facteur_imap::{Section, SectionItem, SectionText};
use facteur_message::{Limits, Scanner, SectionText as Text, Structure, headers::FieldFilter};
use facteur_store::MessageReader;

/// How much is read at a time where a message is looked through.
const CHUNK: usize = 64 * 1024;
/// The first look at a header: most are shorter.
const FIRST_LOOK: usize = 8 * 1024;
/// No more of a header is kept in memory; nothing that people wrote is longer.
pub(crate) const MAX_HEADER: u64 = 1 << 20;

/// An open message.
#[derive(Debug)]
pub(crate) struct Source {
    reader: MessageReader,
    /// The first octets, once looked at.
    head: Vec<u8>,
    header_end: Option<u64>,
    structure: Option<Structure>,
}

/// Where the octets of a section are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// In the message.
    Octets(Range<u64>),
    /// Made from it.
    Made(Vec<u8>),
    /// Nowhere.
    Missing,
}

impl Source {
    pub(crate) fn of(reader: MessageReader) -> Self {
        Self {
            reader,
            head: Vec::new(),
            header_end: None,
            structure: None,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.reader.size()
    }

    /// Appends octets of the message to `out`, for a literal: it cannot hold NUL (RFC 3501 §9,
    /// CHAR8), which becomes 0x80 as in Dovecot.
    pub(crate) fn read(&self, range: &Range<u64>, out: &mut BytesMut) -> io::Result<()> {
        let begin = out.len();
        if let Some(octets) = self.reader.at_hand(range.start, length(range)) {
            out.extend_from_slice(octets);
            without_nul(out.get_mut(begin..).unwrap_or_default());
            return Ok(());
        }
        out.resize(begin + length(range), 0);
        let space = out.get_mut(begin..).unwrap_or_default();
        let read = self.read_exact(space, range.start);
        match read {
            Ok(()) => without_nul(space),
            Err(_) => out.truncate(begin),
        }
        read
    }

    /// Fails when the message ends before `range` does, or is damaged: to be asked before a literal is
    /// announced whose octets are read only later.
    pub(crate) fn check(&self, range: &Range<u64>) -> io::Result<()> {
        self.reader.check(range.end)
    }

    /// Octets of the message.
    pub(crate) fn bytes(&self, range: &Range<u64>) -> io::Result<Vec<u8>> {
        if let Some(octets) = self.reader.at_hand(range.start, length(range)) {
            return Ok(octets.to_vec());
        }
        let mut bytes = vec![0; length(range)];
        self.read_exact(&mut bytes, range.start)?;
        Ok(bytes)
    }

    fn read_exact(&self, space: &mut [u8], start: u64) -> io::Result<()> {
        self.reader.read_exact_at(space, start)
    }

    /// The parts of `range`, in turn.
    pub(crate) fn each(&self, range: &Range<u64>, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
        let mut space = vec![0; length(range).min(CHUNK)];
        let mut at = range.start;
        while at < range.end {
            let count = length(&(at..range.end)).min(CHUNK);
            let piece = space.get_mut(..count).unwrap_or_default();
            self.read_exact(piece, at)?;
            visit(piece);
            at += count as u64;
        }
        Ok(())
    }

    /// Where the header ends, its blank line included.
    pub(crate) fn header_end(&mut self) -> io::Result<u64> {
        if let Some(end) = self.header_end {
            return Ok(end);
        }
        let end = self.find_header_end()?;
        self.header_end = Some(end);
        Ok(end)
    }

    fn find_header_end(&mut self) -> io::Result<u64> {
        let mut look = FIRST_LOOK as u64;
        loop {
            let known = self.head.len() as u64;
            let until = look.min(self.size());
            let more = self.bytes(&(known..until.max(known)))?;
            // A blank line may lie across the end of the last look.
            let from = self.head.len().saturating_sub(3);
            self.head.extend_from_slice(&more);
            if let Some(end) = blank_line(&self.head, from) {
                return Ok(end as u64);
            }
            if until == self.size() {
                return Ok(self.size());
            }
            if until >= MAX_HEADER {
                return self.find_far_header_end(until);
            }
            look = look.saturating_mul(4).min(MAX_HEADER);
        }
    }

    /// The same past what is kept.
    fn find_far_header_end(&self, from: u64) -> io::Result<u64> {
        let mut end = None;
        let mut window: Vec<u8> = Vec::with_capacity(CHUNK + 3);
        let mut at = from.saturating_sub(3);
        self.each(&(at..self.size()), |piece| {
            if end.is_none() {
                window.extend_from_slice(piece);
                end = memchr::memmem::find(&window, b"\r\n\r\n").map(|found| at + found as u64 + 4);
                let gone = window.len().saturating_sub(3);
                at += gone as u64;
                window.drain(..gone);
            }
        })?;
        Ok(end.unwrap_or(self.size()))
    }

    /// The header, its blank line included; of one that is longer, the first [`MAX_HEADER`].
    pub(crate) fn header(&mut self) -> io::Result<&[u8]> {
        let end = self.header_end()?;
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        Ok(self.head.get(..end).unwrap_or(&self.head))
    }

    /// The tree of the message's parts.
    pub(crate) fn structure(&mut self) -> io::Result<&Structure> {
        if self.structure.is_none() {
            let mut scanner = Scanner::new(Limits::default());
            self.each(&(0..self.size()), |piece| scanner.push(piece))?;
            self.structure = Some(scanner.finish().structure);
        }
        self.structure
            .as_ref()
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Finds a section and cuts out its part asked for (RFC 3501 §6.4.5).
    pub(crate) fn locate(&mut self, item: &SectionItem) -> io::Result<Located> {
        let located = self.whole(&item.section)?;
        Ok(cut(located, item))
    }

    fn whole(&mut self, section: &Section) -> io::Result<Located> {
        let range = if section.part.is_empty() {
            match &section.text {
                None => 0..self.size(),
                Some(SectionText::Text) => self.header_end()?..self.size(),
                Some(_) => 0..self.header_end()?,
            }
        } else {
            let path: Vec<u32> = section.part.iter().map(|number| number.get()).collect();
            let text = match &section.text {
                None => Text::Whole,
                Some(SectionText::Text) => Text::Text,
                Some(SectionText::Mime) => Text::Mime,
                Some(_) => Text::Header,
            };
            match self.structure()?.section(&path, text) {
                Some(range) => range.start..range.end,
                None => return Ok(Located::Missing),
            }
        };
        let (names, not) = match &section.text {
            Some(SectionText::HeaderFields(names)) => (names, false),
            Some(SectionText::HeaderFieldsNot(names)) => (names, true),
            _ => return Ok(Located::Octets(range)),
        };
        let mut filter = FieldFilter::new(names, not);
        let mut made = Vec::new();
        if section.part.is_empty() && range.end <= self.head.len() as u64 {
            filter.push(self.header()?, &mut made);
        } else {
            self.each(&range, |piece| filter.push(piece, &mut made))?;
        }
        filter.finish(&mut made);
        without_nul(&mut made);
        Ok(Located::Made(made))
    }
}

/// The same for `HEADER.FIELDS` of the message itself, out of the lines of at least those fields.
pub(crate) fn made_of(lines: &[u8], item: &SectionItem) -> Located {
    let Some(SectionText::HeaderFields(names)) = &item.section.text else {
        return Located::Missing;
    };
    let mut filter = FieldFilter::new(names, false);
    let mut made = Vec::with_capacity(lines.len() + 2);
    filter.push(lines, &mut made);
    filter.finish(&mut made);
    without_nul(&mut made);
    cut(Located::Made(made), item)
}

/// Cuts out the part asked for.
fn cut(located: Located, item: &SectionItem) -> Located {
    let Some(partial) = item.partial else {
        return located;
    };
    let (offset, most) = (u64::from(partial.offset), u64::from(partial.length.get()));
    match located {
        Located::Octets(range) => {
            let start = range.start.saturating_add(offset).min(range.end);
            Located::Octets(start..start.saturating_add(most).min(range.end))
        }
        Located::Made(bytes) => {
            let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let (start, end) = (cut(offset), cut(offset.saturating_add(most)));
            Located::Made(bytes.get(start..end).unwrap_or_default().to_vec())
        }
        Located::Missing => Located::Missing,
    }
}

fn without_nul(mut bytes: &mut [u8]) {
    while let Some(at) = memchr::memchr(0, bytes) {
        let (_, from) = bytes.split_at_mut(at);
        let Some((nul, rest)) = from.split_first_mut() else {
            return;
        };
        *nul = 0x80;
        bytes = rest;
    }
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
}

/// One past the blank line that ends a header, looked for from `from` on.
fn blank_line(bytes: &[u8], from: usize) -> Option<usize> {
    if from == 0 && bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    let found = memchr::memmem::find(bytes.get(from..)?, b"\r\n\r\n")?;
    Some(from + found + 4)
}

#[cfg(test)]
mod tests;
