use imap_codec::{ResponseCodec, decode::Decoder as _};
use proptest::prelude::*;

use super::*;
use crate::{Command, FetchItem, SectionItem, command, cursor::Cursor};

fn written(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn section(text: &str) -> SectionItem {
    let line = format!("a FETCH 1 {text}");
    match command::parse(line.as_bytes()).unwrap().1 {
        Command::Fetch(fetch) => match fetch.items.into_iter().next().unwrap() {
            FetchItem::Section(item) => item,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The codec, as a client's, must read what we write.
fn read_back(response: &str) {
    let (rest, _) = ResponseCodec::default()
        .decode(response.as_bytes())
        .unwrap_or_else(|e| panic!("{response:?}: {e:?}"));
    assert!(rest.is_empty(), "{response:?}");
}

#[test]
fn fetch_response_carries_every_item() {
    let response = written(|out| {
        let mut fetch = FetchWriter::begin(out, 12);
        fetch.flags(["\\Seen", "$Label"].into_iter());
        fetch.uid(7);
        fetch.modseq(65);
        fetch.internal_date(837_596_665);
        fetch.rfc822_size(4286);
        fetch.ready("ENVELOPE", b"(NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL)");
        fetch.end();
    });
    assert_eq!(
        response,
        "* 12 FETCH (FLAGS (\\Seen $Label) UID 7 MODSEQ (65) \
         INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" RFC822.SIZE 4286 \
         ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL))\r\n"
    );
    read_back(&response);
}

#[test]
fn fetch_response_names_sections_as_asked() {
    for (asked, answered) in [
        ("BODY.PEEK[]", "BODY[] "),
        ("BODY[1.2.MIME]<5.9>", "BODY[1.2.MIME]<5> "),
        ("RFC822.TEXT", "RFC822.TEXT "),
        (
            "BODY[HEADER.FIELDS.NOT (From \"X-A(\")]",
            "BODY[HEADER.FIELDS.NOT (From \"X-A(\")] ",
        ),
    ] {
        let response = written(|out| {
            let mut fetch = FetchWriter::begin(out, 1);
            fetch.flags(std::iter::empty());
            fetch.section(&section(asked), 3);
            fetch.out().extend_from_slice(b"a\"b");
            fetch.end();
        });
        assert_eq!(
            response,
            format!("* 1 FETCH (FLAGS () {answered}{{3}}\r\na\"b)\r\n")
        );
        read_back(&response);
    }
}

#[test]
fn fetch_response_may_begin_with_a_section() {
    let response = written(|out| {
        let mut fetch = FetchWriter::begin(out, 1);
        fetch.missing_section(&section("BODY[9]"));
        fetch.section(&section("BODY[]"), 0);
        fetch.uid(4);
        fetch.end();
    });
    assert_eq!(response, "* 1 FETCH (BODY[9] NIL BODY[] {0}\r\n UID 4)\r\n");
    read_back(&response);
}

#[test]
fn search_response_is_ended() {
    assert_eq!(
        written(|out| {
            let mut search = SearchWriter::begin(out);
            search.found(2);
            search.found(84);
            search.end(Some(917_162_500));
        }),
        "* SEARCH 2 84 (MODSEQ 917162500)\r\n"
    );
    assert_eq!(
        written(|out| SearchWriter::begin(out).end(None)),
        "* SEARCH\r\n"
    );
}

#[test]
fn replies_cannot_be_broken_by_what_they_quote() {
    let reply = written(|out| status(out, None, Condition::Bad, "no é\r\n* BYE \0x"));
    assert_eq!(reply, "* BAD no ???* BYE ?x\r\n");
}

#[test]
fn mailbox_names_are_quoted_when_they_must() {
    let mailbox = |name: &str| written(|out| super::mailbox(out, name));
    assert_eq!(mailbox("INBOX"), "INBOX");
    assert_eq!(mailbox("a b"), "\"a b\"");
    assert_eq!(mailbox("Entwürfe"), "Entw&APw-rfe");
    assert_eq!(mailbox("nil"), "\"nil\"");
    assert_eq!(mailbox("a\"\\b"), "\"a\\\"\\\\b\"");
}

#[test]
fn number_sets_join_runs() {
    let set = |numbers: &[u32]| written(|out| number_set(out, numbers.iter().copied()));
    assert_eq!(set(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
    assert_eq!(set(&[5, 4]), "5,4");
    assert_eq!(set(&[u32::MAX]), "4294967295");
}

proptest! {
    #[test]
    fn strings_are_read_back(text in proptest::collection::vec(1u8..=255, 0..40)) {
        for write in [string, astring] {
            let mut out = BytesMut::new();
            write(&mut out, &text);
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.astring().unwrap().into_owned(), text.clone());
            prop_assert!(cursor.rest().is_empty());
        }
    }

    #[test]
    fn numbers_are_decimal(value in any::<u64>()) {
        prop_assert_eq!(written(|out| number(out, value)), value.to_string());
    }

    #[test]
    fn dates_are_read_back(unix in -60_000_000_000i64..250_000_000_000) {
        let text = written(|out| date_time(out, unix));
        prop_assert_eq!(crate::date::date_time(&mut Cursor::new(text.as_bytes())), Ok(unix));
    }
}
