//! Strings as IMAP writes them (RFC 9051 §4.3, §9 `nstring`).

/// Appends `NIL` or the string.
pub(crate) fn push_nstring(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => push_string(out, value),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Appends a quoted string, or a literal where 8-bit bytes or line ends need one. A NUL, which no
/// string may hold, becomes `?`.
pub(crate) fn push_string(out: &mut Vec<u8>, value: &[u8]) {
    let needs_literal = |b: &u8| *b >= 0x80 || matches!(*b, b'\r' | b'\n');
    if value.iter().any(needs_literal) {
        out.extend_from_slice(format!("{{{}}}\r\n", value.len()).as_bytes());
        out.extend(value.iter().map(|b| if *b == 0 { b'?' } else { *b }));
        return;
    }
    out.push(b'"');
    for b in value {
        match *b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *b]),
            0 => out.push(b'?'),
            b => out.push(b),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_with_quotes_is_escaped_and_with_8_bit_is_a_literal() {
        let mut out = Vec::new();
        push_string(&mut out, b"a\"b\\c");
        push_nstring(&mut out, None);
        push_string(&mut out, "é".as_bytes());
        push_string(&mut out, b"a\0");
        assert_eq!(out, "\"a\\\"b\\\\c\"NIL{2}\r\né\"a?\"".as_bytes());
    }
}
