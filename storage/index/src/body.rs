//! BODY's value out of BODYSTRUCTURE's: the same without extension data (RFC 9051 §7.5.2).
//!
//! Both are asked for, and the longer holds the shorter: so only one is stored. What writes them
//! (`facteur-message`) nests no deeper than it bounds; what is read here goes no deeper either.

/// Deeper than any structure that is written.
const MAX_DEPTH: usize = 256;

/// Replaces `out` by BODY's value. `None` when `structure` is not as the grammar wants it.
pub(crate) fn of_structure(structure: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    let mut input = structure;
    body(&mut input, out, MAX_DEPTH)?;
    input.is_empty().then_some(())
}

/// One `body`, with its parentheses.
fn body(input: &mut &[u8], out: &mut Vec<u8>, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    copy(input, out, 1).filter(|byte| byte == b"(")?;
    if input.first() == Some(&b'(') {
        while input.first() == Some(&b'(') {
            body(input, out, depth)?;
        }
        element(input, out)?;
    } else {
        single(input, out, depth)?;
    }
    // The rest is extension data.
    while input.first() == Some(&b' ') {
        *input = input.get(1..)?;
        let len = element_len(input)?;
        *input = input.get(len..)?;
    }
    copy(input, out, 1).filter(|byte| byte == b")").map(|_| ())
}

/// `body-type-basic`, `body-type-msg` or `body-type-text` up to its extension data.
fn single(input: &mut &[u8], out: &mut Vec<u8>, depth: usize) -> Option<()> {
    let kind = copy_value(input, out)?;
    let subtype = element(input, out)?;
    // Parameters, id, description, encoding, octets.
    for _ in 0..5 {
        element(input, out)?;
    }
    let is = |text: &[u8], word: &[u8]| text.eq_ignore_ascii_case(word);
    if is(kind, b"\"text\"") {
        element(input, out)?;
    } else if is(kind, b"\"message\"")
        && (is(subtype, b"\"rfc822\"") || is(subtype, b"\"global\""))
        && input.starts_with(b" (")
    {
        element(input, out)?;
        copy(input, out, 1).filter(|byte| byte == b" ")?;
        body(input, out, depth)?;
        element(input, out)?;
    }
    Some(())
}

/// Copies a space and the value after it, which is returned.
fn element<'a>(input: &mut &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    copy(input, out, 1).filter(|byte| byte == b" ")?;
    copy_value(input, out)
}

fn copy_value<'a>(input: &mut &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let len = element_len(input)?;
    copy(input, out, len)
}

fn copy<'a>(input: &mut &'a [u8], out: &mut Vec<u8>, len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(len)?;
    out.extend_from_slice(taken);
    *input = rest;
    Some(taken)
}

/// How long the value is that `input` begins with: a string, a number, NIL, or a list with all that
/// is in it.
fn element_len(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut open = 0usize;
    loop {
        match input.get(at)? {
            b'"' => at += quoted_len(input.get(at..)?)?,
            b'{' => at += literal_len(input.get(at..)?)?,
            b'(' => {
                open += 1;
                at += 1;
                continue;
            }
            b')' => {
                open = open.checked_sub(1)?;
                at += 1;
            }
            b' ' if open > 0 => {
                at += 1;
                continue;
            }
            byte if byte.is_ascii_alphanumeric() => {
                let rest = input.get(at..)?;
                at += rest
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric())
                    .count();
            }
            _ => return None,
        }
        if open == 0 {
            return Some(at);
        }
    }
}

fn quoted_len(input: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match input.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn literal_len(input: &[u8]) -> Option<usize> {
    let digits = input.get(1..)?.iter().take_while(|b| b.is_ascii_digit());
    let digits = digits.count();
    let number = std::str::from_utf8(input.get(1..1 + digits)?).ok()?;
    let head = 1 + digits + 3;
    (input.get(1 + digits..head)? == b"}\r\n").then_some(())?;
    let len = head.checked_add(number.parse().ok()?)?;
    (len <= input.len()).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn derived(structure: &str) -> Option<String> {
        let mut out = Vec::new();
        of_structure(structure.as_bytes(), &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn extension_data_is_left_out_at_every_level() {
        let text = r#"("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL "a \") b" "7BIT" 12 3"#;
        let basic = r#"("IMAGE" "PNG" NIL NIL NIL "BASE64" 12"#;
        let extension = r#" NIL ("attachment" ("filename" "x (1).png")) NIL NIL"#;
        let message = |inner: &str, end: &str| {
            format!(
                r#"("message" "rfc822" NIL NIL NIL "8bit" 99 (NIL {{4}}{}NIL"x NIL) {inner} 7{end})"#,
                "\r\n"
            )
        };
        let whole = |extension: &str| {
            let inner = format!("({text}{extension}){basic}{extension}) \"mixed\"{extension})");
            format!(
                "({}({inner} \"mixed\"{extension})",
                message(&inner[..], extension)
            )
        };
        for (structure, body) in [
            (format!("{text}{extension})"), format!("{text})")),
            (format!("{basic}{extension})"), format!("{basic})")),
            (
                message(&format!("{text}{extension})"), extension),
                message(&format!("{text})"), ""),
            ),
            (
                format!(
                    "({text}{extension}){basic}{extension}) \"MIXED\" (\"B\" \"x\"){extension})"
                ),
                format!("({text}){basic}) \"MIXED\")"),
            ),
        ] {
            assert_eq!(
                derived(&structure).as_deref(),
                Some(&body[..]),
                "{structure}"
            );
        }
        assert_eq!(derived(&whole("")), None, "too many parentheses");
        // A message that is not looked into is like any other part.
        let opaque = r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 12"#;
        assert_eq!(
            derived(&format!("{opaque} NIL NIL)")),
            Some(format!("{opaque})"))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(input in prop::collection::vec(prop::sample::select(b"()\" {}4NIL\r\n\\x".to_vec()), 0..200)) {
            let mut out = Vec::new();
            if of_structure(&input, &mut out).is_some() {
                prop_assert!(out.len() <= input.len());
            }
        }
    }
}
