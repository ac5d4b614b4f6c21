//! The tree of a message's parts, and where its sections lie (RFC 9051 §6.4.5.1).

/// A run of a message's bytes as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// How many line ends in it lack their CR: the wire adds one to each.
    pub bare_lf: u64,
}

impl ByteRange {
    /// Bytes stored.
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the wire, where every line ends in CRLF.
    pub fn wire_len(&self) -> u64 {
        self.len().saturating_add(self.bare_lf)
    }
}

/// What a part is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// Nothing that is looked into.
    Leaf,
    /// Its children are the parts between the boundaries.
    Multipart,
    /// message/rfc822: its only child is the message.
    Message,
}

/// One part: the message itself, a body part, or a message inside a message/rfc822 part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is made of.
    pub kind: PartKind,
    /// Its header with the blank line after it.
    pub header: ByteRange,
    /// Its body, without the line end that belongs to the boundary after it.
    pub body: ByteRange,
    pub(crate) first_child: Option<u32>,
    pub(crate) next_sibling: Option<u32>,
}

/// What of a part is asked for (RFC 9051 §6.4.5.1 `section-text`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionText {
    /// Nothing said: the whole message, or the part's body.
    Whole,
    /// `HEADER`; `HEADER.FIELDS` and `.NOT` are taken from it by [`crate::headers::FieldFilter`].
    Header,
    /// `TEXT`
    Text,
    /// `MIME`
    Mime,
}

/// The tree of parts; the message itself comes first, then depth first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Structure {
    pub(crate) parts: Vec<Part>,
}

impl Structure {
    /// Every part, the message first, then depth first.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The message itself.
    pub fn root(&self) -> Option<&Part> {
        self.parts.first()
    }

    /// The parts directly below `part`.
    pub fn children<'a>(&'a self, part: &Part) -> impl Iterator<Item = &'a Part> + 'a {
        let mut next = part.first_child;
        std::iter::from_fn(move || {
            let part = self.part(next?)?;
            next = part.next_sibling;
            Some(part)
        })
    }

    fn part(&self, index: u32) -> Option<&Part> {
        self.parts.get(usize::try_from(index).ok()?)
    }

    /// Where a section lies. `None` when the message has no such part, or the part no such text
    /// (`HEADER` and `TEXT` of a numbered part need message/rfc822).
    pub fn section(&self, path: &[u32], text: SectionText) -> Option<ByteRange> {
        let root = self.root()?;
        let Some((part, message)) = self.find(root, path)? else {
            return match text {
                SectionText::Whole => Some(whole(root)),
                SectionText::Header => Some(root.header),
                SectionText::Text => Some(root.body),
                SectionText::Mime => None,
            };
        };
        match text {
            SectionText::Whole => Some(part.body),
            SectionText::Mime => Some(part.header),
            SectionText::Header => Some(message?.header),
            SectionText::Text => Some(message?.body),
        }
    }

    /// The part at `path`, and the message in it if it is message/rfc822. `Some(None)` for the
    /// empty path, `None` for a part that is not there.
    fn find<'a>(
        &'a self,
        root: &'a Part,
        path: &[u32],
    ) -> Option<Option<(&'a Part, Option<&'a Part>)>> {
        // `inside` is the message whose parts the next number counts, or the multipart.
        let mut inside = root;
        let mut found: Option<(&Part, Option<&Part>)> = None;
        for number in path {
            let nth = usize::try_from(number.checked_sub(1)?).ok()?;
            let part = match inside.kind {
                PartKind::Multipart => self.children(inside).nth(nth)?,
                // A message that is no multipart has one part, its body; a part that is neither
                // message nor multipart has none.
                _ if nth == 0 && found.is_none_or(|(_, message)| message.is_some()) => inside,
                _ => return None,
            };
            let message = match part.kind {
                PartKind::Message => self.children(part).next(),
                _ => None,
            };
            found = Some((part, message));
            inside = message.unwrap_or(part);
        }
        Some(found)
    }
}

fn whole(part: &Part) -> ByteRange {
    ByteRange {
        start: part.header.start,
        end: part.body.end,
        bare_lf: part.header.bare_lf.saturating_add(part.body.bare_lf),
    }
}
