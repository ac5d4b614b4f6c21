//! Fields of `message/delivery-status`, and what is read of the original's header.

use std::fmt::Write as _;

/// Longest line we write (RFC 5322 §2.1.1 recommends 78; its limit is 998).
const FOLD_AT: usize = 78;

/// A date-time of RFC 5322 §3.3, in UTC.
pub(crate) fn date(unix: i64) -> String {
    let timestamp = jiff::Timestamp::from_second(unix).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let zoned = timestamp.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::rfc2822::to_string(&zoned).unwrap_or_default()
}

/// Writes `name: type; value`, or `name: value` when `kind` is empty. What is not printable ASCII
/// becomes a question mark, line ends a space: a peer's text cannot add fields.
pub(crate) fn typed(out: &mut Vec<u8>, name: &str, kind: &str, value: &str) {
    let mut line = format!("{name}:");
    if !kind.is_empty() {
        let _ = write!(line, " {kind};");
    }
    for word in value.split_ascii_whitespace() {
        let mut word: &str = &printable(word);
        if line.len() + 1 + word.len() > FOLD_AT && line.len() > name.len() + 1 {
            finish(out, &mut line);
        }
        line.push(' ');
        while word.len() > 900 {
            let (head, tail) = word.split_at(900);
            line.push_str(head);
            finish(out, &mut line);
            line.push(' ');
            word = tail;
        }
        line.push_str(word);
    }
    finish(out, &mut line);
}

fn finish(out: &mut Vec<u8>, line: &mut String) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
    line.clear();
}

fn printable(word: &str) -> String {
    word.chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

/// Writes an address field: `rfc822;` as it stands, or for one with UTF-8 RFC 6533's
/// `utf-8;` in the form that is all ASCII (utf-8-addr-xtext, §3).
pub(crate) fn address(out: &mut Vec<u8>, name: &str, address: &str) {
    if address.is_ascii() {
        return typed(out, name, "rfc822", address);
    }
    let mut text = String::with_capacity(address.len() * 2);
    for c in address.chars() {
        if c.is_ascii_graphic() && !matches!(c, '+' | '=' | '\\') {
            text.push(c);
        } else {
            let _ = write!(text, "\\x{{{:X}}}", u32::from(c));
        }
    }
    typed(out, name, "utf-8", &text);
}

/// The header lines of `message`, with their CRLF, without the empty line.
pub(crate) fn header_of(message: &[u8]) -> &[u8] {
    if message.starts_with(b"\r\n") {
        return &[];
    }
    match message.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(end) => message.get(..end + 2).unwrap_or(message),
        None => message,
    }
}

/// The original's Message-ID when it is a well-formed one.
pub(crate) fn message_id_of(message: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"message-id:";
    let line = header_of(message)
        .split(|byte| *byte == b'\n')
        .find(|line| {
            line.get(..NAME.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(NAME))
        })?;
    let id = std::str::from_utf8(line.get(NAME.len()..)?).ok()?.trim();
    let inner = id.strip_prefix('<')?.strip_suffix('>')?;
    let fits = !inner.is_empty()
        && inner.len() <= 250
        && inner
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
    fits.then_some(id)
}
