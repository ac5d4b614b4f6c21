//! Searching a message's own octets.

use std::{borrow::Cow, io, ops::Range};

use facteur_message::{ByteRange, PartKind, headers};
use facteur_store::{MessageReader, StoreError};
use mail_parser::{HeaderValue, decoders::charsets::map::charset_decoder, parsers::MessageStream};

use super::{decode::Decoder, needle::Needle};
use crate::source::{MAX_HEADER, Source};

/// Messages up to this size are read whole, once.
const WHOLE: u64 = 1 << 20;
/// How much decoded text is looked at together; of longer text the ends overlap.
const WINDOW: usize = 256 * 1024;

/// A message that is searched.
#[derive(Debug)]
pub(super) struct Content {
    source: Source,
    /// Its body is searched in memory.
    is_small: bool,
    /// All of it, then.
    whole: Option<Vec<u8>>,
}

/// A part's header and body, and whether its body is text.
struct Leaf {
    header: Range<u64>,
    body: Range<u64>,
    is_leaf: bool,
    is_root: bool,
}

impl Content {
    pub(super) fn of(reader: MessageReader) -> Self {
        Self {
            is_small: reader.size() <= WHOLE,
            source: Source::of(reader),
            whole: None,
        }
    }

    fn read_if_small(&mut self) -> io::Result<()> {
        if self.is_small && self.whole.is_none() {
            self.whole = Some(self.source.bytes(&(0..self.source.size()))?);
        }
        Ok(())
    }

    /// `HEADER`: whether a field of this name holds the text; whether it is there, for an empty one.
    pub(super) fn header_has(&mut self, field: &str, needle: &Needle) -> Result<bool, StoreError> {
        Ok(field_has(self.source.header()?, field, needle))
    }

    /// `TEXT`
    pub(super) fn has(&mut self, needle: &Needle) -> Result<bool, StoreError> {
        self.read_if_small()?;
        if !self.may_have(needle) {
            return Ok(false);
        }
        let header = self.source.header()?;
        Ok(header_has(header, needle) || self.body_has(needle)?)
    }

    /// `BODY`: the text parts, and the headers of parts and of messages inside.
    pub(super) fn body_has(&mut self, needle: &Needle) -> Result<bool, StoreError> {
        if needle.is_empty() {
            return Ok(true);
        }
        self.read_if_small()?;
        if !self.may_have(needle) {
            return Ok(false);
        }
        for leaf in self.leaves()? {
            let end = leaf
                .header
                .start
                .saturating_add(MAX_HEADER)
                .min(leaf.header.end);
            let header = self.octets(&(leaf.header.start..end))?;
            if !leaf.is_root && header_has(&header, needle) {
                return Ok(true);
            }
            if leaf.is_leaf && self.text_has(&header, &leaf.body, needle)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// False when a look at the raw octets is enough to say that the text is nowhere in them: it is
    /// ASCII, it is not there, and nothing is there that could hide it.
    fn may_have(&self, needle: &Needle) -> bool {
        let Some(whole) = self.whole.as_deref() else {
            return true;
        };
        !needle.is_ascii() || needle.is_in_octets(whole) || may_hide_ascii(whole)
    }

    fn leaves(&mut self) -> io::Result<Vec<Leaf>> {
        let range = |range: &ByteRange| range.start..range.end;
        let structure = match &self.whole {
            Some(whole) => &facteur_message::scan(whole).structure,
            None => self.source.structure()?,
        };
        let leaf = |(at, part): (usize, &facteur_message::Part)| Leaf {
            header: range(&part.header),
            body: range(&part.body),
            is_leaf: part.kind == PartKind::Leaf,
            is_root: at == 0,
        };
        Ok(structure.parts().iter().enumerate().map(leaf).collect())
    }

    fn octets(&self, range: &Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        if let Some(whole) = &self.whole {
            let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let found = whole.get(at(range.start)..at(range.end));
            return Ok(Cow::Borrowed(found.unwrap_or_default()));
        }
        self.source.bytes(range).map(Cow::Owned)
    }

    /// Whether a part is text and holds the needle.
    fn text_has(
        &self,
        header: &[u8],
        body: &Range<u64>,
        needle: &Needle,
    ) -> Result<bool, StoreError> {
        let field = |name: &str| {
            headers::fields(header)
                .find(|field| field.is(name))
                .map(|field| field.unfolded().into_owned())
        };
        let content_type = field("Content-Type").unwrap_or_else(|| b"text/plain".to_vec());
        if !content_type
            .trim_ascii_start()
            .get(..5)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/"))
        {
            return Ok(false);
        }
        let encoding = field("Content-Transfer-Encoding").unwrap_or_default();
        let mut search = TextSearch {
            needle,
            decoder: Decoder::new(&encoding),
            charset: charset_of(&content_type),
            text: Vec::new(),
            found: false,
        };
        match &self.whole {
            Some(_) => search.push(&self.octets(body)?),
            None => self.source.each(body, |piece| search.push(piece))?,
        }
        Ok(search.finish())
    }
}

/// Whether ASCII text could be in there in another form: encoded, or in a charset whose ASCII is not
/// ASCII's.
fn may_hide_ascii(whole: &[u8]) -> bool {
    const SIGNS: [&str; 6] = [
        "base64",
        "quoted-printable",
        "utf-7",
        "utf-16",
        "iso-2022",
        "hz-gb",
    ];
    memchr::memmem::find(whole, b"=?").is_some()
        || SIGNS
            .iter()
            .any(|sign| Needle::new(sign).is_in_octets(whole))
}

/// Whether a header, its encoded words decoded, holds the text. Names of fields are text too.
fn header_has(header: &[u8], needle: &Needle) -> bool {
    needle.is_in_octets(header)
        || headers::fields(header).any(|field| needle.is_in(&decoded(&field.unfolded())))
}

/// Whether a field of this name holds the text; whether it is there, for an empty one.
pub(super) fn field_has(header: &[u8], field: &str, needle: &Needle) -> bool {
    headers::fields(header)
        .filter(|found| found.is(field))
        .any(|found| needle.is_in(&decoded(&found.unfolded())))
}

/// A header field's value as people read it (RFC 2047).
pub(super) fn decoded(value: &[u8]) -> Cow<'_, str> {
    if memchr::memmem::find(value, b"=?").is_none() {
        return String::from_utf8_lossy(value);
    }
    let mut line = value.to_vec();
    line.push(b'\n');
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => Cow::Owned(text.into_owned()),
        _ => String::from_utf8_lossy(value),
    }
}

/// A text part's charset, in lower case; UTF-8 when it says none.
fn charset_of(content_type: &[u8]) -> String {
    let text = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    text.split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim() == "charset")
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| "utf-8".to_owned())
}

/// Looks through a text as it is decoded.
struct TextSearch<'n> {
    needle: &'n Needle,
    decoder: Decoder,
    charset: String,
    text: Vec<u8>,
    found: bool,
}

impl TextSearch<'_> {
    fn push(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        for piece in piece.chunks(WINDOW) {
            self.decoder.push(piece, &mut self.text);
            if self.text.len() < WINDOW {
                continue;
            }
            self.look();
            // What may be the beginning of a match is looked at again; in UTF-8 and every other
            // charset a character has no more than four octets.
            let keep = self.needle.len().saturating_mul(4);
            let gone = self.text.len().saturating_sub(keep);
            self.text.drain(..gone);
        }
    }

    fn finish(mut self) -> bool {
        if !self.found {
            self.decoder.finish(&mut self.text);
            self.look();
        }
        self.found
    }

    fn look(&mut self) {
        let plain = !["utf-7", "utf-16", "iso-2022", "hz-gb"]
            .iter()
            .any(|odd| self.charset.starts_with(odd));
        if plain && self.needle.is_in_octets(&self.text) {
            self.found = true;
            return;
        }
        if plain && self.text.is_ascii() {
            return;
        }
        let text = match self.charset.as_str() {
            "utf-8" | "us-ascii" => String::from_utf8_lossy(&self.text),
            charset => match charset_decoder(charset.as_bytes()) {
                Some(decode) => Cow::Owned(decode(&self.text)),
                None => String::from_utf8_lossy(&self.text),
            },
        };
        self.found = self.needle.is_in(&text);
    }
}

#[cfg(test)]
mod tests;
