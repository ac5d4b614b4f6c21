//! `local-part@domain`.

use std::{fmt, sync::Arc};

use crate::{Domain, DomainError};

/// A mail address. The local part is kept as written, without the quotes of a quoted string;
/// [`fmt::Display`] writes it back in its `Quoted-string` form where it needs one.
///
/// Equality is exact. Look-ups in a directory use [`Address::folded`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local: Arc<str>,
    domain: Domain,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@`.
    #[error("address has no domain")]
    NoDomain,
    /// The local part breaks RFC 5321 §4.1.2.
    #[error("local part is malformed")]
    Local,
    /// Local part over [`Address::MAX_LOCAL_LEN`].
    #[error("local part is too long")]
    TooLong,
    /// The domain is none.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl Address {
    /// Longest local part in octets. RFC 5321 §4.5.3.1.1 asks for 64 at least; the reverse-paths that
    /// mailing lists and forwarders make (VERP, SRS) are often longer, and refusing them loses mail.
    pub const MAX_LOCAL_LEN: usize = 192;

    /// Parses `local@domain`, dot-string or quoted-string (RFC 5321 §4.1.2), UTF-8 allowed
    /// (RFC 6531 §3.3).
    ///
    /// # Errors
    /// [`AddressError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
        let local = match local.strip_prefix('"') {
            Some(quoted) => unquote(quoted.strip_suffix('"').ok_or(AddressError::Local)?)?,
            None if is_dot_string(local) => local.to_owned(),
            None => return Err(AddressError::Local),
        };
        Self::from_parts(&local, Domain::parse(domain)?)
    }

    /// From a local part without quotes, and a domain.
    ///
    /// # Errors
    /// When the local part is empty, too long or has control characters.
    pub fn from_parts(local: &str, domain: Domain) -> Result<Self, AddressError> {
        if local.len() > Self::MAX_LOCAL_LEN {
            return Err(AddressError::TooLong);
        }
        if local.is_empty() || local.chars().any(char::is_control) {
            return Err(AddressError::Local);
        }
        Ok(Self {
            local: Arc::from(local),
            domain,
        })
    }

    /// The part before the `@`, unquoted.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The key a directory looks up: the local part in lower case too.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self {
            local: Arc::from(self.local.to_lowercase()),
            domain: self.domain.clone(),
        }
    }

    /// Splits `user+detail` at the first of `delimiters` (Postfix's recipient_delimiter).
    /// `None` when there is no detail.
    pub fn split_detail(&self, delimiters: &str) -> Option<(Self, &str)> {
        let at = self
            .local
            .char_indices()
            .find(|(i, c)| *i > 0 && delimiters.contains(*c));
        let (at, delimiter) = at?;
        let detail = self.local.get(at + delimiter.len_utf8()..)?;
        let base = self.local.get(..at)?;
        Some((
            Self {
                local: Arc::from(base),
                domain: self.domain.clone(),
            },
            detail,
        ))
    }
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control())
}

fn is_dot_string(local: &str) -> bool {
    !local.is_empty()
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn unquote(content: &str) -> Result<String, AddressError> {
    let mut out = String::with_capacity(content.len());
    let mut chars = content.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().ok_or(AddressError::Local)?),
            '"' => return Err(AddressError::Local),
            c => out.push(c),
        }
    }
    Ok(out)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_local_part_round_trips() {
        let address = Address::parse("\"a b\\\"c\"@Example.ORG.").unwrap();
        assert_eq!(address.local(), "a b\"c");
        assert_eq!(address.to_string(), "\"a b\\\"c\"@example.org");
        assert_eq!(Address::parse(&address.to_string()), Ok(address));
    }

    #[test]
    fn detail_is_split_at_the_first_delimiter() {
        let address = Address::parse("user+a+b@example.org").unwrap();
        let (base, detail) = address.split_detail("+").unwrap();
        assert_eq!((base.local(), detail), ("user", "a+b"));
        assert!(
            Address::parse("+a@example.org")
                .unwrap()
                .split_detail("+")
                .is_none()
        );
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a..b@c",
            ".a@c",
            "a b@c",
            "\"a@c",
            "\"\"@c",
            "a@-c",
            "a@c..d",
            "a@[300.1.1.1]",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
