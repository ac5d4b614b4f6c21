//! Base64 as SASL exchanges use it (RFC 4954 §4, RFC 9051 §6.2.2, RFC 5034 §4).

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::Secret;

/// Standard alphabet; padding is written, and not insisted on: some clients leave it out.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The text is no base64: SMTP `501 5.5.2`, IMAP `BAD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64")]
pub struct Base64Error;

/// Decodes what a client sent in a SASL exchange. A single `=` is the empty response
/// (RFC 4954 §4). The result may hold a password.
///
/// # Errors
/// When the text is no base64.
pub fn decode_base64(text: &[u8]) -> Result<Secret, Base64Error> {
    if text == b"=" {
        return Ok(Secret::new(Vec::new()));
    }
    ENGINE
        .decode(text)
        .map(Secret::new)
        .map_err(|_| Base64Error)
}

/// Encodes a challenge.
pub fn encode_base64(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_inverts_encode() {
        for bytes in [&b""[..], b"\0user\0pass", b"abcd"] {
            let text = encode_base64(bytes);
            assert_eq!(decode_base64(text.as_bytes()).unwrap().expose(), bytes);
        }
    }

    #[test]
    fn equals_sign_alone_is_empty() {
        assert!(decode_base64(b"=").unwrap().expose().is_empty());
    }

    #[test]
    fn missing_padding_is_tolerated_and_garbage_is_not() {
        assert_eq!(decode_base64(b"YQ").unwrap().expose(), b"a");
        assert_eq!(decode_base64(b"a*b="), Err(Base64Error));
    }
}
