//! Search keys, ready to be judged.

use std::time::SystemTime;

use facteur_imap::{DateField, HeaderField, SearchDate, SearchKey, SizeOrder};
use facteur_model::{Flag, InternalDate, Keyword, UidSet};
use mail_parser::decoders::charsets::map::charset_decoder;

use super::needle::Needle;
use crate::{outcome::Reply, selected::Selected};

const DAY: i64 = 24 * 3600;

/// A search key whose arguments are resolved.
#[derive(Debug)]
pub(super) enum Key {
    Known(bool),
    And(Vec<Key>),
    Or(Box<(Key, Key)>),
    Not(Box<Key>),
    Uids(UidSet),
    Flag(Flag),
    Recent,
    Keyword(Keyword),
    Larger(u64),
    Smaller(u64),
    /// INTERNALDATE within these Unix seconds: from the first, before the second.
    Arrived(i64, i64),
    /// The Date field within these days since 1970.
    Sent(i64, i64),
    ModSeq(u64),
    Envelope(HeaderField, Needle),
    Header(String, Needle),
    Body(Needle),
    Text(Needle),
}

/// Whether the response tells a MODSEQ (RFC 7162 §3.1.5).
pub(super) fn uses_modseq(key: &SearchKey) -> bool {
    match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::And(keys) => keys.iter().any(uses_modseq),
        SearchKey::Or(both) => uses_modseq(&both.0) || uses_modseq(&both.1),
        SearchKey::Not(key) => uses_modseq(key),
        _ => false,
    }
}

/// Makes UTF-8 of another charset.
type Decode = fn(&[u8]) -> String;

/// What a key is compiled with.
struct Compiler<'a> {
    charset: Option<Decode>,
    selected: &'a Selected,
    now: i64,
}

impl Key {
    /// Resolves a key.
    ///
    /// # Errors
    /// `[BADCHARSET]`, or a sequence number that no message has.
    pub(super) fn compile(
        key: SearchKey,
        charset: Option<&str>,
        selected: &Selected,
        now: SystemTime,
    ) -> Result<Self, Reply> {
        let compiler = Compiler {
            charset: charset.map(decoder).transpose()?.flatten(),
            selected,
            now: InternalDate::from(now).unix(),
        };
        compiler.compile(key)
    }

    /// How many keys there are to judge.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::And(keys) => keys.iter().map(Self::count).sum::<usize>() + 1,
            Self::Or(both) => both.0.count() + both.1.count() + 1,
            Self::Not(key) => key.count() + 1,
            _ => 1,
        }
    }

    /// Whether more than the header of a message may be asked for.
    pub(super) fn uses_body(&self) -> bool {
        match self {
            Self::Body(_) | Self::Text(_) => true,
            Self::And(keys) => keys.iter().any(Self::uses_body),
            Self::Or(both) => both.0.uses_body() || both.1.uses_body(),
            Self::Not(key) => key.uses_body(),
            _ => false,
        }
    }

    /// Adds the header fields that are asked for.
    pub(super) fn add_header_fields(&self, fields: &mut Vec<String>) {
        match self {
            Self::Header(field, _) => fields.push(field.clone()),
            Self::And(keys) => keys.iter().for_each(|key| key.add_header_fields(fields)),
            Self::Or(both) => {
                both.0.add_header_fields(fields);
                both.1.add_header_fields(fields);
            }
            Self::Not(key) => key.add_header_fields(fields),
            _ => {}
        }
    }

    /// Whether an envelope can decide something.
    pub(super) fn uses_envelope(&self) -> bool {
        match self {
            Self::Envelope(..) | Self::Sent(..) => true,
            Self::And(keys) => keys.iter().any(Self::uses_envelope),
            Self::Or(both) => both.0.uses_envelope() || both.1.uses_envelope(),
            Self::Not(key) => key.uses_envelope(),
            _ => false,
        }
    }
}

/// How strings of this charset become UTF-8; none where they are.
fn decoder(name: &str) -> Result<Option<Decode>, Reply> {
    if ["UTF-8", "US-ASCII"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
    {
        return Ok(None);
    }
    match charset_decoder(name.as_bytes()) {
        Some(decoder) => Ok(Some(decoder)),
        None => Err(Reply::no("[BADCHARSET (US-ASCII UTF-8)] Unknown charset")),
    }
}

impl Compiler<'_> {
    fn compile(&self, key: SearchKey) -> Result<Key, Reply> {
        Ok(match key {
            SearchKey::All => Key::Known(true),
            SearchKey::And(keys) => {
                let keys: Result<_, _> = keys.into_iter().map(|key| self.compile(key)).collect();
                Key::And(keys?)
            }
            SearchKey::Or(both) => {
                let (left, right) = *both;
                Key::Or(Box::new((self.compile(left)?, self.compile(right)?)))
            }
            SearchKey::Not(key) => Key::Not(Box::new(self.compile(*key)?)),
            SearchKey::Sequence(set) => Key::Uids(self.selected.uids(&set, false)?),
            SearchKey::Uid(set) => Key::Uids(self.selected.uids(&set, true)?),
            SearchKey::Flag(name) => Flag::parse(name).map_or(Key::Known(false), Key::Flag),
            SearchKey::Recent => Key::Recent,
            // A keyword that cannot be is on no message.
            SearchKey::Keyword(name) => {
                Keyword::parse(&name).map_or(Key::Known(false), Key::Keyword)
            }
            SearchKey::Size(SizeOrder::Larger, size) => Key::Larger(u64::from(size)),
            SearchKey::Size(SizeOrder::Smaller, size) => Key::Smaller(u64::from(size)),
            SearchKey::Date(field, order, date) => dated(field, order, date),
            SearchKey::Older(seconds) => {
                // RFC 5032 §2: at least so many seconds ago.
                Key::Arrived(i64::MIN, self.now - i64::from(seconds) + 1)
            }
            SearchKey::Younger(seconds) => Key::Arrived(self.now - i64::from(seconds), i64::MAX),
            SearchKey::ModSeq(modseq) => Key::ModSeq(modseq),
            SearchKey::Envelope(field, text) => Key::Envelope(field, self.needle(&text)),
            SearchKey::Header(field, text) => Key::Header(field, self.needle(&text)),
            SearchKey::Body(text) => Key::Body(self.needle(&text)),
            SearchKey::Text(text) => Key::Text(self.needle(&text)),
        })
    }

    /// Without a charset, UTF-8 is taken for what many clients mean.
    fn needle(&self, text: &[u8]) -> Needle {
        match self.charset {
            Some(decode) => Needle::new(&decode(text)),
            None => Needle::new(&String::from_utf8_lossy(text)),
        }
    }
}

fn dated(field: DateField, order: SearchDate, date: jiff::civil::Date) -> Key {
    let day = days(date);
    let (from, until) = match order {
        SearchDate::Before => (i64::MIN, day),
        SearchDate::On => (day, day + 1),
        SearchDate::Since => (day, i64::MAX),
    };
    match field {
        DateField::Sent => Key::Sent(from, until),
        // INTERNALDATE is told in UTC, so that its days are UTC's.
        DateField::Internal => Key::Arrived(from.saturating_mul(DAY), until.saturating_mul(DAY)),
    }
}

/// Days since 1970.
pub(super) fn days(date: jiff::civil::Date) -> i64 {
    let midnight = date.at(0, 0, 0, 0);
    let seconds = jiff::tz::Offset::UTC.to_timestamp(midnight);
    seconds.map_or(0, |time| time.as_second().div_euclid(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc_days() {
        let day = jiff::civil::Date::new(1994, 2, 1).unwrap();
        assert_eq!(days(day), 8797);
        assert!(matches!(
            dated(DateField::Internal, SearchDate::On, day),
            Key::Arrived(760_060_800, 760_147_200)
        ));
        assert!(matches!(
            dated(DateField::Sent, SearchDate::Before, day),
            Key::Sent(i64::MIN, 8797)
        ));
    }

    #[test]
    fn charsets_are_known_or_refused() {
        assert!(decoder("utf-8").unwrap().is_none());
        assert_eq!(
            decoder("iso-8859-1").unwrap().unwrap()(b"caf\xe9"),
            "caf\u{e9}"
        );
        assert!(decoder("x-nonsense").is_err());
        assert!(decoder("").is_err());
    }
}
