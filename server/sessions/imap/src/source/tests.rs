use std::{io::Write as _, num::NonZeroU32};

use facteur_imap::Partial;

use super::*;

fn source(message: &str) -> Source {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"xyz").unwrap();
    file.write_all(message.as_bytes()).unwrap();
    Source::of(MessageReader::of_file(file, 3, message.len() as u64))
}

fn text(source: &mut Source, part: &[u32], text: Option<SectionText>) -> String {
    cut(source, part, text, None)
}

fn cut(
    source: &mut Source,
    part: &[u32],
    text: Option<SectionText>,
    partial: Option<(u32, u32)>,
) -> String {
    let item = SectionItem {
        section: Section {
            part: part.iter().filter_map(|n| NonZeroU32::new(*n)).collect(),
            text,
        },
        partial: partial.map(|(offset, length)| Partial {
            offset,
            length: NonZeroU32::new(length).unwrap(),
        }),
        sets_seen: false,
        rfc822: None,
    };
    match source.locate(&item).unwrap() {
        Located::Octets(range) => {
            let mut out = BytesMut::new();
            source.read(&range, &mut out).unwrap();
            String::from_utf8(out.to_vec()).unwrap()
        }
        Located::Made(bytes) => String::from_utf8(bytes).unwrap(),
        Located::Missing => "missing".to_owned(),
    }
}

const MULTIPART: &str = "Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\nX: y\r\n\r\n\
    --b\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\n\
    Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: a@b\r\n\r\ntwo\r\n--b--\r\n";

#[test]
fn sections_of_the_message_are_found() {
    let mut source = source("A: 1\r\nB: 2\r\n\r\nbody\r\n");
    assert_eq!(text(&mut source, &[], None), "A: 1\r\nB: 2\r\n\r\nbody\r\n");
    assert_eq!(
        text(&mut source, &[], Some(SectionText::Header)),
        "A: 1\r\nB: 2\r\n\r\n"
    );
    assert_eq!(text(&mut source, &[], Some(SectionText::Text)), "body\r\n");
    let fields = SectionText::HeaderFields(vec!["b".into()]);
    assert_eq!(text(&mut source, &[], Some(fields)), "B: 2\r\n\r\n");
    assert_eq!(text(&mut source, &[1], None), "body\r\n");
    assert_eq!(text(&mut source, &[2], None), "missing");
}

#[test]
fn sections_of_parts_are_found() {
    let mut source = source(MULTIPART);
    assert_eq!(text(&mut source, &[1], None), "one");
    assert_eq!(
        text(&mut source, &[1], Some(SectionText::Mime)),
        "Content-Type: text/plain\r\n\r\n"
    );
    assert_eq!(text(&mut source, &[2], Some(SectionText::Text)), "two");
    let fields = SectionText::HeaderFieldsNot(vec!["From".into()]);
    assert_eq!(
        text(&mut source, &[2], Some(fields)),
        "Subject: inner\r\n\r\n"
    );
    assert_eq!(
        text(&mut source, &[1], Some(SectionText::Header)),
        "missing"
    );
}

#[test]
fn partials_are_cut_at_the_end() {
    let mut source = source("A: 1\r\n\r\nbody\r\n");
    assert_eq!(cut(&mut source, &[], None, Some((0, 4))), "A: 1");
    assert_eq!(cut(&mut source, &[], None, Some((8, 100))), "body\r\n");
    assert_eq!(cut(&mut source, &[], None, Some((100, 4))), "");
    let fields = || Some(SectionText::HeaderFields(vec!["A".into()]));
    assert_eq!(cut(&mut source, &[], fields(), Some((3, 2))), "1\r");
    assert_eq!(cut(&mut source, &[], fields(), Some((99, 2))), "");
}

#[test]
fn header_without_body_and_long_headers_end_where_they_do() {
    assert_eq!(source("A: 1\r\n").header_end().unwrap(), 6);
    assert_eq!(source("\r\nbody").header_end().unwrap(), 2);
    assert_eq!(source("").header_end().unwrap(), 0);
    // The blank line lies across each possible place of the first look's end.
    for shift in 0..6 {
        let header = format!("A: {}\r\n\r\n", "x".repeat(FIRST_LOOK - 8 + shift));
        let message = format!("{header}body\r\n\r\nmore");
        assert_eq!(source(&message).header_end().unwrap(), header.len() as u64);
    }
}

#[test]
fn header_longer_than_memory_ends_where_it_does() {
    for shift in 0..6 {
        let long = "x".repeat(usize::try_from(MAX_HEADER).unwrap() - 10 + shift);
        let header = format!("A: {long}\r\nB: 2\r\n\r\n");
        let mut source = source(&format!("{header}body\r\n\r\n"));
        assert_eq!(source.header_end().unwrap(), header.len() as u64);
        let fields = SectionText::HeaderFields(vec!["B".into()]);
        assert_eq!(text(&mut source, &[], Some(fields)), "B: 2\r\n\r\n");
    }
}

#[test]
fn file_shorter_than_its_size_is_an_error() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"abc").unwrap();
    let source = Source::of(MessageReader::of_file(file, 0, 10));
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(source.read(&(0..10), &mut out).is_err());
    assert_eq!(&out[..], b"before");
}

#[test]
fn nul_does_not_reach_a_literal() {
    let source = source("A: \0\0b\0");
    let mut out = BytesMut::new();
    source.read(&(0..7), &mut out).unwrap();
    assert_eq!(&out[..], b"A: \x80\x80b\x80");
}
