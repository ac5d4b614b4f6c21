//! `{n}` and `{n+}` at the end of a line.

/// A literal announced (RFC 7888 §8): `"{" number ["+"] "}" CRLF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker {
    /// Octets of the literal.
    pub(super) size: u64,
    /// Whether the client waits for a continuation.
    pub(super) synchronizing: bool,
    /// Octets of the marker with the line's end.
    pub(super) len: usize,
}

/// Longest marker with its line end: `{18446744073709551615+}` CRLF.
pub(super) const MAX_LEN: usize = 25;

/// A line without its CRLF. A bare LF ends a line too: nothing else can be meant by one, and there
/// is nobody behind us who would read it otherwise.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The marker that ends `line`. In a quoted string left open there is none.
pub(super) fn at_end(line: &[u8]) -> Option<Marker> {
    let content = without_end(line);
    let inner = content.strip_suffix(b"}")?;
    let (inner, synchronizing) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let open = memchr::memrchr(b'{', inner)?;
    let (before, digits) = (inner.get(..open)?, inner.get(open + 1..)?);
    let size = std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?
        .parse()
        .ok()?;
    (!in_quotes(before)).then_some(Marker {
        size,
        synchronizing,
        len: line.len() - open,
    })
}

fn in_quotes(before: &[u8]) -> bool {
    let mut open = false;
    let mut bytes = before.iter();
    while let Some(b) = bytes.next() {
        match b {
            b'"' => open = !open,
            b'\\' if open => {
                bytes.next();
            }
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_at_the_end_only() {
        let marker = |size, synchronizing, len| {
            Some(Marker {
                size,
                synchronizing,
                len,
            })
        };
        assert_eq!(at_end(b"a LOGIN {5}\r\n"), marker(5, true, 5));
        assert_eq!(at_end(b"a LOGIN {5+}\n"), marker(5, false, 5));
        assert_eq!(at_end(b"a LOGIN \"{5}\r\n"), None);
        assert_eq!(at_end(b"a LOGIN \"\\\"{5}\" {7}\r\n"), marker(7, true, 5));
        assert_eq!(at_end(b"a LOGIN {5} x\r\n"), None);
        assert_eq!(at_end(b"a LOGIN {}\r\n"), None);
        assert_eq!(at_end(b"a LOGIN {+5}\r\n"), None);
        assert_eq!(at_end(b"a {99999999999999999999}\r\n"), None);
    }
}
