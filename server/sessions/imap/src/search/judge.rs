//! Whether a message fulfils a key, as far as it can be told by what is at hand.

use facteur_imap::HeaderField;
use facteur_model::UidSet;
use facteur_store::{MessageState, Snapshot, StoreError};
use mail_parser::DateTime;

use super::{
    content::{Content, decoded, field_has},
    key::{Key, days},
    needle::Needle,
};
use crate::envelope::{Address, Envelope};

/// What the snapshot tells of a message.
pub(super) struct Known<'a> {
    message: &'a MessageState,
    snapshot: &'a Snapshot,
    recent: &'a UidSet,
    /// The lines of all header fields that the key names, where they are at hand.
    lines: Option<&'a [u8]>,
}

impl<'a> Known<'a> {
    pub(super) fn new(
        message: &'a MessageState,
        snapshot: &'a Snapshot,
        recent: &'a UidSet,
    ) -> Self {
        Self {
            message,
            snapshot,
            recent,
            lines: None,
        }
    }

    pub(super) fn with_lines(self, lines: Option<&'a [u8]>) -> Self {
        Self { lines, ..self }
    }
}

/// The verdict; `None` when it takes an envelope, header lines or a content that are not given.
pub(super) fn judge(
    key: &Key,
    known: &Known<'_>,
    envelope: Option<&Envelope<'_>>,
    content: Option<&mut Content>,
) -> Result<Option<bool>, StoreError> {
    match key {
        Key::And(keys) => all(keys.iter(), true, known, envelope, content),
        Key::Or(both) => all(
            [&both.0, &both.1].into_iter(),
            false,
            known,
            envelope,
            content,
        ),
        Key::Not(key) => {
            let verdict = judge(key, known, envelope, content)?;
            Ok(verdict.map(|verdict| !verdict))
        }
        Key::Sent(from, until) => Ok(envelope
            .map(|envelope| sent_day(envelope).is_some_and(|day| (*from..*until).contains(&day)))),
        Key::Envelope(field, needle) => Ok(envelope.map(|e| in_envelope(e, *field, needle))),
        Key::Header(field, needle) => match known.lines {
            Some(lines) => Ok(Some(field_has(lines, field, needle))),
            None => content
                .map(|content| content.header_has(field, needle))
                .transpose(),
        },
        Key::Body(needle) => content.map(|content| content.body_has(needle)).transpose(),
        Key::Text(needle) => content.map(|content| content.has(needle)).transpose(),
        key => Ok(Some(by_state(key, known))),
    }
}

/// AND (`stop` on false) and OR (`stop` on true): the cheap ones first, so that nothing is opened
/// that need not be.
fn all<'k>(
    keys: impl Iterator<Item = &'k Key> + Clone,
    and: bool,
    known: &Known<'_>,
    envelope: Option<&Envelope<'_>>,
    mut content: Option<&mut Content>,
) -> Result<Option<bool>, StoreError> {
    let mut open = false;
    for key in keys.clone() {
        match judge(key, known, envelope, None)? {
            Some(verdict) if verdict != and => return Ok(Some(verdict)),
            Some(_) => {}
            None => open = true,
        }
    }
    if !open {
        return Ok(Some(and));
    }
    let Some(content) = content.as_mut() else {
        return Ok(None);
    };
    for key in keys {
        match judge(key, known, envelope, Some(content))? {
            Some(verdict) if verdict != and => return Ok(Some(verdict)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
    Ok(Some(and))
}

fn by_state(key: &Key, known: &Known<'_>) -> bool {
    let message = known.message;
    match key {
        Key::Known(verdict) => *verdict,
        Key::Uids(uids) => uids.contains(message.uid),
        Key::Flag(flag) => message.flags.contains(*flag),
        Key::Recent => known.recent.contains(message.uid),
        Key::Keyword(keyword) => known.snapshot.keywords(message.keywords).contains(keyword),
        Key::Larger(size) => message.size > *size,
        Key::Smaller(size) => message.size < *size,
        Key::Arrived(from, until) => (*from..*until).contains(&message.internal_date.unix()),
        Key::ModSeq(modseq) => message.modseq.value() >= *modseq,
        _ => false,
    }
}

/// The day the Date field names, in its own zone (RFC 3501 §6.4.4: "disregarding time and
/// timezone").
fn sent_day(envelope: &Envelope<'_>) -> Option<i64> {
    let text = String::from_utf8_lossy(envelope.date.as_deref()?);
    let date = DateTime::parse_rfc822(&text)?;
    let date = jiff::civil::Date::new(
        i16::try_from(date.year).ok()?,
        i8::try_from(date.month).ok()?,
        i8::try_from(date.day).ok()?,
    );
    date.ok().map(days)
}

fn in_envelope(envelope: &Envelope<'_>, field: HeaderField, needle: &Needle) -> bool {
    let addresses = match field {
        HeaderField::From => &envelope.from,
        HeaderField::To => &envelope.to,
        HeaderField::Cc => &envelope.cc,
        HeaderField::Bcc => &envelope.bcc,
        HeaderField::Subject => {
            return envelope
                .subject
                .as_deref()
                .is_some_and(|subject| needle.is_in(&decoded(subject)));
        }
    };
    match needle.is_empty() {
        true => !addresses.is_empty(),
        false => addresses.iter().any(|address| in_address(address, needle)),
    }
}

/// In an address as people write it: `name <mailbox@host>`.
fn in_address(address: &Address<'_>, needle: &Needle) -> bool {
    let text = |part: &Option<std::borrow::Cow<'_, [u8]>>| {
        String::from_utf8_lossy(part.as_deref().unwrap_or_default()).into_owned()
    };
    let name = decoded(address.name.as_deref().unwrap_or_default());
    let written = format!(
        "{name} <{}@{}>",
        text(&address.mailbox),
        text(&address.host)
    );
    needle.is_in(&written)
}
