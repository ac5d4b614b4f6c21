//! One pass over a message, line by line.

use crate::{
    Limits, Scanned,
    boundary::{DELIMITER_HEAD, Delimiter, Fit, match_line},
    content::{self, ContentType, Media},
    entity::Fields,
    envelope::push_envelope,
    structure::{ByteRange, Part, PartKind, Structure},
    write::{Described, Writer},
};

/// A place in the message.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// Bytes before it.
    offset: u64,
    /// Line ends without CR before it.
    bare_lf: u64,
    /// Line ends before it.
    lines: u64,
}

impl Mark {
    fn range_to(self, end: Self) -> ByteRange {
        ByteRange {
            start: self.offset,
            end: end.offset.max(self.offset),
            bare_lf: end.bare_lf.saturating_sub(self.bare_lf),
        }
    }
}

/// A part that has begun and not ended, outermost first.
#[derive(Debug)]
struct Open {
    part: u32,
    body_start: Mark,
    /// What separates its children, until its close delimiter came.
    boundary: Option<Vec<u8>>,
    digest: bool,
    last_child: Option<u32>,
}

/// Scans a message that comes in chunks of any size.
#[derive(Debug)]
pub struct Scanner {
    limits: Limits,
    /// The beginning of a line whose end has not come yet, as far as it is looked at.
    carry: Vec<u8>,
    /// Bytes of that line so far.
    carried: u64,
    /// Its last byte.
    last_byte: u8,
    /// Where the current line begins.
    line_start: Mark,
    /// Where the line before it ended, its line end apart.
    content_end: Mark,
    /// Fields of the header being read; `None` in a body.
    header: Option<Box<Fields>>,
    header_start: Mark,
    open: Vec<Open>,
    /// How many of `open` have a boundary.
    boundaries: usize,
    parts: Vec<Part>,
    described: Vec<Described>,
    arena: Vec<u8>,
    values_left: usize,
}

impl Scanner {
    /// At the beginning of a message.
    pub fn new(limits: Limits) -> Self {
        let mut scanner = Self {
            limits,
            carry: Vec::new(),
            carried: 0,
            last_byte: 0,
            line_start: Mark::default(),
            content_end: Mark::default(),
            header: None,
            header_start: Mark::default(),
            open: Vec::new(),
            boundaries: 0,
            parts: Vec::new(),
            described: Vec::new(),
            arena: Vec::new(),
            values_left: limits.values,
        };
        scanner.begin_entity(true);
        scanner
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.carried > 0 {
            let Some(lf) = memchr::memchr(b'\n', bytes) else {
                self.carry(bytes);
                return;
            };
            let (head, rest) = bytes.split_at(lf);
            self.carry(head);
            self.end_carried_line(true);
            bytes = rest.get(1..).unwrap_or_default();
        }
        while !bytes.is_empty() {
            if self.header.is_none() && self.boundaries == 0 {
                bytes = self.skip_lines(bytes);
            }
            let Some(lf) = memchr::memchr(b'\n', bytes) else {
                self.carry(bytes);
                return;
            };
            let (line, rest) = bytes.split_at(lf);
            bytes = rest.get(1..).unwrap_or_default();
            let stored = u64::try_from(line.len()).unwrap_or(u64::MAX);
            match line.split_last() {
                Some((b'\r', line)) => self.line(line, stored, true, true),
                _ => self.line(line, stored, false, true),
            }
        }
    }

    /// Ends the message.
    pub fn finish(mut self) -> Scanned {
        if self.carried > 0 {
            self.end_carried_line(false);
        }
        let end = self.line_start;
        // A header without the blank line after it has no body; a message in it is empty.
        while self.header.is_some() {
            self.end_header();
        }
        while !self.open.is_empty() {
            self.close_last(end);
        }
        let structure = Structure { parts: self.parts };
        let form = |extended| {
            let mut out = Vec::with_capacity(self.arena.len());
            Writer {
                structure: &structure,
                described: &self.described,
                arena: &self.arena,
                extended,
            }
            .push(&mut out, 0);
            out
        };
        let (body, body_structure) = (form(false), form(true));
        let envelope = self
            .described
            .first()
            .and_then(|root| self.arena.get(root.envelope.clone()))
            .unwrap_or_default()
            .to_vec();
        Scanned {
            envelope,
            body_structure,
            body,
            size: end.offset.saturating_add(end.bare_lf),
            stored_size: end.offset,
            structure,
        }
    }

    /// Keeps what begins a line whose end is in a later chunk.
    fn carry(&mut self, bytes: &[u8]) {
        let wanted = match self.header {
            Some(_) => self.limits.header_line.max(DELIMITER_HEAD),
            None if self.boundaries > 0 => DELIMITER_HEAD,
            None => 0,
        };
        let room = wanted.saturating_sub(self.carry.len()).min(bytes.len());
        self.carry
            .extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.carried += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Some(last) = bytes.last() {
            self.last_byte = *last;
        }
    }

    fn end_carried_line(&mut self, terminated: bool) {
        let mut line = std::mem::take(&mut self.carry);
        let stored = std::mem::take(&mut self.carried);
        let has_cr = terminated && self.last_byte == b'\r';
        let whole = u64::try_from(line.len()) == Ok(stored);
        if has_cr && whole {
            line.pop();
        }
        self.line(&line, stored, has_cr, terminated);
        line.clear();
        self.carry = line;
    }

    /// Takes one line: as much of its text as is looked at, and how many bytes are stored of it,
    /// a CR among them but not the LF.
    fn line(&mut self, text: &[u8], stored: u64, has_cr: bool, terminated: bool) {
        let start = self.line_start;
        let mut end = start;
        end.offset += stored - u64::from(has_cr);
        let mut next = end;
        if terminated {
            next.offset += 1 + u64::from(has_cr);
            next.bare_lf += u64::from(!has_cr);
            next.lines += 1;
        }
        let delimiter = match text.starts_with(b"--") && self.boundaries > 0 {
            true => self.find_delimiter(text),
            false => None,
        };
        self.line_start = next;
        match delimiter {
            Some((level, delimiter)) => {
                if self.header.is_some() {
                    // A header without a blank line keeps its last line end.
                    self.line_start = start;
                    while self.header.is_some() {
                        self.end_header();
                    }
                    self.line_start = next;
                    self.content_end = start;
                }
                self.delimiter(level, delimiter, start);
            }
            None if self.header.is_some() => self.header_line(text),
            None => {}
        }
        self.content_end = end;
    }

    /// Skips the whole lines of a body in which no boundary is looked for.
    fn skip_lines<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut after = 0;
        for lf in memchr::memchr_iter(b'\n', bytes) {
            let before = lf.checked_sub(1).and_then(|i| bytes.get(i));
            // A line never begins in the chunk before: that one is carried.
            let has_cr = lf > after && before == Some(&b'\r');
            self.line_start.bare_lf += u64::from(!has_cr);
            self.line_start.lines += 1;
            after = lf + 1;
        }
        self.line_start.offset += u64::try_from(after).unwrap_or(u64::MAX);
        bytes.get(after..).unwrap_or_default()
    }

    fn header_line(&mut self, text: &[u8]) {
        if text.is_empty() {
            self.end_header();
            return;
        }
        let text = text.get(..self.limits.header_line).unwrap_or(text);
        if let Some(fields) = &mut self.header {
            fields.line(text, &mut self.values_left);
        }
    }

    /// The open multipart whose boundary the line fits best; of equal ones the innermost.
    fn find_delimiter(&self, text: &[u8]) -> Option<(usize, Delimiter)> {
        // No more of the line than what is kept of one that comes in pieces.
        let text = text.get(..DELIMITER_HEAD).unwrap_or(text);
        let mut best: Option<(Fit, usize, Delimiter)> = None;
        for (level, open) in self.open.iter().enumerate().rev() {
            let Some(boundary) = &open.boundary else {
                continue;
            };
            if let Some((fit, delimiter)) = match_line(text, boundary)
                && best.is_none_or(|(so_far, ..)| fit > so_far)
            {
                best = Some((fit, level, delimiter));
                if fit == Fit::Exact {
                    break;
                }
            }
        }
        best.map(|(_, level, delimiter)| (level, delimiter))
    }

    /// Ends what lies inside the multipart at `level`; begins its next part or its epilogue.
    fn delimiter(&mut self, level: usize, delimiter: Delimiter, line: Mark) {
        // The line end before the delimiter belongs to it.
        let mut end = self.content_end;
        debug_assert!(end.offset <= line.offset);
        while self.open.len() > level + 1 {
            // But not when it ends a header: what lies around that header ends after it too.
            end = self.close_last(end);
        }
        match delimiter {
            Delimiter::Close => {
                if let Some(open) = self.open.get_mut(level) {
                    open.boundary = None;
                    self.boundaries -= 1;
                }
            }
            Delimiter::Next => self.begin_entity(false),
        }
    }

    /// Begins a part, or a message, at the beginning of the next line.
    fn begin_entity(&mut self, is_message: bool) {
        let index = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        if let Some(parent) = self.open.last_mut() {
            let slot = match parent.last_child.replace(index) {
                Some(sibling) => self
                    .parts
                    .get_mut(as_index(sibling))
                    .map(|p| &mut p.next_sibling),
                None => self
                    .parts
                    .get_mut(as_index(parent.part))
                    .map(|p| &mut p.first_child),
            };
            if let Some(slot) = slot {
                *slot = Some(index);
            }
        }
        self.parts.push(Part {
            kind: PartKind::Leaf,
            header: ByteRange::default(),
            body: ByteRange::default(),
            first_child: None,
            next_sibling: None,
        });
        self.described.push(Described::default());
        self.header = Some(Box::new(Fields::new(is_message)));
        self.header_start = self.line_start;
        if self.parts.len() >= self.limits.parts {
            for open in &mut self.open {
                open.boundary = None;
            }
            self.boundaries = 0;
        }
    }

    /// The header ended before the current `line_start`: finds out what the part is.
    fn end_header(&mut self) {
        let Some(fields) = self.header.take() else {
            return;
        };
        let Some(index) = self.parts.len().checked_sub(1) else {
            return;
        };
        let in_digest = self.open.last().is_some_and(|open| open.digest);
        let content_type = ContentType::of(&fields, in_digest);
        let media = content_type.media();
        let room = self.open.len() < self.limits.depth && self.parts.len() < self.limits.parts;
        let mut open = Open {
            part: u32::try_from(index).unwrap_or(u32::MAX),
            body_start: self.line_start,
            boundary: None,
            digest: false,
            last_child: None,
        };
        let kind = match media {
            Media::Multipart { boundary, digest } if room => {
                open.boundary = Some(boundary);
                open.digest = digest;
                self.boundaries += 1;
                PartKind::Multipart
            }
            Media::Message if room => PartKind::Message,
            Media::Text => {
                if let Some(described) = self.described.get_mut(index) {
                    described.is_text = true;
                }
                PartKind::Leaf
            }
            _ => PartKind::Leaf,
        };
        self.describe(index, kind, &fields, &content_type);
        if let Some(part) = self.parts.get_mut(index) {
            part.kind = kind;
            part.header = self.header_start.range_to(self.line_start);
        }
        self.open.push(open);
        if kind == PartKind::Message {
            self.begin_entity(true);
        }
    }

    fn describe(
        &mut self,
        index: usize,
        kind: PartKind,
        fields: &Fields,
        content_type: &ContentType<'_>,
    ) {
        let Some(described) = self.described.get_mut(index) else {
            return;
        };
        let arena = &mut self.arena;
        let mut start = arena.len();
        let mut ended = |arena: &Vec<u8>| {
            let range = start..arena.len();
            start = arena.len();
            range
        };
        if kind == PartKind::Multipart {
            arena.push(b' ');
            content_type.push_subtype(arena);
            described.basic = ended(arena);
            content_type.push_parameters(arena);
        } else {
            content_type.push_basic(arena, kind == PartKind::Leaf);
            content::push_body_fields(arena, fields);
            described.basic = ended(arena);
            content::push_md5(arena, fields);
        }
        content::push_extension(arena, fields);
        described.extension = ended(arena);
        if fields.is_message() {
            push_envelope(arena, fields);
            described.envelope = ended(arena);
        }
    }

    /// Ends the innermost open part at `end`, or where its body begins if that is later; says
    /// where.
    fn close_last(&mut self, end: Mark) -> Mark {
        let Some(open) = self.open.pop() else {
            return end;
        };
        self.boundaries -= usize::from(open.boundary.is_some());
        let start = open.body_start;
        let end = if end.offset < start.offset {
            start
        } else {
            end
        };
        let at = as_index(open.part);
        if let Some(part) = self.parts.get_mut(at) {
            part.body = start.range_to(end);
        }
        if let Some(described) = self.described.get_mut(at) {
            described.lines = end.lines.saturating_sub(start.lines);
        }
        end
    }
}

fn as_index(part: u32) -> usize {
    usize::try_from(part).unwrap_or(usize::MAX)
}
