//! PLAIN (RFC 4616).

use facteur_wire::Secret;

use crate::{Credentials, SaslError};

/// Longest of each of the three parts, in octets (RFC 4616 §2 wants at least 255).
const MAX_PART_LEN: usize = 4096;

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd`
pub(crate) fn parse(message: &[u8]) -> Result<Credentials, SaslError> {
    let mut parts = message.split(|byte| *byte == 0);
    let (Some(authorization), Some(authentication), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    if authentication.is_empty() || password.is_empty() {
        return Err(SaslError::Malformed);
    }
    Ok(Credentials {
        authorization_identity: text(authorization)?,
        authentication_identity: text(authentication)?,
        password: secret(password)?,
    })
}

/// A password: any octets but NUL. It should be UTF-8, but old clients send Latin-1 and the
/// password was stored that way; comparing octets serves both.
pub(crate) fn secret(part: &[u8]) -> Result<Secret, SaslError> {
    if part.len() > MAX_PART_LEN || part.contains(&0) {
        return Err(SaslError::Malformed);
    }
    Ok(Secret::new(part.to_vec()))
}

/// An identity: UTF-8 without control characters, so that it can stand in a log line.
pub(crate) fn text(part: &[u8]) -> Result<String, SaslError> {
    if part.len() > MAX_PART_LEN {
        return Err(SaslError::Malformed);
    }
    let text = std::str::from_utf8(part).map_err(|_| SaslError::Malformed)?;
    if text.chars().any(char::is_control) {
        return Err(SaslError::Malformed);
    }
    Ok(text.to_owned())
}
