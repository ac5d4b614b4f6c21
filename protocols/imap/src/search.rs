//! SEARCH and UID SEARCH.

use jiff::civil::Date;

use crate::{
    SequenceSet,
    cursor::{Cursor, Malformed, Parsed},
    date,
};

/// `search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)` (RFC 3501 §6.4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Whether the answer is UIDs.
    pub uid: bool,
    /// The charset of the strings; `None` is US-ASCII.
    pub charset: Option<String>,
    /// What all of the messages found fulfil.
    pub key: SearchKey,
}

/// `search-key` (RFC 3501 §9, RFC 5032 §5, RFC 7162 §3.1.5). Keys that only abbreviate others are
/// resolved: `NEW` is `RECENT UNSEEN`, `SEEN` is a flag, `UNSEEN` its negation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`
    All,
    /// All of these; a list in brackets, or the command's own.
    And(Vec<SearchKey>),
    /// `OR`
    Or(Box<(SearchKey, SearchKey)>),
    /// `NOT`
    Not(Box<SearchKey>),
    /// Sequence numbers.
    Sequence(SequenceSet),
    /// `UID`
    Uid(SequenceSet),
    /// A system flag with its backslash: `ANSWERED`, `DELETED`, …
    Flag(&'static str),
    /// `RECENT`
    Recent,
    /// `KEYWORD`
    Keyword(String),
    /// `LARGER`, `SMALLER`
    Size(SizeOrder, u32),
    /// `BEFORE`, `ON`, `SINCE` and the same with `SENT`
    Date(DateField, SearchDate, Date),
    /// `OLDER`: at least this many seconds (RFC 5032 §2)
    Older(u32),
    /// `YOUNGER`: at most
    Younger(u32),
    /// `MODSEQ`: at least this (RFC 7162 §3.1.5)
    ModSeq(u64),
    /// `FROM`, `TO`, `CC`, `BCC`, `SUBJECT`
    Envelope(HeaderField, Vec<u8>),
    /// `HEADER`: the field holds the text; an empty text asks whether the field is there.
    Header(String, Vec<u8>),
    /// `BODY`
    Body(Vec<u8>),
    /// `TEXT`: header or body
    Text(Vec<u8>),
}

/// Which way a size is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeOrder {
    /// `LARGER`
    Larger,
    /// `SMALLER`
    Smaller,
}

/// Which date of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateField {
    /// INTERNALDATE
    Internal,
    /// The Date field
    Sent,
}

/// How a date is compared, without regard to time and zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchDate {
    /// Earlier than the day.
    Before,
    /// Within the day.
    On,
    /// Within or later than the day.
    Since,
}

/// A field of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderField {
    /// `FROM`
    From,
    /// `TO`
    To,
    /// `CC`
    Cc,
    /// `BCC`
    Bcc,
    /// `SUBJECT`
    Subject,
}

/// How deep `NOT`, `OR` and brackets may nest: clients chain a hundred ORs, nobody a thousand.
const MAX_DEPTH: usize = 256;

pub(crate) fn parse(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Search> {
    cursor.space()?;
    let mut charset = None;
    if cursor.take_text("CHARSET ") {
        let name = cursor.astring()?;
        let name = std::str::from_utf8(&name).map_err(|_| Malformed("a charset's name"))?;
        charset = Some(name.to_owned());
        cursor.space()?;
    }
    let mut keys = vec![key(cursor, 0)?];
    while !cursor.rest().is_empty() {
        cursor.space()?;
        // Clients that end with a space are common enough.
        if cursor.rest().is_empty() {
            break;
        }
        keys.push(key(cursor, 0)?);
    }
    let key = match keys.pop() {
        Some(only) if keys.is_empty() => only,
        Some(last) => {
            keys.push(last);
            SearchKey::And(keys)
        }
        None => SearchKey::All,
    };
    Ok(Search { uid, charset, key })
}

fn key(cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
    if depth > MAX_DEPTH {
        return Err(Malformed("search keys nested less deeply"));
    }
    if SequenceSet::begins(cursor) {
        return SequenceSet::take(cursor).map(SearchKey::Sequence);
    }
    if cursor.take_if(b'(') {
        let mut keys = vec![key(cursor, depth + 1)?];
        while !cursor.take_if(b')') {
            cursor.space()?;
            keys.push(key(cursor, depth + 1)?);
        }
        return Ok(SearchKey::And(keys));
    }
    let name = cursor.atom("a search key")?.to_ascii_uppercase();
    match name.as_str() {
        "NOT" => {
            cursor.space()?;
            Ok(not(key(cursor, depth + 1)?))
        }
        "OR" => {
            cursor.space()?;
            let left = key(cursor, depth + 1)?;
            cursor.space()?;
            let right = key(cursor, depth + 1)?;
            Ok(SearchKey::Or(Box::new((left, right))))
        }
        name => match flag_key(name) {
            Some(key) => Ok(key),
            None => argument_key(cursor, name),
        },
    }
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

fn flag_key(name: &str) -> Option<SearchKey> {
    use SearchKey::{All, And, Flag, Recent};
    Some(match name {
        "ALL" => All,
        "ANSWERED" => Flag("\\Answered"),
        "DELETED" => Flag("\\Deleted"),
        "DRAFT" => Flag("\\Draft"),
        "FLAGGED" => Flag("\\Flagged"),
        "SEEN" => Flag("\\Seen"),
        "UNANSWERED" => not(Flag("\\Answered")),
        "UNDELETED" => not(Flag("\\Deleted")),
        "UNDRAFT" => not(Flag("\\Draft")),
        "UNFLAGGED" => not(Flag("\\Flagged")),
        "UNSEEN" => not(Flag("\\Seen")),
        "RECENT" => Recent,
        "OLD" => not(Recent),
        "NEW" => And(vec![Recent, not(Flag("\\Seen"))]),
        _ => return None,
    })
}

fn argument_key(cursor: &mut Cursor<'_>, name: &str) -> Parsed<SearchKey> {
    use SearchKey::{Body, Envelope, Header, Keyword, Older, Size, Text, Uid, Younger};
    const UNKNOWN: Malformed = Malformed("a search key that this server has");
    cursor.space().map_err(|_| UNKNOWN)?;
    let text = |cursor: &mut Cursor<'_>| cursor.astring().map(std::borrow::Cow::into_owned);
    Ok(match name {
        "FROM" => Envelope(HeaderField::From, text(cursor)?),
        "TO" => Envelope(HeaderField::To, text(cursor)?),
        "CC" => Envelope(HeaderField::Cc, text(cursor)?),
        "BCC" => Envelope(HeaderField::Bcc, text(cursor)?),
        "SUBJECT" => Envelope(HeaderField::Subject, text(cursor)?),
        "BODY" => Body(text(cursor)?),
        "TEXT" => Text(text(cursor)?),
        "HEADER" => {
            let field =
                String::from_utf8(text(cursor)?).map_err(|_| Malformed("a header field's name"))?;
            cursor.space()?;
            Header(field, text(cursor)?)
        }
        "KEYWORD" => Keyword(cursor.atom("a keyword")?.to_owned()),
        "UNKEYWORD" => not(Keyword(cursor.atom("a keyword")?.to_owned())),
        "UID" => Uid(SequenceSet::take(cursor)?),
        "LARGER" => Size(SizeOrder::Larger, cursor.number()?),
        "SMALLER" => Size(SizeOrder::Smaller, cursor.number()?),
        "OLDER" => Older(interval(cursor)?),
        "YOUNGER" => Younger(interval(cursor)?),
        "MODSEQ" => mod_seq(cursor)?,
        name => {
            let (field, order) = date_key(name).ok_or(UNKNOWN)?;
            SearchKey::Date(field, order, date::date(cursor)?)
        }
    })
}

/// The interval of OLDER and YOUNGER is an `nz-number` (RFC 5032 §5).
fn interval(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    match cursor.number()? {
        0 => Err(Malformed("an interval above 0 seconds")),
        seconds => Ok(seconds),
    }
}

fn date_key(name: &str) -> Option<(DateField, SearchDate)> {
    let (field, order) = match name.strip_prefix("SENT") {
        Some(order) => (DateField::Sent, order),
        None => (DateField::Internal, name),
    };
    let order = match order {
        "BEFORE" => SearchDate::Before,
        "ON" => SearchDate::On,
        "SINCE" => SearchDate::Since,
        _ => return None,
    };
    Some((field, order))
}

/// `"MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer` (RFC 7162 §7). We keep one
/// sequence per message, so that the entry says nothing: RFC 7162 §3.1.5 lets us ignore it.
fn mod_seq(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    if cursor.peek() == Some(b'"') {
        cursor.string()?;
        cursor.space()?;
        let kind = cursor.atom("priv, shared or all")?;
        if !["priv", "shared", "all"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(kind))
        {
            return Err(Malformed("priv, shared or all"));
        }
        cursor.space()?;
    }
    cursor.number64().map(SearchKey::ModSeq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use SearchKey::*;

    fn search(text: &str) -> Parsed<Search> {
        parse(&mut Cursor::new(text.as_bytes()), false)
    }

    fn key_of(text: &str) -> SearchKey {
        search(&format!(" {text}")).unwrap().key
    }

    #[test]
    fn rfc3501_6_4_4_examples() {
        assert_eq!(
            key_of("FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\""),
            And(vec![
                Flag("\\Flagged"),
                Date(
                    DateField::Internal,
                    SearchDate::Since,
                    jiff::civil::Date::new(1994, 2, 1).unwrap()
                ),
                not(Envelope(HeaderField::From, b"Smith".to_vec())),
            ])
        );
        let search = search(" CHARSET UTF-8 TEXT {6}\r\nXXXXXX").unwrap();
        assert_eq!(search.charset.as_deref(), Some("UTF-8"));
        assert_eq!(search.key, Text(b"XXXXXX".to_vec()));
    }

    #[test]
    fn rfc7162_3_1_5_examples() {
        assert_eq!(
            key_of("MODSEQ \"/flags/\\\\draft\" all 620162338"),
            ModSeq(620_162_338)
        );
        assert_eq!(key_of("MODSEQ 0"), ModSeq(0));
    }

    #[test]
    fn nested_keys_keep_their_shape() {
        assert_eq!(
            key_of("OR NOT SEEN (1:3 UID 5 OLDER 60) UNKEYWORD $Junk"),
            And(vec![
                Or(Box::new((
                    not(Flag("\\Seen")),
                    And(vec![
                        Sequence(SequenceSet::take(&mut Cursor::new(b"1:3")).unwrap()),
                        Uid(SequenceSet::take(&mut Cursor::new(b"5")).unwrap()),
                        Older(60),
                    ]),
                ))),
                not(Keyword("$Junk".into())),
            ])
        );
    }

    #[test]
    fn keys_nested_a_thousand_deep_are_refused() {
        assert!(search(&format!(" {}SEEN", "NOT ".repeat(100))).is_ok());
        assert!(search(&format!(" {}SEEN", "NOT ".repeat(1000))).is_err());
        assert!(search(&format!(" {}SEEN", "(".repeat(1000))).is_err());
        assert!(search(&format!(" {}", "OR ".repeat(20_000))).is_err());
    }

    #[test]
    fn malformed_searches_are_refused() {
        for text in [
            "",
            " ",
            " FOO",
            " FOO bar",
            " FROM",
            " OR SEEN",
            " NOT",
            " ()",
            " (SEEN",
            " SEEN)",
            " SINCE yesterday",
            " LARGER -1",
            " YOUNGER 0",
            " UID 0",
            " KEYWORD \"a\"",
            " CHARSET UTF-8",
            " FROM \"a",
            " MODSEQ \"/flags/x\" some 1",
        ] {
            assert!(search(text).is_err(), "{text}");
        }
    }
}
