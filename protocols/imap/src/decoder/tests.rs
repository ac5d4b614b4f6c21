use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    line: 200,
    literals: 100,
};

/// Everything a decoder says, with the pieces of a message put together, when the client sends
/// `input` in pieces of `size` octets and every APPEND but those to `refuse` is accepted.
fn transcript(input: &[u8], size: usize) -> Vec<String> {
    let mut decoder = Decoder::new(LIMITS);
    let mut said = Vec::new();
    let mut message = Vec::new();
    for piece in input.chunks(size.max(1)) {
        decoder.feed(piece);
        loop {
            match decoder.poll() {
                Event::NeedMore => break,
                Event::Append(head) => {
                    said.push(format!("{head:?}"));
                    if head.mailbox.as_bytes() == b"refuse" {
                        decoder.refuse_append();
                    } else {
                        decoder.accept_append();
                    }
                }
                Event::Chunk(chunk) => message.extend_from_slice(&chunk),
                Event::AppendEnd => {
                    said.push(format!("message {:?}", String::from_utf8_lossy(&message)));
                    message.clear();
                }
                other => {
                    message.clear();
                    said.push(format!("{other:?}"));
                }
            }
        }
    }
    said
}

fn events(input: &[u8]) -> Vec<Event> {
    let mut decoder = Decoder::new(LIMITS);
    decoder.feed(input);
    let mut events = Vec::new();
    loop {
        match decoder.poll() {
            Event::NeedMore => return events,
            event => events.push(event),
        }
    }
}

#[test]
fn pipelined_commands_come_one_by_one() {
    let events = events(b"a NOOP\r\nb CAPABILITY\r\nc NO");
    assert!(matches!(
        events.as_slice(),
        [Event::Command(a, Command::Noop), Event::Command(b, Command::Capability)]
            if a.as_str() == "a" && b.as_str() == "b"
    ));
}

#[test]
fn rfc3501_7_5_login_with_literals_asks_for_each() {
    let events = events(b"A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man\r\n");
    let [
        Event::Continue,
        Event::Continue,
        Event::Command(_, Command::Login { username, password }),
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!(username, b"FRED FOOBAR");
    assert_eq!(password.expose(), b"fat man");
}

#[test]
fn rfc7888_3_non_synchronizing_literals_ask_for_none() {
    let events = events(b"A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man\r\n");
    assert!(matches!(
        events.as_slice(),
        [Event::Command(_, Command::Login { .. })]
    ));
}

#[test]
fn append_hands_its_message_out() {
    let said = transcript(
        b"a APPEND {5}\r\nINBOX (\\Seen $x) \"17-Jul-1996 02:44:25 -0700\" {12+}\r\nhello\r\n{9}\r\n\r\nb NOOP\r\n",
        1000,
    );
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(said[0], "Continue");
    assert!(said[1].contains("size: 12"), "{said:?}");
    assert!(said[1].contains("$x"), "{said:?}");
    assert_eq!(said[2], "message \"hello\\r\\n{9}\\r\\n\"");
    assert!(said[3].contains("Noop"));
}

#[test]
fn refused_append_is_read_past() {
    let said = transcript(b"a APPEND refuse {6+}\r\nb FOO\r\n\r\nc NOOP\r\n", 1000);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains("\"c\""));
    let said = transcript(b"a APPEND refuse {6}\r\nc NOOP\r\n", 1000);
    assert!(said[1].contains("\"c\""), "{said:?}");
}

#[test]
fn second_message_in_append_is_refused_and_read_past() {
    let said = transcript(
        b"a APPEND x {1+}\r\nA {8+}\r\nb NOOP\r\n\r\nc NOOP\r\n",
        1000,
    );
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[1].starts_with("Invalid(None"));
    assert!(said[2].contains("\"c\""));
}

#[test]
fn overlong_line_is_refused_with_its_tag() {
    let long = format!("a NOOP {}\r\nb NOOP\r\n", "x".repeat(1000));
    for size in [1, 7, 5000] {
        let said = transcript(long.as_bytes(), size);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].contains("\"a\"") && said[0].contains("too long"),
            "{said:?}"
        );
        assert!(said[1].contains("\"b\""), "{said:?}");
    }
}

#[test]
fn literal_over_the_limit_is_refused() {
    let said = transcript(b"a LOGIN {101}\r\nb NOOP\r\n", 1000);
    assert!(said[0].contains("Literal is too long"), "{said:?}");
    assert!(said[1].contains("\"b\""), "{said:?}");
    let mut input = b"a LOGIN {101+}\r\n".to_vec();
    input.extend_from_slice(&[b'\n'; 101]);
    input.extend_from_slice(b" {3+}\r\nx\r\n x\r\nb NOOP\r\n");
    let said = transcript(&input, 1000);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains("\"b\""), "{said:?}");
}

#[test]
fn endless_line_is_fatal() {
    let mut decoder = Decoder::new(LIMITS);
    let mut fatal = false;
    for _ in 0..2000 {
        decoder.feed(&[b'x'; 1000]);
        assert!(decoder.buffer.len() < 3000);
        loop {
            match decoder.poll() {
                Event::NeedMore => break,
                Event::Fatal(_) => fatal = true,
                _ => {}
            }
        }
    }
    assert!(fatal);
}

#[test]
fn huge_non_synchronizing_argument_is_fatal() {
    let said = transcript(b"a LOGIN {4294967296+}\r\nx", 1000);
    assert!(said.last().unwrap().starts_with("Fatal"), "{said:?}");
}

#[test]
fn unclosed_quote_is_refused_though_it_looks_like_a_literal() {
    let events = events(b"a LOGIN \"x {3}\r\nb NOOP\r\n");
    assert!(matches!(
        events.as_slice(),
        [Event::Invalid(Some(_), _), Event::Command(..)]
    ));
}

#[test]
fn nul_in_literal_is_refused() {
    let events = events(b"a SELECT {3+}\r\na\0b\r\n");
    assert!(
        matches!(events.as_slice(), [Event::Invalid(Some(_), _)]),
        "{events:?}"
    );
}

#[test]
fn reset_forgets_what_came_before_tls() {
    let mut decoder = Decoder::new(LIMITS);
    decoder.feed(b"a STARTTLS\r\nb NOOP\r\n");
    assert!(matches!(
        decoder.poll(),
        Event::Command(_, Command::StartTls)
    ));
    decoder.reset();
    assert!(matches!(decoder.poll(), Event::NeedMore));
}

#[test]
fn lines_that_are_no_commands_are_limited() {
    let mut decoder = Decoder::new(LIMITS);
    decoder.feed(b"DO");
    assert_eq!(decoder.poll_line(10), Line::NeedMore);
    decoder.feed(b"NE\r\n0123456789a\r\n");
    assert_eq!(
        decoder.poll_line(10),
        Line::Whole(Secret::new(b"DONE".to_vec()))
    );
    assert_eq!(decoder.poll_line(10), Line::TooLong);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"a NOOP\r\n".to_vec()),
        Just(b"b LOGIN {3}\r\nabc {4+}\r\ndefg\r\n".to_vec()),
        Just(b"c APPEND x (\\Seen) {7+}\r\nabc\r\nde\r\n".to_vec()),
        Just(b"c APPEND refuse {7+}\r\nabc\r\nde\r\n".to_vec()),
        Just(b"d APPEND \"x\" {2}\r\nab\r\n".to_vec()),
        Just(b"e APPEND x {1+}\r\nA {3+}\r\nabc\r\n".to_vec()),
        Just(b"f FETCH 1:* (FLAGS BODY[TEXT]<0.5>)\r\n".to_vec()),
        Just(b"g LOGIN {500+}\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(vec![b'y'; 300]),
        proptest::collection::vec(any::<u8>(), 0..40),
        "[ -~]{0,30}\r\n".prop_map(String::into_bytes),
    ]
}

#[test]
fn quote_far_before_a_marker_in_a_refused_line_does_not_matter() {
    let input = b"a APPEND x (\\Seen)\0{1+}\r\nx \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa {9+}\r\n\
        b NOOP\r\n\r\nc NOOP\r\n";
    let whole = transcript(input, usize::MAX);
    assert_eq!(transcript(input, 1), whole);
    assert!(
        whole.last().is_some_and(|last| last.contains("\"c\"")),
        "{whole:?}"
    );
}

proptest! {
    #[test]
    fn byte_by_byte_equals_one_chunk(pieces in proptest::collection::vec(piece(), 0..12), size in 1usize..50) {
        let input = pieces.concat();
        let whole = transcript(&input, usize::MAX);
        prop_assert_eq!(&transcript(&input, 1), &whole);
        prop_assert_eq!(&transcript(&input, size), &whole);
    }
}
