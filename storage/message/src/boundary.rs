//! Multipart boundaries (RFC 2046 §5.1.1).

/// Longest boundary compared. RFC 2046 allows 70 octets; of a longer one only so much counts.
pub(crate) const MAX_BOUNDARY: usize = 255;

/// Bytes of a line that decide whether it is a delimiter: `--`, boundary, `--`, and a byte to tell
/// that more follows.
pub(crate) const DELIMITER_HEAD: usize = MAX_BOUNDARY + 5;

/// What a line that begins with `--` is to one boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// Begins the next part.
    Next,
    /// `close-delimiter`: ends the multipart.
    Close,
}

/// How well a line fits a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// The line begins with it; its length says how well.
    Prefix(usize),
    /// Nothing but the close mark and white space follows.
    Exact,
}

/// Compares a line, without its line end, with a boundary. Only the beginning has to match
/// (RFC 2046 §5.1.2), so callers with several boundaries take the best fit.
pub(crate) fn match_line(line: &[u8], boundary: &[u8]) -> Option<(Fit, Delimiter)> {
    let after = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let (delimiter, padding) = match after.strip_prefix(b"--") {
        Some(padding) => (Delimiter::Close, padding),
        None => (Delimiter::Next, after),
    };
    let fit = if padding.iter().all(u8::is_ascii_whitespace) {
        Fit::Exact
    } else {
        Fit::Prefix(boundary.len())
    };
    Some((fit, delimiter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_told_from_other_lines() {
        assert_eq!(
            match_line(b"--b", b"b"),
            Some((Fit::Exact, Delimiter::Next))
        );
        assert_eq!(
            match_line(b"--b-- \t", b"b"),
            Some((Fit::Exact, Delimiter::Close))
        );
        assert_eq!(
            match_line(b"--bc", b"b"),
            Some((Fit::Prefix(1), Delimiter::Next))
        );
        assert_eq!(match_line(b"-b", b"b"), None);
        assert_eq!(match_line(b"--a", b"b"), None);
    }
}
