//! Domain names as mail uses them.

use std::{fmt, sync::Arc};

/// A domain in its canonical form: A-labels, lower case, no trailing dot. Address literals
/// (`[192.0.2.1]`) are kept with their brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

/// Why a text is no domain (RFC 5321 §4.1.2, RFC 5890).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Empty, or an empty label.
    #[error("domain name has an empty label")]
    Empty,
    /// Over 255 octets, or a label over 63 (RFC 5321 §4.5.3.1.2).
    #[error("domain name is too long")]
    TooLong,
    /// A character no host name has, or a malformed literal.
    #[error("domain name has a character that is not allowed")]
    Character,
}

impl Domain {
    /// Parses a domain or an address literal; U-labels become A-labels.
    ///
    /// # Errors
    /// [`DomainError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(DomainError::Character)?;
            return literal(inner).map(|s| Self(Arc::from(s)));
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| DomainError::Character)?
        };
        if ascii.len() > 255 {
            return Err(DomainError::TooLong);
        }
        for label in ascii.split('.') {
            if label.is_empty() {
                return Err(DomainError::Empty);
            }
            if label.len() > 63 {
                return Err(DomainError::TooLong);
            }
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if !label.bytes().all(allowed) || label.starts_with('-') || label.ends_with('-') {
                return Err(DomainError::Character);
            }
        }
        Ok(Self(Arc::from(ascii)))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an address literal such as `[192.0.2.1]`.
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }
}

fn literal(inner: &str) -> Result<String, DomainError> {
    let v6 = inner
        .get(..5)
        .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    if v6.is_some() {
        let ip: std::net::Ipv6Addr = inner
            .get(5..)
            .unwrap_or("")
            .parse()
            .map_err(|_| DomainError::Character)?;
        return Ok(format!("[IPv6:{ip}]"));
    }
    let ip: std::net::Ipv4Addr = inner.parse().map_err(|_| DomainError::Character)?;
    Ok(format!("[{ip}]"))
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
