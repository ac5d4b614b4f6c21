//! A message as a script sees it.

use bytes::Bytes;
use facteur_mapped::Mapped;
use mail_parser::{
    Encoding, Header, HeaderName, HeaderValue, Message, MessageParser, MessagePart, PartType,
};
use memchr::{memchr_iter, memmem};

/// Largest header that scripts are run on, in bytes. Each field costs sixty bytes and more of its
/// own when it is parsed.
const MAX_HEADER: usize = 1024 * 1024;

/// Most lines that may begin a part times the size of the message: the parser looks for a part's
/// end once for each.
const MAX_PART_WORK: u64 = 4 << 30;

/// How deep parts may nest at all: each level is a stack frame when the parsed message is dropped.
const MAX_PARTS: u64 = 2_000;

/// What a script reads.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// The message as it arrived.
    pub(crate) bytes: Source,
    /// Fields that delivery puts before it, unfolded: they count as part of it.
    pub(crate) added: Vec<(String, String)>,
}

/// The bytes of a message.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// In memory.
    Memory(Bytes),
    /// In a file.
    Mapped(Mapped),
}

impl AsRef<[u8]> for Source {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(mapped) => mapped.as_ref(),
        }
    }
}

/// The message is such that a script is not run on it at all: the mail is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TooComplex(&'static str);

/// The header of `message`, with its blank line.
pub(crate) fn header(message: &[u8]) -> &[u8] {
    if message.starts_with(b"\r\n") || message.starts_with(b"\n") {
        return &[];
    }
    let mut ends = memchr_iter(b'\n', message);
    let end = ends.find_map(|lf| match message.get(lf + 1..) {
        Some([b'\n', ..]) => Some(lf + 2),
        Some([b'\r', b'\n', ..]) => Some(lf + 3),
        _ => None,
    });
    message
        .get(..end.unwrap_or(message.len()))
        .unwrap_or_default()
}

/// How much memory a script that wants the body needs to run on `message`.
///
/// # Errors
/// When parsing it would take too long, or too much stack.
pub(crate) fn cost(message: &[u8], patterns: bool) -> Result<usize, TooComplex> {
    let mut lines = 0_usize;
    let mut parts = 0_u64;
    for lf in memchr_iter(b'\n', message) {
        lines += 1;
        let next = message.get(lf + 1..lf + 13).unwrap_or_default();
        parts += u64::from(next.eq_ignore_ascii_case(b"content-type"));
    }
    if parts > MAX_PARTS || parts.saturating_mul(message.len() as u64) > MAX_PART_WORK {
        return Err(TooComplex("the message has too many parts"));
    }
    // Decoded parts and the text made of them; matching a pattern spreads a text over twelve bytes
    // a character. Any line may turn out to be a field of a part's header.
    let times = if patterns { 14 } else { 3 };
    Ok(message.len().saturating_mul(times) + lines.saturating_mul(size_of::<Header<'_>>()))
}

impl Input {
    /// Parses the header, and the rest too if `body`.
    ///
    /// # Errors
    /// When the header is too large.
    pub(crate) fn parse(&self, body: bool) -> Result<Message<'_>, TooComplex> {
        let raw = self.bytes.as_ref();
        if header(raw).len() > MAX_HEADER {
            return Err(TooComplex("the message's header is too large"));
        }
        let parser = MessageParser::new();
        let parsed = if body {
            parser.parse(raw)
        } else {
            parser.parse_headers(raw)
        };
        // Header-only too, the whole message is there for `size`; only its head is touched.
        let mut message = parsed.unwrap_or_else(|| headerless(raw));
        if let Some(root) = message.parts.first_mut() {
            let added = self.added.iter().filter_map(|(name, value)| {
                Some(Header {
                    name: HeaderName::parse(name.as_str())?,
                    value: HeaderValue::Text(value.as_str().into()),
                    offset_field: 0,
                    offset_start: 0,
                    offset_end: 0,
                })
            });
            root.headers.splice(0..0, added);
            for header in &mut root.headers {
                on_one_line(&mut header.value);
            }
        }
        Ok(message)
    }
}

/// A message without a single field.
fn headerless(raw: &[u8]) -> Message<'_> {
    Message {
        parts: vec![MessagePart {
            headers: Vec::new(),
            is_encoding_problem: false,
            body: PartType::Text(String::from_utf8_lossy(raw)),
            encoding: Encoding::None,
            offset_header: 0,
            offset_body: 0,
            offset_end: u32::try_from(raw.len()).unwrap_or(u32::MAX),
        }],
        raw_message: raw.into(),
        ..Message::default()
    }
}

/// An encoded word may decode to a line end, which would begin a new field in a reply that takes
/// the text over.
fn on_one_line(value: &mut HeaderValue<'_>) {
    let breaks = |c: char| matches!(c, '\r' | '\n' | '\0');
    let clean = |text: &mut std::borrow::Cow<'_, str>| {
        if text.contains(breaks) {
            *text = text.replace(breaks, " ").into();
        }
    };
    match value {
        HeaderValue::Text(text) => clean(text),
        HeaderValue::TextList(list) => list.iter_mut().for_each(clean),
        _ => {}
    }
}

/// The fields of a header prefix, unfolded.
pub(crate) fn prefix_fields(prefix: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    facteur_message::headers::fields(prefix)
        .map(|field| (text(field.name), text(&field.unfolded())))
        .collect()
}

/// `message` without the Return-Path it begins with: only final delivery adds that field (RFC 5321
/// §4.4).
pub(crate) fn without_return_path(message: &Bytes) -> Bytes {
    const NAME: &[u8] = b"Return-Path:";
    let starts = message
        .get(..NAME.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(NAME));
    match memmem::find(message, b"\r\n") {
        Some(end) if starts => message.slice(end + 2..),
        _ => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &'static [u8]) -> Input {
        Input {
            bytes: Source::Memory(Bytes::from_static(bytes)),
            added: vec![("Delivered-To".to_owned(), "a@b".to_owned())],
        }
    }

    #[test]
    fn header_ends_at_the_first_blank_line() {
        assert_eq!(header(b"a: b\r\n\r\nc\r\n\r\n"), b"a: b\r\n\r\n");
        assert_eq!(header(b"a: b\n\nc"), b"a: b\n\n");
        assert_eq!(header(b"\r\nc"), b"");
        assert_eq!(header(b"a: b"), b"a: b");
    }

    #[test]
    fn added_fields_come_first_and_decoded_text_stays_on_one_line() {
        let input = input(b"Subject: =?utf-8?Q?a=0D=0ABcc:_x?=\r\n\r\nbody");
        for body in [false, true] {
            let message = input.parse(body).unwrap();
            assert_eq!(message.parts[0].headers[0].name(), "Delivered-To");
            assert_eq!(message.subject(), Some("a  Bcc: x"));
            assert_eq!(message.raw_message.len(), input.bytes.as_ref().len());
        }
    }

    #[test]
    fn headerless_and_empty_messages_parse() {
        for bytes in [&b""[..], b"\r\n", b"\r\nbody", b"no colon"] {
            for body in [false, true] {
                assert!(!input(bytes).parse(body).unwrap().parts.is_empty());
            }
        }
    }

    #[test]
    fn deep_nesting_is_too_complex() {
        let deep = b"Content-Type: message/rfc822\r\n\r\n".repeat(5_000);
        assert!(cost(&deep, false).is_err());
        assert!(cost(b"Subject: x\r\n\r\nhello", false).is_ok());
    }

    #[test]
    fn nesting_within_the_limit_parses_and_drops_on_a_small_stack() {
        let levels = usize::try_from(MAX_PARTS).unwrap();
        let deep = b"Content-Type: message/rfc822\r\n\r\n".repeat(levels);
        assert!(cost(&deep, false).is_ok());
        let input = Input {
            bytes: Source::Memory(Bytes::from(deep)),
            added: Vec::new(),
        };
        let thread = std::thread::Builder::new().stack_size(super::super::pool::STACK);
        let parts = thread.spawn(move || input.parse(true).unwrap().parts.len());
        assert_eq!(parts.unwrap().join().unwrap(), 1);
    }
}
