//! BODY and BODYSTRUCTURE from the parsed parts (RFC 9051 §7.5.2, §9 `body`).

use std::ops::Range;

use crate::structure::{Part, PartKind, Structure};

/// What a part says of itself, as ranges of ready text in one arena.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    /// Of a multipart ` "subtype"`; of others `"type" "subtype" params id description encoding`.
    pub(crate) basic: Range<usize>,
    /// The extension data with a space before each.
    pub(crate) extension: Range<usize>,
    /// Of a message its envelope.
    pub(crate) envelope: Range<usize>,
    /// Lines of the body.
    pub(crate) lines: u64,
    pub(crate) is_text: bool,
}

/// Writes one of the two forms.
pub(crate) struct Writer<'a> {
    pub(crate) structure: &'a Structure,
    pub(crate) described: &'a [Described],
    pub(crate) arena: &'a [u8],
    /// With extension data: BODYSTRUCTURE; without: BODY.
    pub(crate) extended: bool,
}

impl Writer<'_> {
    /// Appends the part at `index`, and what lies in it. Goes as deep as the message nests, which
    /// the scanner bounds.
    pub(crate) fn push(&self, out: &mut Vec<u8>, index: u32) {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let (Some(part), Some(described)) = (self.structure.parts.get(at), self.described.get(at))
        else {
            return;
        };
        out.push(b'(');
        match part.kind {
            PartKind::Multipart => self.push_multipart(out, part, described),
            _ => self.push_single(out, part, described),
        }
        if self.extended {
            out.extend_from_slice(self.text(&described.extension));
        }
        out.push(b')');
    }

    fn push_multipart(&self, out: &mut Vec<u8>, part: &Part, described: &Described) {
        let mut next = part.first_child;
        if next.is_none() {
            // The grammar wants at least one part.
            out.extend_from_slice(
                b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0",
            );
            if self.extended {
                out.extend_from_slice(b" NIL NIL NIL NIL");
            }
            out.push(b')');
        }
        while let Some(index) = next {
            self.push(out, index);
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            next = self.structure.parts.get(at).and_then(|p| p.next_sibling);
        }
        out.extend_from_slice(self.text(&described.basic));
    }

    fn push_single(&self, out: &mut Vec<u8>, part: &Part, described: &Described) {
        out.extend_from_slice(self.text(&described.basic));
        push_number(out, part.body.wire_len());
        if part.kind == PartKind::Message {
            out.push(b' ');
            let child = part.first_child.unwrap_or(u32::MAX);
            let inner = usize::try_from(child)
                .ok()
                .and_then(|at| self.described.get(at));
            out.extend_from_slice(self.text(&inner.map_or(0..0, |d| d.envelope.clone())));
            out.push(b' ');
            self.push(out, child);
        }
        if part.kind == PartKind::Message || described.is_text {
            push_number(out, described.lines);
        }
    }

    fn text(&self, range: &Range<usize>) -> &[u8] {
        self.arena.get(range.clone()).unwrap_or_default()
    }
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    out.push(b' ');
    out.extend_from_slice(number.to_string().as_bytes());
}
