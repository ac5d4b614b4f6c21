//! Header fields of a message as they stand in it (RFC 5322 §2.2).

use std::borrow::Cow;

use crate::CrlfWriter;

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name; empty for a line without a colon.
    pub name: &'a [u8],
    /// What follows the colon, folds included, without the last line end.
    pub value: &'a [u8],
    /// The whole of it with its last line end.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether it is called `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line, without white space around it.
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        let value = self.value.trim_ascii();
        if !value.iter().any(|b| matches!(b, b'\r' | b'\n')) {
            return Cow::Borrowed(value);
        }
        let kept = value.iter().filter(|b| !matches!(b, b'\r' | b'\n'));
        Cow::Owned(kept.copied().collect())
    }
}

/// The fields of the header that `message` begins with, up to the blank line or the end.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// Walks over fields; made by [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() || self.rest.starts_with(b"\n") || self.rest.starts_with(b"\r\n") {
            return None;
        }
        let mut end = self.rest.len();
        for lf in memchr::memchr_iter(b'\n', self.rest) {
            if !matches!(self.rest.get(lf + 1), Some(b' ' | b'\t')) {
                end = lf + 1;
                break;
            }
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let (name, value) = match memchr::memchr(b':', text) {
            Some(colon) => (
                text.get(..colon).unwrap_or_default().trim_ascii_end(),
                text.get(colon + 1..).unwrap_or_default(),
            ),
            None => (&b""[..], text),
        };
        Some(Field { name, value, raw })
    }
}

/// Picks fields out of a header that comes in chunks: `HEADER.FIELDS` and `HEADER.FIELDS.NOT`
/// (RFC 9051 §6.4.5.1). Line ends become CRLF, and the blank line ends it.
#[derive(Debug, Clone)]
pub struct FieldFilter {
    names: Vec<Vec<u8>>,
    /// Whether the fields named are left out.
    not: bool,
    state: FilterState,
    /// The beginning of a line, until it is known whose it is.
    pending: Vec<u8>,
    longest: usize,
    crlf: CrlfWriter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilterState {
    /// At the beginning of a line; `kept` is whether the field before it is.
    LineStart { kept: bool },
    /// In the name of a field.
    Name,
    /// In a line that is kept.
    Keeping,
    /// In a line that is left out.
    Dropping,
    /// The blank line came.
    Ended,
}

impl FieldFilter {
    /// Keeps the fields named, or with `not` the others.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<[u8]>>, not: bool) -> Self {
        let names: Vec<Vec<u8>> = names.into_iter().map(|n| n.as_ref().to_vec()).collect();
        Self {
            longest: names.iter().map(Vec::len).max().unwrap_or(0),
            names,
            not,
            state: FilterState::LineStart { kept: false },
            pending: Vec::new(),
            crlf: CrlfWriter::new(),
        }
    }

    /// Takes the next bytes of the header, appends what is kept of them.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(first) = bytes.first().copied() {
            match self.state {
                FilterState::Ended => return,
                FilterState::LineStart { kept }
                    if matches!(first, b' ' | b'\t') && self.pending.is_empty() =>
                {
                    self.state = if kept {
                        FilterState::Keeping
                    } else {
                        FilterState::Dropping
                    };
                }
                FilterState::LineStart { .. } => self.state = FilterState::Name,
                FilterState::Name => {
                    bytes = bytes.get(1..).unwrap_or_default();
                    self.pending.push(first);
                    self.name_byte(first, out);
                }
                FilterState::Keeping | FilterState::Dropping => {
                    let kept = self.state == FilterState::Keeping;
                    let lf = memchr::memchr(b'\n', bytes);
                    let end = lf.map_or(bytes.len(), |lf| lf + 1);
                    let (line, rest) = bytes.split_at(end);
                    bytes = rest;
                    if kept {
                        self.crlf.push(line, out);
                    }
                    if lf.is_some() {
                        self.state = FilterState::LineStart { kept };
                    }
                }
            }
        }
    }

    /// Ends the header; appends the blank line that always ends the text.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.state == FilterState::Name && !self.is_blank() {
            self.decide(out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn is_blank(&self) -> bool {
        matches!(self.pending.as_slice(), b"\r" | b"\n" | b"\r\n")
    }

    fn name_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'\n' if self.is_blank() => self.state = FilterState::Ended,
            b'\n' => {
                let kept = self.decide(out);
                self.state = FilterState::LineStart { kept };
            }
            b':' => {
                self.decide(out);
            }
            // No name asked for is as long: only a space before the colon may still come.
            _ if self.pending.len() > self.longest + 64 => {
                self.decide(out);
            }
            _ => {}
        }
    }

    /// The name is known: goes on keeping or dropping.
    fn decide(&mut self, out: &mut Vec<u8>) -> bool {
        let name = self.pending.strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        let named = name.is_some_and(|name| {
            self.names
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(name))
        });
        let kept = named != self.not;
        if kept {
            self.crlf = CrlfWriter::new();
            let pending = std::mem::take(&mut self.pending);
            self.crlf.push(&pending, out);
        }
        self.pending.clear();
        self.state = if kept {
            FilterState::Keeping
        } else {
            FilterState::Dropping
        };
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"Received: one\n\ttwo\r\nSubject : x\r\njunk\r\nReceived:three\r\n\r\nbody: no\r\n";

    #[test]
    fn fields_end_at_the_blank_line() {
        let found: Vec<_> = fields(HEADER).collect();
        assert_eq!(found.len(), 4);
        assert_eq!(found.iter().filter(|f| f.is("received")).count(), 2);
        assert_eq!(found[0].unfolded().as_ref(), b"one\ttwo");
        assert_eq!(found[1].unfolded().as_ref(), b"x");
        assert_eq!((found[2].name, found[2].value), (&b""[..], &b"junk"[..]));
    }

    fn filtered(names: &[&str], not: bool, chunk: usize) -> String {
        let mut filter = FieldFilter::new(names, not);
        let mut out = Vec::new();
        for chunk in HEADER.chunks(chunk) {
            filter.push(chunk, &mut out);
        }
        filter.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn filter_keeps_fields_named_in_any_chunks() {
        for chunk in 1..HEADER.len() {
            assert_eq!(filtered(&["SUBJECT"], false, chunk), "Subject : x\r\n\r\n");
            assert_eq!(
                filtered(&["received", "to"], false, chunk),
                "Received: one\r\n\ttwo\r\nReceived:three\r\n\r\n"
            );
            assert_eq!(
                filtered(&["received"], true, chunk),
                "Subject : x\r\njunk\r\n\r\n"
            );
            assert_eq!(filtered(&["none"], false, chunk), "\r\n");
        }
    }
}
