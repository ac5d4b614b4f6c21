//! Responses, written into a buffer that the caller reuses.

mod fetch;
mod number;
mod search;

use bytes::BytesMut;

pub use fetch::FetchWriter;
pub use number::number;
pub use search::SearchWriter;

use crate::{Tag, cursor::is_astring_char, date::MONTHS};

/// Longest text written as a quoted string; a longer one is a literal.
const MAX_QUOTED: usize = 1024;

/// `nil / string`: quoted where RFC 3501 §4.3 allows it, else a literal.
pub fn string(out: &mut BytesMut, text: &[u8]) {
    let quotable = |b: &u8| (0x20..0x7f).contains(b);
    if text.len() > MAX_QUOTED || !text.iter().all(quotable) {
        literal(out, text.len() as u64);
        out.extend_from_slice(text);
        return;
    }
    out.extend_from_slice(b"\"");
    for run in text.split_inclusive(|b| matches!(b, b'"' | b'\\')) {
        match run.split_last() {
            Some((special @ (b'"' | b'\\'), plain)) => {
                out.extend_from_slice(plain);
                out.extend_from_slice(&[b'\\', *special]);
            }
            _ => out.extend_from_slice(run),
        }
    }
    out.extend_from_slice(b"\"");
}

/// A literal's announcement; its octets are the caller's to send.
pub fn literal(out: &mut BytesMut, size: u64) {
    out.extend_from_slice(b"{");
    number(out, size);
    out.extend_from_slice(b"}\r\n");
}

/// `astring`, without quotes where that can be.
pub fn astring(out: &mut BytesMut, text: &[u8]) {
    // A bare NIL could be read as none at all.
    let bare = !text.is_empty() && !text.eq_ignore_ascii_case(b"NIL");
    if bare && text.iter().all(|b| is_astring_char(*b)) {
        out.extend_from_slice(text);
    } else {
        string(out, text);
    }
}

/// A mailbox name, from UTF-8 (RFC 3501 §5.1.3).
pub fn mailbox(out: &mut BytesMut, name: &str) {
    astring(out, facteur_utf7::encode(name).as_bytes());
}

/// `date-time` (RFC 3501 §9) in UTC, with its quotes.
pub fn date_time(out: &mut BytesMut, unix_seconds: i64) {
    let timestamp = jiff::Timestamp::from_second(unix_seconds).unwrap_or_default();
    let time = jiff::tz::Offset::UTC.to_datetime(timestamp);
    // The grammar has four digits for the year.
    let year = u64::try_from(time.year()).unwrap_or(0);
    let month = usize::try_from(time.month() - 1).unwrap_or(0);
    let two = |out: &mut BytesMut, value: i8| {
        let value = u8::try_from(value).unwrap_or(0);
        out.extend_from_slice(&[b'0' + value / 10, b'0' + value % 10]);
    };
    out.extend_from_slice(b"\"");
    two(out, time.day());
    out.extend_from_slice(b"-");
    out.extend_from_slice(MONTHS.get(month).unwrap_or(&"Jan").as_bytes());
    out.extend_from_slice(b"-");
    for place in [1000, 100, 10, 1] {
        out.extend_from_slice(&[b'0' + u8::try_from(year / place % 10).unwrap_or(0)]);
    }
    for (separator, value) in [
        (b" ", time.hour()),
        (b":", time.minute()),
        (b":", time.second()),
    ] {
        out.extend_from_slice(separator);
        two(out, value);
    }
    out.extend_from_slice(b" +0000\"");
}

/// The outcome of a command (RFC 3501 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood, or not allowed now.
    Bad,
}

impl Condition {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => " OK ",
            Self::No => " NO ",
            Self::Bad => " BAD ",
        }
    }
}

/// `tag SP resp-cond-state CRLF`; untagged without a tag. `text` begins with its response code, if
/// it has one.
pub fn status(out: &mut BytesMut, tag: Option<&Tag>, condition: Condition, text: &str) {
    out.extend_from_slice(tag.map_or("*", Tag::as_str).as_bytes());
    out.extend_from_slice(condition.as_str().as_bytes());
    self::text(out, text);
    out.extend_from_slice(b"\r\n");
}

/// `text = 1*TEXT-CHAR`: what is none becomes `?`, so that no input can end a line for us.
pub fn text(out: &mut BytesMut, text: &str) {
    for run in text.split_inclusive(|c: char| !(' '..='~').contains(&c)) {
        match run.char_indices().next_back() {
            Some((at, c)) if !(' '..='~').contains(&c) => {
                out.extend_from_slice(run.get(..at).unwrap_or_default().as_bytes());
                out.extend_from_slice(b"?");
            }
            _ => out.extend_from_slice(run.as_bytes()),
        }
    }
}

/// `"*" SP number SP name CRLF`: EXISTS, RECENT, EXPUNGE.
pub fn numbered(out: &mut BytesMut, value: u32, name: &str) {
    out.extend_from_slice(b"* ");
    number(out, u64::from(value));
    out.extend_from_slice(b" ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `uid-set` of a COPYUID or a MODIFIED code (RFC 4315 §4): in the order given, runs as ranges.
pub fn number_set(out: &mut BytesMut, numbers: impl IntoIterator<Item = u32>) {
    let mut numbers = numbers.into_iter().peekable();
    let mut first = true;
    while let Some(low) = numbers.next() {
        let mut high = low;
        while let Some(next) = numbers.next_if(|next| high.checked_add(1) == Some(*next)) {
            high = next;
        }
        if !std::mem::take(&mut first) {
            out.extend_from_slice(b",");
        }
        number(out, u64::from(low));
        if high != low {
            out.extend_from_slice(b":");
            number(out, u64::from(high));
        }
    }
}

#[cfg(test)]
mod tests;
