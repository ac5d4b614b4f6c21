//! FETCH and UID FETCH.

use std::num::NonZeroU32;

use crate::{
    SequenceSet,
    cursor::{Cursor, Malformed, Parsed},
};

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att
/// *(SP fetch-att) ")") [fetch-modifiers]` (RFC 3501 §6.4.5, RFC 7162 §3.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Whether the set is of UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// What of them, each once, in the order asked; macros are resolved.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE (RFC 7162 §3.1.4.1).
    pub changed_since: Option<u64>,
}

/// `fetch-att`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// `FLAGS`
    Flags,
    /// `UID`
    Uid,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY` without a section
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `MODSEQ` (RFC 7162 §3.1.4.2)
    ModSeq,
    /// Octets of the message
    Section(SectionItem),
}

/// `"BODY" [".PEEK"] section ["<" number "." nz-number ">"]`, and RFC 822's names for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionItem {
    /// Which octets.
    pub section: Section,
    /// Which part of these.
    pub partial: Option<Partial>,
    /// Whether fetching sets `\Seen`.
    pub sets_seen: bool,
    /// `RFC822`, `RFC822.HEADER` or `RFC822.TEXT`, when the client asked by that name: the
    /// response carries the same.
    pub rfc822: Option<&'static str>,
}

/// `section-spec`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// `section-part`: numbers from the outermost part inwards; none means the message itself.
    pub part: Vec<NonZeroU32>,
    /// What of it; `None` is all of its content.
    pub text: Option<SectionText>,
}

/// `section-msgtext` and `section-text`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS`: these fields
    HeaderFields(Vec<String>),
    /// `HEADER.FIELDS.NOT`: all but these
    HeaderFieldsNot(Vec<String>),
    /// `TEXT`
    Text,
    /// `MIME`
    Mime,
}

/// `<offset.length>`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// First octet, from 0.
    pub offset: u32,
    /// At most this many.
    pub length: NonZeroU32,
}

/// Most numbers in a `section-part`. No message that a MIME parser takes apart is deeper.
const MAX_PART_DEPTH: usize = 128;

pub(crate) fn parse(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Fetch> {
    cursor.space()?;
    let set = SequenceSet::take(cursor)?;
    cursor.space()?;
    let mut items = Vec::new();
    if cursor.take_if(b'(') {
        loop {
            item(cursor, &mut items)?;
            if cursor.take_if(b')') {
                break;
            }
            cursor.space()?;
        }
    } else if !take_macro(cursor, &mut items) {
        item(cursor, &mut items)?;
    }
    let changed_since = modifiers(cursor)?;
    cursor.end()?;
    Ok(Fetch {
        uid,
        set,
        items,
        changed_since,
    })
}

/// `ALL`, `FULL`, `FAST` (RFC 3501 §6.4.5), which stand alone.
fn take_macro(cursor: &mut Cursor<'_>, items: &mut Vec<FetchItem>) -> bool {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    let mut ahead = *cursor;
    let expansion: &[FetchItem] = match ahead.atom("an item") {
        Ok(name) if name.eq_ignore_ascii_case("ALL") => {
            &[Flags, InternalDate, Rfc822Size, Envelope]
        }
        Ok(name) if name.eq_ignore_ascii_case("FULL") => {
            &[Flags, InternalDate, Rfc822Size, Envelope, Body]
        }
        Ok(name) if name.eq_ignore_ascii_case("FAST") => &[Flags, InternalDate, Rfc822Size],
        _ => return false,
    };
    items.extend_from_slice(expansion);
    *cursor = ahead;
    true
}

fn item(cursor: &mut Cursor<'_>, items: &mut Vec<FetchItem>) -> Parsed<()> {
    let name = cursor.take_while(|b| b.is_ascii_alphanumeric() || b == b'.');
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    let item = if is("FLAGS") {
        FetchItem::Flags
    } else if is("UID") {
        FetchItem::Uid
    } else if is("INTERNALDATE") {
        FetchItem::InternalDate
    } else if is("RFC822.SIZE") {
        FetchItem::Rfc822Size
    } else if is("ENVELOPE") {
        FetchItem::Envelope
    } else if is("BODYSTRUCTURE") {
        FetchItem::BodyStructure
    } else if is("MODSEQ") {
        FetchItem::ModSeq
    } else if is("BODY") && cursor.peek() != Some(b'[') {
        FetchItem::Body
    } else if is("BODY") || is("BODY.PEEK") {
        FetchItem::Section(body_section(cursor, is("BODY"))?)
    } else if is("RFC822") {
        rfc822("RFC822", None, true)
    } else if is("RFC822.HEADER") {
        rfc822("RFC822.HEADER", Some(SectionText::Header), false)
    } else if is("RFC822.TEXT") {
        rfc822("RFC822.TEXT", Some(SectionText::Text), true)
    } else {
        return Err(Malformed("a message data item that this server has"));
    };
    if !items.contains(&item) {
        items.push(item);
    }
    Ok(())
}

fn rfc822(name: &'static str, text: Option<SectionText>, sets_seen: bool) -> FetchItem {
    FetchItem::Section(SectionItem {
        section: Section {
            part: Vec::new(),
            text,
        },
        partial: None,
        sets_seen,
        rfc822: Some(name),
    })
}

fn body_section(cursor: &mut Cursor<'_>, sets_seen: bool) -> Parsed<SectionItem> {
    cursor.expect(b'[', "a section in brackets")?;
    let section = section(cursor)?;
    cursor.expect(b']', "the section's closing bracket")?;
    let partial = if cursor.take_if(b'<') {
        let offset = cursor.number()?;
        cursor.expect(b'.', "a full stop between offset and length")?;
        let length = NonZeroU32::new(cursor.number()?).ok_or(Malformed("a length above 0"))?;
        cursor.expect(b'>', "the partial's closing bracket")?;
        Some(Partial { offset, length })
    } else {
        None
    };
    Ok(SectionItem {
        section,
        partial,
        sets_seen,
        rfc822: None,
    })
}

/// `section-spec = section-msgtext / (section-part ["." section-text])`, or nothing.
fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    let mut part = Vec::new();
    loop {
        match cursor.peek() {
            Some(b'0'..=b'9') => {
                let number = NonZeroU32::new(cursor.number()?);
                part.push(number.ok_or(Malformed("a part number above 0"))?);
                if part.len() > MAX_PART_DEPTH {
                    return Err(Malformed("a shallower part"));
                }
                if !cursor.take_if(b'.') {
                    return Ok(Section { part, text: None });
                }
            }
            Some(b']') if part.is_empty() => return Ok(Section::default()),
            _ => {
                let text = section_text(cursor, !part.is_empty())?;
                return Ok(Section {
                    part,
                    text: Some(text),
                });
            }
        }
    }
}

fn section_text(cursor: &mut Cursor<'_>, in_part: bool) -> Parsed<SectionText> {
    let name = cursor.take_while(|b| b.is_ascii_alphabetic() || b == b'.');
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    if is("HEADER") {
        Ok(SectionText::Header)
    } else if is("HEADER.FIELDS") {
        header_list(cursor).map(SectionText::HeaderFields)
    } else if is("HEADER.FIELDS.NOT") {
        header_list(cursor).map(SectionText::HeaderFieldsNot)
    } else if is("TEXT") {
        Ok(SectionText::Text)
    } else if is("MIME") && in_part {
        Ok(SectionText::Mime)
    } else {
        Err(Malformed("a section such as HEADER, TEXT or 1.2.MIME"))
    }
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`, a name being an astring.
fn header_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    cursor.space()?;
    cursor.expect(b'(', "a list of header fields")?;
    let mut names = Vec::new();
    loop {
        let name = cursor.astring()?;
        // RFC 5322 §2.2: printable US-ASCII but the colon. No other name is in any header.
        let name = std::str::from_utf8(&name)
            .ok()
            .filter(|name| name.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b':'))
            .ok_or(Malformed("a header field's name"))?;
        names.push(name.to_owned());
        if cursor.take_if(b')') {
            return Ok(names);
        }
        cursor.space()?;
    }
}

/// `fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"` (RFC 4466 §2.4); ours is
/// `"CHANGEDSINCE" SP mod-sequence-value`.
fn modifiers(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if cursor.rest().is_empty() {
        return Ok(None);
    }
    cursor.space()?;
    cursor.expect(b'(', "a list of modifiers")?;
    if !cursor.take_text("CHANGEDSINCE ") {
        return Err(Malformed("the modifier CHANGEDSINCE"));
    }
    let since = cursor.number64()?;
    cursor.expect(b')', "the modifiers' closing bracket")?;
    Ok(Some(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(text: &str) -> Parsed<Fetch> {
        parse(&mut Cursor::new(text.as_bytes()), false)
    }

    fn one_section(text: &str) -> SectionItem {
        match fetch(&format!(" 1 {text}")).unwrap().items.as_slice() {
            [FetchItem::Section(item)] => item.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn parts(numbers: &[u32]) -> Vec<NonZeroU32> {
        numbers.iter().filter_map(|n| NonZeroU32::new(*n)).collect()
    }

    #[test]
    fn rfc3501_6_4_5_example() {
        let fetch = fetch(" 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])").unwrap();
        assert_eq!(fetch.items.len(), 2);
        assert_eq!(
            fetch.items[1],
            FetchItem::Section(SectionItem {
                section: Section {
                    part: vec![],
                    text: Some(SectionText::HeaderFields(vec![
                        "DATE".into(),
                        "FROM".into()
                    ])),
                },
                partial: None,
                sets_seen: true,
                rfc822: None,
            })
        );
    }

    #[test]
    fn rfc7162_3_1_4_1_example() {
        let fetch = fetch(" 1:* (FLAGS) (CHANGEDSINCE 12345)").unwrap();
        assert_eq!(fetch.changed_since, Some(12345));
    }

    #[test]
    fn macros_expand_and_stand_alone() {
        assert_eq!(fetch(" 1 full").unwrap().items.len(), 5);
        assert_eq!(fetch(" 1 FAST (CHANGEDSINCE 1)").unwrap().items.len(), 3);
        assert!(fetch(" 1 (FAST)").is_err());
    }

    #[test]
    fn sections_are_taken_apart() {
        let item = one_section("BODY.PEEK[1.2.HEADER.FIELDS.NOT (\"X-A\" b)]<10.20>");
        assert_eq!(item.section.part, parts(&[1, 2]));
        assert_eq!(
            item.section.text,
            Some(SectionText::HeaderFieldsNot(vec!["X-A".into(), "b".into()]))
        );
        assert_eq!(
            item.partial.map(|p| (p.offset, p.length.get())),
            Some((10, 20))
        );
        assert!(!item.sets_seen);
        assert_eq!(one_section("BODY[]").section, Section::default());
        assert_eq!(
            one_section("body[4.mime]").section.text,
            Some(SectionText::Mime)
        );
        assert_eq!(one_section("RFC822").rfc822, Some("RFC822"));
        assert!(!one_section("RFC822.HEADER").sets_seen);
    }

    #[test]
    fn repeated_items_are_answered_once() {
        assert_eq!(fetch(" 1 (UID FLAGS uid)").unwrap().items.len(), 2);
    }

    #[test]
    fn malformed_fetches_are_refused() {
        let deep = format!(" 1 BODY[{}TEXT]", "1.".repeat(1000));
        for text in [
            "",
            " 1",
            " 1 ",
            " 1 ()",
            " 1 FOO",
            " 1 BODY[MIME]",
            " 1 BODY[0]",
            " 1 BODY[1.]",
            " 1 BODY[",
            " 1 BODY[]<0.0>",
            " 1 BODY[]<0>",
            " 1 (FLAGS",
            " 1 FLAGS UID",
            " 1 BODY[HEADER.FIELDS ()]",
            " 1 BODY[HEADER.FIELDS (\"a b\")]",
            " 1 FLAGS (CHANGEDSINCE -1)",
            " 0 FLAGS",
            &deep,
        ] {
            assert!(fetch(text).is_err(), "{text}");
        }
    }
}
