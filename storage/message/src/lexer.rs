//! Tokens of structured header fields (RFC 5322 §3.2, RFC 2045 §5.1), read leniently: what cannot
//! be read is skipped, and every step moves on, so that reading is linear.

/// Reads tokens off an unfolded field value.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    rest: &'a [u8],
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    /// The next byte, left where it is.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes the next byte.
    pub(crate) fn bump(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Takes `byte` if it is next.
    pub(crate) fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.bump();
        }
        found
    }

    /// Skips white space and comments (`CFWS`); says whether there was any.
    pub(crate) fn skip_cfws(&mut self) -> bool {
        self.cfws(None)
    }

    /// As [`Lexer::skip_cfws`], and keeps the text of the last comment.
    pub(crate) fn skip_cfws_keeping_comment(&mut self, comment: &mut Option<Vec<u8>>) -> bool {
        self.cfws(Some(comment))
    }

    fn cfws(&mut self, mut keep: Option<&mut Option<Vec<u8>>>) -> bool {
        let mut any = false;
        while let Some(b) = self.peek() {
            match b {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.bump();
                }
                b'(' => {
                    let text = self.comment(keep.is_some());
                    if let Some(slot) = keep.as_deref_mut() {
                        *slot = Some(text);
                    }
                }
                _ => break,
            }
            any = true;
        }
        any
    }

    /// `comment` (RFC 5322 §3.2.2), its text with inner comments; empty unless `keep`.
    fn comment(&mut self, keep: bool) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0_usize;
        while let Some(b) = self.bump() {
            let mut kept = b;
            match b {
                b'(' => {
                    depth += 1;
                    if depth == 1 {
                        continue;
                    }
                }
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => match self.bump() {
                    Some(escaped) => kept = escaped,
                    None => break,
                },
                _ => {}
            }
            if keep {
                text.push(kept);
            }
        }
        let trimmed = text.trim_ascii();
        if trimmed.len() != text.len() {
            text = trimmed.to_vec();
        }
        text
    }

    /// `quoted-string` (RFC 5322 §3.2.4) without its quotes and escapes; the opening quote is
    /// next. A missing closing quote ends with the value.
    pub(crate) fn quoted(&mut self, out: &mut Vec<u8>) {
        self.accept(b'"');
        while let Some(b) = self.bump() {
            match b {
                b'"' => return,
                b'\\' => out.extend(self.bump()),
                b => out.push(b),
            }
        }
    }

    /// Bytes as long as `wanted` holds.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self
            .rest
            .iter()
            .position(|b| !wanted(*b))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// An `atom`, leniently: whatever is no `specials`, white space or dot (RFC 5322 §3.2.3).
    pub(crate) fn atom(&mut self) -> &'a [u8] {
        self.take_while(|b| !b.is_ascii_whitespace() && !b"()<>[]:;@\\,.\"".contains(&b))
    }

    /// A `token` (RFC 2045 §5.1), leniently: of the tspecials only those end it that structure
    /// the value around it.
    pub(crate) fn token(&mut self) -> &'a [u8] {
        self.take_while(|b| !b.is_ascii_whitespace() && !b"()<>@,;:\\\"/[]?=".contains(&b))
    }
}
