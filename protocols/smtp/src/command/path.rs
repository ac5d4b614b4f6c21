//! Paths (RFC 5321 §4.1.2).

use std::fmt;

use facteur_address::Address;

/// Where a message is to go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// An address.
    Address(Address),
    /// `<postmaster>` without a domain, in any case (RFC 5321 §4.1.1.3): this server's own.
    Postmaster,
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Postmaster => f.write_str("postmaster"),
        }
    }
}

/// Splits `keyword ":" "<" path ">" [SP parameters]` into path and parameters; the source route
/// is gone (RFC 5321 §4.1.2: it SHOULD be ignored). Blanks after the colon are tolerated: old
/// devices send them.
pub(super) fn split<'a>(text: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest.trim_start_matches(' ').strip_prefix(':')?;
    let rest = rest.trim_start_matches(' ').strip_prefix('<')?;
    let end = unquoted(rest, '>')?;
    let (path, after) = (rest.get(..end)?, rest.get(end + 1..)?);
    // RFC 5321 §4.5.3.1.3, brackets included.
    let fits = path.len() <= 254 && (after.is_empty() || after.starts_with(' '));
    fits.then_some((without_route(path)?, after))
}

/// Position of the first `wanted` outside a quoted string.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// ```text
/// Path       = "<" [ A-d-l ":" ] Mailbox ">"
/// A-d-l      = At-domain *( "," At-domain )
/// At-domain  = "@" Domain
/// ```
fn without_route(path: &str) -> Option<&str> {
    if !path.starts_with('@') {
        return Some(path);
    }
    let end = path.find(':')?;
    path.get(end + 1..)
}
