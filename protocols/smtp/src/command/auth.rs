//! `AUTH` (RFC 4954 §4).

use bytes::{BufMut, BytesMut};
use facteur_wire::Secret;

use super::CommandError;

/// `AUTH mechanism [initial-response]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The SASL mechanism, in upper case.
    pub mechanism: String,
    /// The initial response as it stands on the line: base64, or `=` for an empty one.
    pub initial_response: Option<Secret>,
}

impl Auth {
    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Syntax("AUTH mechanism [initial-response]");
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let mechanism = words.next().ok_or(FORM)?;
        // sasl-mech = 1*20mech-char (RFC 4422 §3.1)
        let mech_char = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if mechanism.len() > 20 || !mechanism.bytes().all(mech_char) {
            return Err(FORM);
        }
        let initial_response = words
            .next()
            .map(|word| Secret::new(word.as_bytes().to_vec()));
        match words.next() {
            Some(_) => Err(FORM),
            None => Ok(Self {
                mechanism: mechanism.to_ascii_uppercase(),
                initial_response,
            }),
        }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"AUTH ");
        out.put_slice(self.mechanism.as_bytes());
        if let Some(response) = &self.initial_response {
            out.put_u8(b' ');
            out.put_slice(response.expose());
        }
    }
}
