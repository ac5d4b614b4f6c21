//! ENVELOPE (RFC 9051 §7.5.2).

use crate::{
    address_list::push_addresses,
    entity::{Fields, Name},
    nstring::push_nstring,
};

/// Appends the envelope of the message with these fields.
pub(crate) fn push_envelope(out: &mut Vec<u8>, fields: &Fields) {
    out.push(b'(');
    push_nstring(out, fields.value(Name::Date));
    out.push(b' ');
    push_nstring(out, fields.value(Name::Subject));
    // "If the Sender or Reply-To header fields are absent or empty, the server sets the value to
    // be the same as From."
    let mut from = Vec::new();
    push_list(&mut from, fields.value(Name::From));
    out.push(b' ');
    out.extend_from_slice(&from);
    for name in [Name::Sender, Name::ReplyTo] {
        out.push(b' ');
        if !push_list(out, fields.value(name)) {
            out.truncate(out.len() - b"NIL".len());
            out.extend_from_slice(&from);
        }
    }
    for name in [Name::To, Name::Cc, Name::Bcc] {
        out.push(b' ');
        push_list(out, fields.value(name));
    }
    for name in [Name::InReplyTo, Name::MessageId] {
        out.push(b' ');
        push_nstring(out, fields.value(name));
    }
    out.push(b')');
}

/// Appends a list of addresses, or `NIL` and says `false`.
fn push_list(out: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    let start = out.len();
    out.push(b'(');
    push_addresses(out, value.unwrap_or_default());
    if out.len() == start + 1 {
        out.truncate(start);
        out.extend_from_slice(b"NIL");
        return false;
    }
    out.push(b')');
    true
}
