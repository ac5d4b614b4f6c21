//! What the peer offers (RFC 5321 §4.1.1.1).

/// The extensions we have a use for, as the reply to EHLO lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// STARTTLS (RFC 3207).
    pub start_tls: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SIZE (RFC 1870): offered, with the limit if there is one.
    pub size: Option<Option<u64>>,
}

impl Capabilities {
    /// Reads the reply's text; the first line is the peer's name.
    pub(super) fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default();
            let is = |name: &str| keyword.eq_ignore_ascii_case(name);
            if is("PIPELINING") {
                found.pipelining = true;
            } else if is("STARTTLS") {
                found.start_tls = true;
            } else if is("8BITMIME") {
                found.eight_bit_mime = true;
            } else if is("SIZE") {
                // RFC 1870 §4: zero, or no number, is no limit.
                let limit = words.next().and_then(|number| number.parse().ok());
                found.size = Some(limit.filter(|limit| *limit > 0));
            }
        }
        found
    }
}
