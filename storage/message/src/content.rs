//! What a part's Content-* fields say (RFC 2045, 2183, 2231, 1864, 3282, 2557), and how
//! BODYSTRUCTURE writes it.

use crate::{
    boundary::MAX_BOUNDARY,
    entity::{Fields, Name},
    lexer::Lexer,
    nstring::{push_nstring, push_string},
};

/// What a part is, as far as its structure goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Text,
    /// With its boundary.
    Multipart {
        boundary: Vec<u8>,
        /// Parts of a digest are message/rfc822 unless they say otherwise (RFC 2046 §5.1.5).
        digest: bool,
    },
    /// message/rfc822
    Message,
    Other,
}

/// A Content-Type: `type/subtype;name=value…`.
#[derive(Debug)]
pub(crate) struct ContentType<'a> {
    media_type: &'a [u8],
    subtype: &'a [u8],
    parameters: Vec<(&'a [u8], Vec<u8>)>,
}

impl<'a> ContentType<'a> {
    /// The one the fields give, or the default (RFC 2045 §5.2).
    pub(crate) fn of(fields: &'a Fields, in_digest: bool) -> Self {
        let parsed = fields.value(Name::ContentType).and_then(Self::parse);
        parsed.unwrap_or_else(|| {
            let (media_type, subtype, parameters) = if in_digest {
                (&b"message"[..], &b"rfc822"[..], vec![])
            } else {
                let charset = (&b"charset"[..], b"us-ascii".to_vec());
                (&b"text"[..], &b"plain"[..], vec![charset])
            };
            Self {
                media_type,
                subtype,
                parameters,
            }
        })
    }

    /// Adds the charset that text has when it says none (RFC 2045 §5.2): clients expect to see one.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let mut content_type = Self::parse_as_written(value)?;
        let parameters = &mut content_type.parameters;
        let names_charset = |(name, _): &(&[u8], Vec<u8>)| {
            let base = name.split(|b| *b == b'*').next().unwrap_or_default();
            base.eq_ignore_ascii_case(b"charset")
        };
        if content_type.media_type.eq_ignore_ascii_case(b"text")
            && !parameters.iter().any(names_charset)
        {
            parameters.push((b"charset", b"us-ascii".to_vec()));
        }
        Some(content_type)
    }

    fn parse_as_written(value: &'a [u8]) -> Option<Self> {
        let mut lexer = Lexer::new(value);
        lexer.skip_cfws();
        let media_type = lexer.token();
        lexer.skip_cfws();
        if media_type.is_empty() || !lexer.accept(b'/') {
            return None;
        }
        lexer.skip_cfws();
        let subtype = lexer.token();
        if subtype.is_empty() {
            return None;
        }
        Some(Self {
            media_type,
            subtype,
            parameters: parameters(&mut lexer),
        })
    }

    fn is(&self, media_type: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
    }

    /// What it means for the structure. A multipart without a boundary is opaque.
    pub(crate) fn media(&self) -> Media {
        if self.is("text") {
            return Media::Text;
        }
        if self.is("message") && self.subtype.eq_ignore_ascii_case(b"rfc822") {
            return Media::Message;
        }
        if !self.is("multipart") {
            return Media::Other;
        }
        let boundary = self
            .parameters
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"))
            .map(|(_, value)| value.trim_ascii_end())
            .filter(|value| !value.is_empty());
        match boundary {
            Some(boundary) => Media::Multipart {
                boundary: boundary.get(..MAX_BOUNDARY).unwrap_or(boundary).to_vec(),
                digest: self.subtype.eq_ignore_ascii_case(b"digest"),
            },
            None => Media::Other,
        }
    }

    /// Appends `"subtype"` (RFC 9051 §9 `body-type-mpart`).
    pub(crate) fn push_subtype(&self, out: &mut Vec<u8>) {
        push_string(out, self.subtype);
    }

    /// Appends ` params`, or ` NIL`.
    pub(crate) fn push_parameters(&self, out: &mut Vec<u8>) {
        push_parameters(out, &self.parameters);
    }

    /// Appends `"type" "subtype" params`. What was not looked into although its type says
    /// multipart or message/rfc822 is application/octet-stream: the grammar has no other way.
    pub(crate) fn push_basic(&self, out: &mut Vec<u8>, opaque: bool) {
        let composite = self.is("multipart") || self.media() == Media::Message;
        if opaque && composite {
            out.extend_from_slice(b"\"application\" \"octet-stream\"");
        } else {
            push_string(out, self.media_type);
            out.push(b' ');
            push_string(out, self.subtype);
        }
        self.push_parameters(out);
    }
}

/// Appends ` id description "encoding"` (RFC 9051 §9 `body-fields`).
pub(crate) fn push_body_fields(out: &mut Vec<u8>, fields: &Fields) {
    for name in [Name::ContentId, Name::ContentDescription] {
        out.push(b' ');
        push_nstring(out, fields.value(name));
    }
    let value = fields.value(Name::ContentTransferEncoding);
    let encoding = value.and_then(|value| {
        let mut lexer = Lexer::new(value);
        lexer.skip_cfws();
        Some(lexer.token()).filter(|token| !token.is_empty())
    });
    out.push(b' ');
    push_string(out, encoding.unwrap_or(b"7bit"));
}

/// Appends ` md5` (RFC 1864).
pub(crate) fn push_md5(out: &mut Vec<u8>, fields: &Fields) {
    out.push(b' ');
    push_nstring(out, fields.value(Name::ContentMd5));
}

/// Appends ` disposition language location` (RFC 9051 §9 `body-fld-dsp` and on).
pub(crate) fn push_extension(out: &mut Vec<u8>, fields: &Fields) {
    out.push(b' ');
    push_disposition(out, fields.value(Name::ContentDisposition));
    out.push(b' ');
    push_languages(out, fields.value(Name::ContentLanguage));
    out.push(b' ');
    push_nstring(out, fields.value(Name::ContentLocation));
}

fn push_disposition(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let mut lexer = Lexer::new(value.unwrap_or_default());
    lexer.skip_cfws();
    let disposition = lexer.token();
    if disposition.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    push_string(out, disposition);
    push_parameters(out, &parameters(&mut lexer));
    out.push(b')');
}

/// `body-fld-lang`: one string, or a list of several.
fn push_languages(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let mut lexer = Lexer::new(value.unwrap_or_default());
    let mut languages = Vec::new();
    while lexer.peek().is_some() {
        lexer.skip_cfws();
        match lexer.token() {
            [] => {
                lexer.bump();
            }
            language => languages.push(language),
        }
    }
    match languages.as_slice() {
        [] => out.extend_from_slice(b"NIL"),
        [one] => push_string(out, one),
        several => {
            let mut separator = b'(';
            for language in several {
                out.push(separator);
                push_string(out, language);
                separator = b' ';
            }
            out.push(b')');
        }
    }
}

/// `*(";" name "=" value)`, leniently: an unquoted value goes to the next `;`, white space or
/// comment, whatever its bytes are. Names with RFC 2231's marks stay as they are.
fn parameters<'a>(lexer: &mut Lexer<'a>) -> Vec<(&'a [u8], Vec<u8>)> {
    let mut found = Vec::new();
    loop {
        skip_to_semicolon(lexer);
        if !lexer.accept(b';') {
            return found;
        }
        lexer.skip_cfws();
        let name = lexer.token();
        lexer.skip_cfws();
        if name.is_empty() || !lexer.accept(b'=') {
            continue;
        }
        lexer.skip_cfws();
        let mut value = Vec::new();
        if lexer.peek() == Some(b'"') {
            lexer.quoted(&mut value);
        } else {
            let raw = lexer.take_while(|b| !b.is_ascii_whitespace() && !b";\"(".contains(&b));
            value.extend_from_slice(raw);
        }
        found.push((name, value));
    }
}

fn skip_to_semicolon(lexer: &mut Lexer<'_>) {
    loop {
        lexer.skip_cfws();
        match lexer.peek() {
            None | Some(b';') => return,
            Some(b'"') => lexer.quoted(&mut Vec::new()),
            Some(_) => {
                lexer.bump();
            }
        }
    }
}

/// Appends ` (name value …)`, or ` NIL`.
fn push_parameters(out: &mut Vec<u8>, parameters: &[(&[u8], Vec<u8>)]) {
    out.push(b' ');
    if parameters.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    let mut separator = b'(';
    for (name, value) in parameters {
        out.push(separator);
        push_string(out, name);
        out.push(b' ');
        push_string(out, value);
        separator = b' ';
    }
    out.push(b')');
}
