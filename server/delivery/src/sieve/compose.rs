//! The messages that scripts send: vacation replies (RFC 5230 §5) and notifications (RFC 5436 §2.7).
//!
//! sieve-rs hands over a message whose fields are neither encoded nor guarded against line ends in
//! them. Only the texts are taken from it; the message is written anew.

use mail_builder::{
    MessageBuilder,
    headers::{Header, HeaderType, address::Address as From, raw::Raw, text::Text},
};
use mail_parser::MessageParser;

use facteur_address::Address;
use facteur_model::Guid;

/// Longest subject, in characters.
const MAX_SUBJECT: usize = 256;

/// Longest `References`, in bytes: beyond it, only its first and last identifiers are kept.
const MAX_REFERENCES: usize = 2_000;

/// Who writes, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer<'a> {
    /// The script's owner.
    pub(super) owner: &'a Address,
    /// Our name, for the Message-ID.
    pub(super) hostname: &'a str,
    /// Unix seconds.
    pub(super) now: i64,
}

/// The message in parts: the first field of each name, and the body.
struct Draft<'a> {
    fields: Vec<(&'a str, String)>,
    body: &'a str,
}

impl<'a> Draft<'a> {
    fn read(text: &'a str) -> Self {
        let mut fields: Vec<(&str, String)> = Vec::new();
        let mut rest = text;
        while let Some((line, after)) = rest.split_once('\n') {
            rest = after;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name, value.trim().to_owned()));
            }
        }
        Self { fields, body: rest }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find_map(|(n, value)| n.eq_ignore_ascii_case(name).then_some(value.as_str()))
    }
}

/// The vacation reply that `draft` means, to `sender`.
pub(super) fn vacation(draft: &[u8], sender: &Address, writer: Writer<'_>) -> Option<Vec<u8>> {
    let draft = String::from_utf8_lossy(draft);
    let draft = Draft::read(&draft);
    let mut message = begin(&draft, writer, "auto-replied (vacation)")?;
    message.push((
        "To",
        From::new_address(None::<&str>, sender.to_string()).into(),
    ));
    for name in ["In-Reply-To", "References"] {
        if let Some(ids) = draft.field(name).and_then(identifiers) {
            message.push((name, Raw::new(ids).into()));
        }
    }
    // With `:mime` the reason begins with the fields of a MIME entity (RFC 5230 §4.8).
    let entity: Vec<_> = draft
        .fields
        .iter()
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name.starts_with("content-") && name != "content-length"
        })
        .collect();
    let plain = matches!(&*entity, [(name, value)]
        if *name == "Content-type" && value == "text/plain; charset=utf-8");
    if plain || entity.is_empty() {
        return text(message, draft.body);
    }
    let mut out = Vec::with_capacity(draft.body.len() + 1024);
    for (name, value) in &message {
        write_field(&mut out, name, value)?;
    }
    out.extend_from_slice(b"MIME-Version: 1.0\r\n");
    for (name, value) in entity {
        write_field(&mut out, name, &Raw::new(value.as_str()).into())?;
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&crlf(draft.body));
    Some(out)
}

/// The notification that `draft` means, to `recipients`.
pub(super) fn notification(
    draft: &[u8],
    recipients: &[Address],
    writer: Writer<'_>,
) -> Option<Vec<u8>> {
    let draft = String::from_utf8_lossy(draft);
    let draft = Draft::read(&draft);
    let owner = format!("auto-notified; owner-email=\"{}\"", writer.owner);
    let mut message = begin(&draft, writer, &owner)?;
    let to = recipients
        .iter()
        .map(|to| From::new_address(None::<String>, to.to_string()));
    message.push(("To", From::new_list(to.collect()).into()));
    if let Some(importance) = draft.field("Importance") {
        let priority = match importance {
            "High" => "1",
            "Low" => "5",
            _ => "3",
        };
        message.push(("Importance", Text::new(importance.to_owned()).into()));
        message.push(("X-Priority", Raw::new(priority).into()));
    }
    text(message, draft.body)
}

type Fields<'a> = Vec<(&'static str, HeaderType<'a>)>;

/// The fields that both kinds have.
fn begin(draft: &Draft<'_>, writer: Writer<'_>, auto_submitted: &str) -> Option<Fields<'static>> {
    let subject: String = draft.field("Subject").unwrap_or_default().chars().collect();
    let subject = match subject.char_indices().nth(MAX_SUBJECT) {
        Some((end, _)) => format!("{}…", subject.get(..end).unwrap_or_default()),
        None => subject,
    };
    let id = Guid::random().ok()?;
    Some(vec![
        (
            "From",
            sender(draft.field("From").unwrap_or_default(), writer),
        ),
        (
            "Date",
            mail_builder::headers::date::Date::new(writer.now).into(),
        ),
        ("Subject", Text::new(subject).into()),
        (
            "Message-ID",
            Raw::new(format!("<{id}@{}>", writer.hostname)).into(),
        ),
        ("Auto-Submitted", Raw::new(auto_submitted.to_owned()).into()),
    ])
}

/// What `:from` says if it is one address, else the owner's.
fn sender(from: &str, writer: Writer<'_>) -> HeaderType<'static> {
    let field = format!("From: {from}\r\n\r\n");
    let parsed = MessageParser::new().parse(&field);
    let parsed = parsed.as_ref().and_then(|message| message.from()?.first());
    let parsed = parsed.and_then(|one| {
        let address = Address::parse(one.address.as_deref()?).ok()?;
        let name = one.name.as_deref().map(str::to_owned);
        Some((name, address))
    });
    let (name, address) = parsed.unwrap_or_else(|| (None, writer.owner.clone()));
    From::new_address(name, address.to_string()).into()
}

fn text(fields: Fields<'_>, body: &str) -> Option<Vec<u8>> {
    let mut message = MessageBuilder::new();
    for (name, value) in fields {
        message = message.header(name, value);
    }
    let body = String::from_utf8(crlf(body)).ok()?;
    message.text_body(body).write_to_vec().ok()
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &HeaderType<'_>) -> Option<()> {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    value.write_header(out, name.len() + 2).ok().map(drop)
}

/// The message identifiers of a field, one space between them.
fn identifiers(value: &str) -> Option<String> {
    let id = |word: &&str| {
        word.starts_with('<') && word.ends_with('>') && word.bytes().all(|b| b.is_ascii_graphic())
    };
    let ids: Vec<&str> = value.split_whitespace().filter(id).collect();
    let mut kept = String::new();
    let whole: usize = ids.iter().map(|id| id.len() + 1).sum();
    let tail = if whole > MAX_REFERENCES {
        ids.len().saturating_sub(10)
    } else {
        1
    };
    for id in ids.iter().take(1).chain(ids.iter().skip(tail)) {
        if kept.len() + id.len() < MAX_REFERENCES {
            kept.push_str(if kept.is_empty() { "" } else { " " });
            kept.push_str(id);
        }
    }
    (!kept.is_empty()).then_some(kept)
}

/// `text` with CRLF line ends, and one at its end.
fn crlf(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    for line in text.lines() {
        out.extend_from_slice(line.replace('\r', "").as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(owner: &Address) -> Writer<'_> {
        Writer {
            owner,
            hostname: "mx.example.org",
            now: 1_000_000_000,
        }
    }

    fn reply(draft: &str) -> String {
        let owner = Address::parse("bob@example.org").unwrap();
        let sender = Address::parse("ann@example.net").unwrap();
        String::from_utf8(vacation(draft.as_bytes(), &sender, writer(&owner)).unwrap()).unwrap()
    }

    #[test]
    fn vacation_fields_are_encoded_and_only_the_known_ones_taken() {
        let text = reply(
            "From: \"Böb\" <bob@example.org>\r\nTo: x\r\nSubject: Auto: été\r\nBcc: evil@example.com\r\n\
             In-Reply-To: <1@a>\r\nReferences: <1@a> <0@a>\r\nDate: x\r\nMessage-ID: <x>\r\n\
             Auto-Submitted: auto-replied\r\nContent-type: text/plain; charset=utf-8\r\n\r\nAway.\nBye",
        );
        assert!(text.is_ascii(), "{text}");
        assert!(!text.contains("evil"), "{text}");
        assert!(
            text.contains("Auto-Submitted: auto-replied (vacation)\r\n"),
            "{text}"
        );
        assert!(
            text.contains("In-Reply-To: <1@a>\r\nReferences: <1@a> <0@a>\r\n"),
            "{text}"
        );
        assert!(text.ends_with("\r\n\r\nAway.\r\nBye\r\n"), "{text}");
        let parsed = MessageParser::new().parse(&text).unwrap();
        assert_eq!(parsed.subject(), Some("Auto: été"));
        assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Böb"));
        assert_eq!(
            parsed.to().unwrap().first().unwrap().address(),
            Some("ann@example.net")
        );
    }

    #[test]
    fn vacation_with_mime_keeps_the_entity() {
        let text = reply(
            "From: bob@example.org\r\nSubject: s\r\nAuto-Submitted: auto-replied\r\n\
             Content-Type: text/html\nContent-Transfer-Encoding: 7bit\n\n<b>away</b>\n",
        );
        assert!(
            text.contains("MIME-Version: 1.0\r\nContent-Type: text/html\r\n"),
            "{text}"
        );
        assert!(text.ends_with("\r\n\r\n<b>away</b>\r\n"), "{text}");
    }

    #[test]
    fn from_that_is_no_address_is_the_owner() {
        let text = reply("From: nonsense\r\nSubject: s\r\n\r\nx");
        assert!(text.contains("From: <bob@example.org>\r\n"), "{text}");
    }
}
