//! The FETCH response.

use bytes::BytesMut;

use super::{astring, date_time, literal, number};
use crate::{Section, SectionItem, SectionText};

/// Writes `* n FETCH (…)` (RFC 3501 §7.4.2), item by item.
#[derive(Debug)]
pub struct FetchWriter<'a> {
    out: &'a mut BytesMut,
    first: bool,
}

impl<'a> FetchWriter<'a> {
    /// Begins the response of one message.
    pub fn begin(out: &'a mut BytesMut, sequence: u32) -> Self {
        out.extend_from_slice(b"* ");
        number(out, u64::from(sequence));
        out.extend_from_slice(b" FETCH (");
        Self { out, first: true }
    }

    /// Where the octets go that [`FetchWriter::section`] announced. What is in it may be taken out
    /// and sent before.
    pub fn out(&mut self) -> &mut BytesMut {
        self.out
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.extend_from_slice(b" ");
        }
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b" ");
    }

    /// `UID`
    pub fn uid(&mut self, uid: u32) {
        self.name("UID");
        number(self.out, u64::from(uid));
    }

    /// `FLAGS`
    pub fn flags<'f>(&mut self, flags: impl Iterator<Item = &'f str>) {
        self.name("FLAGS");
        let mut separator: &[u8] = b"(";
        for flag in flags {
            self.out.extend_from_slice(separator);
            self.out.extend_from_slice(flag.as_bytes());
            separator = b" ";
        }
        if separator == b"(" {
            self.out.extend_from_slice(b"(");
        }
        self.out.extend_from_slice(b")");
    }

    /// `MODSEQ` (RFC 7162 §7)
    pub fn modseq(&mut self, modseq: u64) {
        self.name("MODSEQ");
        self.out.extend_from_slice(b"(");
        number(self.out, modseq);
        self.out.extend_from_slice(b")");
    }

    /// `INTERNALDATE`
    pub fn internal_date(&mut self, unix_seconds: i64) {
        self.name("INTERNALDATE");
        date_time(self.out, unix_seconds);
    }

    /// `RFC822.SIZE`
    pub fn rfc822_size(&mut self, size: u64) {
        self.name("RFC822.SIZE");
        number(self.out, size);
    }

    /// `ENVELOPE`, `BODY` or `BODYSTRUCTURE`: a value that is ready for the wire.
    pub fn ready(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    /// A section's name and the announcement of `size` octets, which are the caller's to write.
    pub fn section(&mut self, item: &SectionItem, size: u64) {
        self.section_name(item);
        literal(self.out, size);
    }

    /// A section that is not there: NIL.
    pub fn missing_section(&mut self, item: &SectionItem) {
        self.section_name(item);
        self.out.extend_from_slice(b"NIL");
    }

    /// Ends the response.
    pub fn end(self) {
        self.out.extend_from_slice(b")\r\n");
    }

    fn section_name(&mut self, item: &SectionItem) {
        if let Some(name) = item.rfc822 {
            self.name(name);
            return;
        }
        self.name("BODY");
        // The name goes on without the space that `name` left.
        self.out.truncate(self.out.len().saturating_sub(1));
        self.out.extend_from_slice(b"[");
        spec(self.out, &item.section);
        self.out.extend_from_slice(b"]");
        if let Some(partial) = item.partial {
            self.out.extend_from_slice(b"<");
            number(self.out, u64::from(partial.offset));
            self.out.extend_from_slice(b">");
        }
        self.out.extend_from_slice(b" ");
    }
}

fn spec(out: &mut BytesMut, section: &Section) {
    for (at, part) in section.part.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b".");
        }
        number(out, u64::from(part.get()));
    }
    let Some(text) = &section.text else {
        return;
    };
    if !section.part.is_empty() {
        out.extend_from_slice(b".");
    }
    match text {
        SectionText::Header => out.extend_from_slice(b"HEADER"),
        SectionText::HeaderFields(names) => fields(out, "HEADER.FIELDS (", names),
        SectionText::HeaderFieldsNot(names) => fields(out, "HEADER.FIELDS.NOT (", names),
        SectionText::Text => out.extend_from_slice(b"TEXT"),
        SectionText::Mime => out.extend_from_slice(b"MIME"),
    }
}

fn fields(out: &mut BytesMut, head: &str, names: &[String]) {
    out.extend_from_slice(head.as_bytes());
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b" ");
        }
        astring(out, name.as_bytes());
    }
    out.extend_from_slice(b")");
}
