//! Where sieve-rs 0.7 reads a script otherwise than the RFCs do, the script is put into other words
//! before it gets it. Lines stay what they are, so that its errors name the right one.
//!
//! - A `keep` is undone by a `discard` or `fileinto` after it, as if it had been implicit (RFC 5228
//!   §4.3, §4.4 let only the implicit keep be cancelled). It becomes a `fileinto` of [`KEEP`].
//! - The question that `duplicate` asks could be mistaken for `vacation`'s, which a Message-ID could
//!   be made up for. A `duplicate` without a handle gets one (RFC 7352 §3.1).
//! - `\n`, `\r` and `\t` in a quoted string become control characters, two escaped backslashes
//!   become three, and a string that ends in one does not end (RFC 5228 §2.4.2).
//! - `${…}` is expanded even when neither `variables` nor `encoded-character` is required (RFC 5229
//!   §3, RFC 5228 §2.4.2.4).

use super::{
    lexer::{Kind, Token},
    script::begins_command,
};

/// The folder by which [`super::run`] recognises an explicit `keep`. No mailbox has such a name.
pub(super) const KEEP: &str = "\u{1}keep";

/// The handle of a `duplicate` that has none.
const HANDLE: &str = "\u{1}";

/// `text` in words that sieve-rs understands as meant. `has` tells what the script requires.
pub(super) fn for_sieve_rs(
    text: &[u8],
    tokens: &[Token<'_>],
    has: &dyn Fn(&str) -> bool,
) -> Vec<u8> {
    let literal_dollar = !has("variables") && !has("encoded-character");
    let mut edits: Vec<(usize, usize, Vec<u8>)> = Vec::new();
    let mut keeps = false;
    for (index, token) in tokens.iter().enumerate() {
        let replacement = match &token.kind {
            Kind::Identifier(_)
                if token.kind.is_identifier("keep") && begins_command(tokens, index) =>
            {
                let rest = tokens.iter().skip(index + 1);
                let mut rest =
                    rest.skip_while(|t| !matches!(t.kind, Kind::Mark(b';' | b'{' | b'}')));
                match rest.next() {
                    Some(end) if end.kind == Kind::Mark(b';') => {
                        keeps = true;
                        edits.push((end.start, end.start, format!(" \"{KEEP}\"").into_bytes()));
                        Some(b"fileinto".to_vec())
                    }
                    _ => None,
                }
            }
            Kind::Identifier(_)
                if token.kind.is_identifier("duplicate") && !has_handle(tokens, index) =>
            {
                Some(format!("duplicate :handle \"{HANDLE}\"").into_bytes())
            }
            Kind::Quoted(raw) => quoted(raw, &token.kind, literal_dollar),
            Kind::MultiLine(raw) if literal_dollar && has_reference(raw) => multi_line(&token.kind),
            _ => None,
        };
        if let Some(replacement) = replacement {
            edits.push((token.start, token.end, replacement));
        }
    }
    edits.sort_by_key(|(start, end, _)| (*start, *end));
    let mut out = Vec::with_capacity(text.len() + 64);
    if keeps {
        out.extend_from_slice(b"require \"fileinto\";");
    }
    let mut at = 0;
    for (start, end, replacement) in edits {
        out.extend_from_slice(text.get(at..start).unwrap_or_default());
        out.extend_from_slice(&replacement);
        at = end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out
}

/// Whether the `duplicate` at `index` has a `:handle` among its arguments.
fn has_handle(tokens: &[Token<'_>], index: usize) -> bool {
    let arguments = tokens.iter().skip(index + 1);
    arguments
        .take_while(|token| !matches!(token.kind, Kind::Mark(_) | Kind::Identifier(_)))
        .any(|token| matches!(token.kind, Kind::Tag(tag) if tag.eq_ignore_ascii_case("handle")))
}

fn has_reference(raw: &[u8]) -> bool {
    raw.windows(2).any(|pair| pair == b"${" || pair == b"%{")
}

fn quoted(raw: &[u8], kind: &Kind<'_>, literal_dollar: bool) -> Option<Vec<u8>> {
    let reference = literal_dollar && has_reference(raw);
    if !reference && !raw.contains(&b'\\') {
        return None;
    }
    let value = kind.string()?;
    if !reference && as_sieve_rs_reads(raw).as_ref() == Some(&value) {
        return None;
    }
    quote(&value, literal_dollar)
}

fn multi_line(kind: &Kind<'_>) -> Option<Vec<u8>> {
    let mut out = b"\n".to_vec();
    out.extend(quote(&kind.string()?, true)?);
    out.push(b'\n');
    Some(out)
}

/// `value` as a quoted string that sieve-rs reads back. A backslash has no form of its own there;
/// an encoded character does, which in turn makes `${` special. `None` when both are needed.
fn quote(value: &[u8], literal_dollar: bool) -> Option<Vec<u8>> {
    if literal_dollar && value.contains(&b'\\') && has_reference(value) {
        return None;
    }
    let mut out = Vec::with_capacity(value.len() + 16);
    out.push(b'"');
    let mut last = 0;
    for &byte in value {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"${hex:5c}"),
            // A backslash that is dropped again keeps the two apart.
            b'{' if literal_dollar && matches!(last, b'$' | b'%') => out.extend_from_slice(b"\\{"),
            byte => out.push(byte),
        }
        last = byte;
    }
    out.push(b'"');
    Some(out)
}

/// What sieve-rs makes of a quoted string; `None` when it would not see its end.
fn as_sieve_rs_reads(raw: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(raw.len());
    let mut last = b'"';
    for &byte in raw {
        match byte {
            b'\\' if last == b'\\' => value.push(byte),
            b'\\' => {}
            b'n' if last == b'\\' => value.push(b'\n'),
            b'r' if last == b'\\' => value.push(b'\r'),
            b't' if last == b'\\' => value.push(b'\t'),
            byte => value.push(byte),
        }
        last = byte;
    }
    (last != b'\\').then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sieve::lexer::tokens;

    fn rewritten(script: &str, requires: &[&str]) -> String {
        let tokens = tokens(script.as_bytes()).unwrap();
        let out = for_sieve_rs(script.as_bytes(), &tokens, &|name| requires.contains(&name));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn explicit_keep_becomes_a_fileinto_on_its_line() {
        assert_eq!(
            rewritten("# a\nif true {\nKeep :flags \"x\"; }", &[]),
            "require \"fileinto\";# a\nif true {\nfileinto :flags \"x\" \"\u{1}keep\"; }"
        );
    }

    #[test]
    fn strings_that_both_read_alike_stay_as_they_are() {
        for script in ["\"a\\\"b\"", "\"\\\\.x\"", "\"${a}\"", "text:\n${a}\n.\n"] {
            assert_eq!(rewritten(script, &["variables"]), script);
        }
    }

    #[test]
    fn backslashes_that_sieve_rs_misreads_are_encoded() {
        assert_eq!(rewritten(r#""a\\" "b""#, &[]), r#""a${hex:5c}" "b""#);
        assert_eq!(rewritten(r#""\\n""#, &[]), r#""${hex:5c}n""#);
        assert_eq!(rewritten(r#""\n""#, &[]), r#""n""#);
    }

    #[test]
    fn references_without_variables_are_literal() {
        assert_eq!(rewritten("\"${a}\"", &[]), "\"$\\{a}\"");
        assert_eq!(
            rewritten("text:\n\"${a}\"\n.\n;", &[]),
            "\n\"\\\"$\\{a}\\\"\n\"\n;"
        );
    }
}
