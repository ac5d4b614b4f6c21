//! Whole messages.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::{
    ByteRange, Limits, PartKind, Scanned, Scanner, SectionText, headers::FieldFilter, scan,
    scan_reader,
};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn crlf(message: &str) -> Vec<u8> {
    message.replace('\n', "\r\n").into_bytes()
}

fn slice(message: &[u8], range: ByteRange) -> &str {
    let bounds = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
    text(&message[bounds])
}

fn in_chunks(message: &[u8], size: usize) -> Scanned {
    let mut scanner = Scanner::new(Limits::default());
    for chunk in message.chunks(size) {
        scanner.push(chunk);
    }
    scanner.finish()
}

const NESTED: &str = "From: a@b\nSubject: x\nMIME-Version: 1.0\n\
Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\
Content-Type: message/rfc822\n\nFrom: c@d\nSubject: inner\n\
Content-Type: multipart/alternative; boundary=bb\n\n--bb\n\nplain\n--bb\n\
Content-Type: text/html; charset=utf-8\n\n<p>\n--bb--\n\n--b\n\
Content-Type: application/pdf; name=\"a b.pdf\"\nContent-Transfer-Encoding: BASE64\n\
Content-Disposition: attachment; filename=\"a b.pdf\"\nContent-ID: <x@y>\n\
Content-Description: the \"thing\"\nContent-MD5: abc==\nContent-Language: en, fr\n\
Content-Location: http://x/y\n\nAAAA\n--b--\nepilogue\n";

#[test]
fn plain_message_is_text_with_size_and_lines() {
    let scanned = scan(b"Subject: hi\r\n\r\none\r\ntwo\r\n");
    assert_eq!(
        text(&scanned.body_structure),
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 2 NIL NIL NIL NIL)"#
    );
    assert_eq!(
        text(&scanned.body),
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 2)"#
    );
    assert_eq!(
        text(&scanned.envelope),
        r#"(NIL "hi" NIL NIL NIL NIL NIL NIL NIL NIL)"#
    );
    assert_eq!(scanned.size, 25);
}

#[test]
fn rfc3501_8_body_structure_of_a_message() {
    // The message of RFC 3501 §8, whose body is 3028 octets in 92 lines there.
    let message = crlf(
        "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\nFrom: Terry Gray <gray@cac.washington.edu>\n\
         Subject: IMAP4rev1 WG mtg summary and minutes\nTo: imap@cac.washington.edu\n\
         cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\n\
         Message-Id: <B27397-0100000@cac.washington.edu>\nMIME-Version: 1.0\n\
         Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\n\nx\n",
    );
    let scanned = scan(&message);
    assert_eq!(
        text(&scanned.envelope),
        "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
         \"IMAP4rev1 WG mtg summary and minutes\" \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((NIL NIL \"imap\" \"cac.washington.edu\")) \
         ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
         (\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
         \"<B27397-0100000@cac.washington.edu>\")"
    );
    assert_eq!(
        text(&scanned.body),
        r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7bit" 3 1)"#
    );
}

#[test]
fn nested_message_is_described_with_its_envelope_and_lines() {
    let scanned = scan(&crlf(NESTED));
    assert_eq!(
        text(&scanned.body_structure),
        concat!(
            r#"(("message" "rfc822" NIL NIL NIL "7bit" 155 (NIL "inner" ((NIL NIL "c" "d")) "#,
            r#"((NIL NIL "c" "d")) ((NIL NIL "c" "d")) NIL NIL NIL NIL NIL) "#,
            r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 0 NIL NIL NIL NIL)"#,
            r#"("text" "html" ("charset" "utf-8") NIL NIL "7bit" 3 0 NIL NIL NIL NIL) "#,
            r#""alternative" ("boundary" "bb") NIL NIL NIL) 12 NIL NIL NIL NIL)"#,
            r#"("application" "pdf" ("name" "a b.pdf") "<x@y>" "the \"thing\"" "BASE64" 4 "#,
            r#""abc==" ("attachment" ("filename" "a b.pdf")) ("en" "fr") "http://x/y") "#,
            r#""mixed" ("boundary" "b") NIL NIL NIL)"#,
        )
    );
}

#[test]
fn sections_are_found_by_number() {
    let message = crlf(NESTED);
    let scanned = scan(&message);
    let section = |path: &[u32], what| {
        let range = scanned.structure.section(path, what)?;
        Some(slice(&message, range).replace('\r', ""))
    };
    use SectionText::{Header, Mime, Text, Whole};
    assert_eq!(section(&[], Whole), Some(NESTED.to_owned()));
    assert!(section(&[], Header).unwrap().ends_with("boundary=b\n\n"));
    assert!(section(&[], Text).unwrap().starts_with("preamble\n--b"));
    assert_eq!(section(&[], Mime), None);
    assert_eq!(
        section(&[1], Mime).unwrap(),
        "Content-Type: message/rfc822\n\n"
    );
    assert!(section(&[1], Whole).unwrap().starts_with("From: c@d\n"));
    assert!(section(&[1], Header).unwrap().ends_with("boundary=bb\n\n"));
    assert!(section(&[1], Text).unwrap().starts_with("--bb\n"));
    assert_eq!(section(&[1, 1], Whole).unwrap(), "plain");
    assert_eq!(section(&[1, 1], Mime).unwrap(), "\n");
    assert_eq!(section(&[1, 2], Whole).unwrap(), "<p>");
    assert_eq!(section(&[1, 1], Header), None);
    assert_eq!(section(&[1, 3], Whole), None);
    assert_eq!(section(&[2], Whole).unwrap(), "AAAA");
    assert_eq!(section(&[2], Text), None);
    for path in [&[3][..], &[0], &[2, 1], &[1, 1, 1], &[u32::MAX]] {
        assert_eq!(section(path, Whole), None, "{path:?}");
    }
}

#[test]
fn part_1_of_a_message_that_is_no_multipart_is_its_body() {
    let message = b"Subject: x\r\n\r\nbody\r\n";
    let structure = scan(message).structure;
    let range = structure.section(&[1], SectionText::Whole).unwrap();
    assert_eq!(slice(message, range), "body\r\n");
    assert_eq!(structure.section(&[1, 1], SectionText::Whole), None);
    assert_eq!(structure.section(&[2], SectionText::Whole), None);

    let message = b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n";
    let structure = scan(message).structure;
    let inner = |path: &[u32], what| slice(message, structure.section(path, what).unwrap());
    assert_eq!(inner(&[1], SectionText::Header), "Subject: y\r\n\r\n");
    assert_eq!(inner(&[1, 1], SectionText::Whole), "z\r\n");
}

#[test]
fn lf_only_message_has_the_same_description_and_wire_size() {
    let (lf, crlf) = (scan(NESTED.as_bytes()), scan(&crlf(NESTED)));
    assert_eq!(lf.body_structure, crlf.body_structure);
    assert_eq!(lf.envelope, crlf.envelope);
    assert_eq!((lf.size, crlf.stored_size), (crlf.size, crlf.size));
    for (lf, crlf) in lf.structure.parts().iter().zip(crlf.structure.parts()) {
        assert_eq!(lf.body.wire_len(), crlf.body.len());
        assert_eq!(lf.header.wire_len(), crlf.header.len());
    }
}

#[test]
fn boundary_that_begins_another_is_told_apart() {
    for (outer, inner) in [("b", "bc"), ("bc", "b")] {
        let message = crlf(&format!(
            "Content-Type: multipart/mixed; boundary={outer}\n\n--{outer}\n\
             Content-Type: multipart/alternative; boundary={inner}\n\n--{inner}\n\nA\n\
             --{inner}\n\nB\n--{inner}--\n--{outer}\n\nC\n--{outer}--\n"
        ));
        let structure = scan(&message).structure;
        let part = |path: &[u32]| {
            let range = structure.section(path, SectionText::Whole).unwrap();
            slice(&message, range)
        };
        assert_eq!((part(&[1, 1]), part(&[1, 2]), part(&[2])), ("A", "B", "C"));
    }
}

#[test]
fn boundary_of_the_outer_multipart_ends_the_inner_one() {
    let message = crlf(
        "Content-Type: multipart/mixed; boundary=o\n\n--o\n\
         Content-Type: multipart/mixed; boundary=i\n\n--i\n\n1\n--o\n\n2\n",
    );
    let structure = scan(&message).structure;
    let part = |path: &[u32]| {
        let range = structure.section(path, SectionText::Whole).unwrap();
        slice(&message, range)
    };
    assert_eq!((part(&[1, 1]), part(&[2])), ("1", "2\r\n"));
}

#[test]
fn header_that_a_boundary_ends_has_an_empty_body() {
    let message = crlf(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n--b\n\
         Content-Type: text/html\n--b--\n",
    );
    let scanned = scan(&message);
    assert_eq!(
        text(&scanned.body),
        concat!(
            r#"(("message" "rfc822" NIL NIL NIL "7bit" 0 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "#,
            r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) 0)"#,
            r#"("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")"#
        )
    );
}

#[test]
fn message_whose_header_a_boundary_follows_lies_within_its_part() {
    let message =
        crlf("Content-Type: multipart/digest; boundary=b\n\n--b\n\n\n--b\n\nSubject: x\n\n--b--\n");
    let structure = scan(&message).structure;
    let part = |path: &[u32], what| slice(&message, structure.section(path, what).unwrap());
    assert_eq!(part(&[1], SectionText::Whole), "\r\n");
    assert_eq!(part(&[1], SectionText::Header), "\r\n");
    assert_eq!(part(&[2], SectionText::Whole), "Subject: x\r\n\r\n");
    assert_eq!(part(&[2], SectionText::Text), "");
}

#[test]
fn multipart_without_boundary_or_parts_is_still_valid() {
    assert_eq!(
        text(&scan(b"Content-Type: multipart/mixed\n\nx").body),
        r#"("application" "octet-stream" NIL NIL NIL "7bit" 1)"#
    );
    assert_eq!(
        text(&scan(b"Content-Type: multipart/mixed; boundary=b\n\nx").body),
        r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")"#
    );
}

#[test]
fn empty_message_is_an_empty_text() {
    let scanned = scan(b"");
    assert_eq!(
        text(&scanned.body),
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0)"#
    );
    assert_eq!(scanned.structure.parts().len(), 1);
}

#[test]
fn digest_parts_are_messages_by_default() {
    let message =
        crlf("Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: 1\n\none\n--b--\n");
    let structure = scan(&message).structure;
    let inner = structure.section(&[1], SectionText::Header).unwrap();
    assert_eq!(slice(&message, inner), "Subject: 1\r\n\r\n");
}

#[test]
fn nesting_a_thousand_deep_is_opaque_below_the_limit() {
    let mut message = String::new();
    for level in 0..1000 {
        let _ = write!(
            message,
            "Content-Type: multipart/mixed; boundary=b{level}x\n\n--b{level}x\n"
        );
    }
    message.push_str("\ndeep\n");
    let scanned = scan(message.as_bytes());
    assert_eq!(scanned.structure.parts().len(), 101);
    let last = scanned.structure.parts().last().unwrap();
    assert_eq!(last.kind, PartKind::Leaf);
    assert_eq!(last.body.end, scanned.stored_size);
    assert!(text(&scanned.body).contains("\"application\" \"octet-stream\""));

    let message = "Content-Type: message/rfc822\n\n".repeat(1000);
    assert_eq!(scan(message.as_bytes()).structure.parts().len(), 101);
}

#[test]
fn parts_past_the_limit_belong_to_the_last() {
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{}",
        "--b\n\nx\n".repeat(5000)
    );
    let scanned = scan(message.as_bytes());
    assert_eq!(scanned.structure.parts().len(), 1000);
    let last = scanned.structure.parts().last().unwrap();
    assert_eq!(last.body.end, scanned.stored_size);
}

#[test]
fn header_without_end_keeps_memory_bounded() {
    let mut scanner = Scanner::new(Limits::default());
    scanner.push(b"Subject: ");
    for _ in 0..1000 {
        scanner.push(&[b'x'; 4096]);
    }
    for _ in 0..1000 {
        scanner.push(b"\r\nTo: ");
        scanner.push(&[b'y'; 4096]);
    }
    let scanned = scanner.finish();
    assert!(scanned.envelope.len() < 2 * 1024 * 1024);
    assert_eq!(scanned.stored_size, 9 + 4_096_000 + 1000 * (6 + 4096));
}

#[test]
fn reader_gives_what_the_slice_gives() {
    let message = crlf(NESTED);
    assert_eq!(scan_reader(message.as_slice()).unwrap(), scan(&message));
}

/// Bytes that hit the scanner's decisions more often than chance would.
fn mail_like() -> impl Strategy<Value = Vec<u8>> {
    const SPACES: &[u8] = &[b' '; 300];
    let pieces: Vec<&[u8]> = vec![
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"--b",
        b"--bc--",
        b"--b\r\n",
        b"--b--\n",
        b"--bc\n\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/digest;\n boundary=\"bc\"\n\n",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Disposition: attachment; filename*=utf-8''%20; x=\"\\\n",
        b"Content-Language: a, b\n",
        b"From: \"a\" <@x,@y:b@c>, g: (c \xe9) d@e;\r\n",
        b"To: a@b",
        b"Subject: ",
        b" \tfolded",
        b"()<>@,;:\\\"/[]?=",
        b"x",
        SPACES,
        b"--bc",
    ];
    let piece = prop::sample::select(pieces);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Reads a value off IMAP text: strings, literals, NIL, numbers and lists of them.
fn skip_value(input: &[u8]) -> Option<&[u8]> {
    match input.first()? {
        b'(' => {
            let mut rest = &input[1..];
            while *rest.first()? != b')' {
                rest = skip_value(rest)?;
                if *rest.first()? == b' ' {
                    rest = &rest[1..];
                }
            }
            Some(&rest[1..])
        }
        b'"' => {
            let mut at = 1;
            loop {
                match input.get(at)? {
                    b'"' => return Some(&input[at + 1..]),
                    b'\\' => at += 2,
                    b'\r' | b'\n' | 0 | 0x80.. => return None,
                    _ => at += 1,
                }
            }
        }
        b'{' => {
            let end = input.iter().position(|b| *b == b'}')?;
            let length: usize = text(&input[1..end]).parse().ok()?;
            input[end + 1..].strip_prefix(b"\r\n")?.get(length..)
        }
        b'N' => input.strip_prefix(b"NIL"),
        b'0'..=b'9' => {
            let end = input.iter().position(|b| !b.is_ascii_digit())?;
            Some(&input[end..])
        }
        _ => None,
    }
}

proptest! {
    #[test]
    fn any_bytes_give_valid_text_and_ranges_within(
        message in prop_oneof![mail_like(), prop::collection::vec(any::<u8>(), 0..300)],
        chunk in 1..40_usize,
    ) {
        let scanned = scan(&message);
        prop_assert_eq!(&in_chunks(&message, chunk), &scanned);
        for value in [&scanned.envelope, &scanned.body, &scanned.body_structure] {
            prop_assert_eq!(skip_value(value), Some(&b""[..]), "{}", String::from_utf8_lossy(value));
        }
        let stored = u64::try_from(message.len()).unwrap();
        prop_assert_eq!(scanned.stored_size, stored);
        for part in scanned.structure.parts() {
            prop_assert!(part.header.start <= part.header.end);
            prop_assert_eq!(part.header.end, part.body.start);
            prop_assert!(part.body.start <= part.body.end && part.body.end <= stored);
            for child in scanned.structure.children(part) {
                prop_assert!(child.header.start >= part.body.start);
                prop_assert!(child.body.end <= part.body.end);
            }
        }
        let mut wire = Vec::new();
        crate::CrlfWriter::new().push(&message, &mut wire);
        prop_assert_eq!(scanned.size, u64::try_from(wire.len()).unwrap());
    }

    #[test]
    fn field_filter_in_chunks_gives_what_the_whole_gives(
        message in mail_like(),
        chunk in 1..40_usize,
        not in any::<bool>(),
    ) {
        let filtered = |size: usize| {
            let mut filter = FieldFilter::new(["to", "content-type"], not);
            let mut out = Vec::new();
            for chunk in message.chunks(size) {
                filter.push(chunk, &mut out);
            }
            filter.finish(&mut out);
            out
        };
        prop_assert_eq!(filtered(chunk), filtered(message.len().max(1)));
    }
}
