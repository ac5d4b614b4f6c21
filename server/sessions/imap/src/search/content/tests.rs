use std::io::Write as _;

use super::*;

fn content(message: &str, small: bool) -> Content {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(message.as_bytes()).unwrap();
    let source = Source::of(MessageReader::of_file(file, 0, message.len() as u64));
    Content {
        is_small: small,
        whole: None,
        source,
    }
}

/// The same whether the message is read whole or piece by piece.
fn both(message: &str, ask: impl Fn(&mut Content) -> bool) -> bool {
    let answers = [true, false].map(|small| ask(&mut content(message, small)));
    assert_eq!(answers[0], answers[1], "{message}");
    answers[0]
}

fn in_body(message: &str, text: &str) -> bool {
    both(message, |c| c.body_has(&Needle::new(text)).unwrap())
}

fn in_text(message: &str, text: &str) -> bool {
    both(message, |c| c.has(&Needle::new(text)).unwrap())
}

#[test]
fn body_is_searched_without_the_header() {
    let message = "Subject: needle\r\n\r\nSome HAY here\r\n";
    assert!(!in_body(message, "needle"));
    assert!(in_text(message, "NEEDLE"));
    assert!(in_body(message, "hay H"));
    assert!(!in_text(message, "absent"));
    assert!(in_body(message, ""));
}

#[test]
fn encoded_text_is_found() {
    let message = |encoding: &str, charset: &str, body: &str| {
        format!(
            "Content-Type: text/plain; charset=\"{charset}\"\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n"
        )
    };
    assert!(in_body(
        &message("base64", "utf-8", "aGVsbG8gd29ybGQ="),
        "o wo"
    ));
    assert!(in_body(
        &message("quoted-printable", "iso-8859-1", "caf=E9 cr=\r\n=E8me"),
        "CAF\u{c9} CR\u{c8}"
    ));
    assert!(in_body(
        &message("quoted-printable", "utf-8", "hel=\r\nlo"),
        "hello"
    ));
    assert!(!in_body(
        &message("base64", "utf-8", "aGVsbG8gd29ybGQ="),
        "aGVs"
    ));
    assert!(in_body(
        &message("7bit", "iso-2022-jp", "\u{1b}$BF|K\\\u{1b}(B"),
        "日本"
    ));
}

#[test]
fn attachments_are_not_text_but_their_headers_are() {
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: application/octet-stream; name=report.bin\r\n\
        Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?Q?caf=C3=A9?=\r\n\r\ninside\r\n--b--\r\n";
    assert!(!in_body(message, "hello"));
    assert!(in_body(message, "report.bin"));
    assert!(in_body(message, "caf\u{e9}"));
    assert!(in_body(message, "inside"));
}

#[test]
fn header_fields_are_decoded() {
    let message = "Subject: =?utf-8?B?w6l0w6k=?= =?utf-8?Q?_!?=\r\nX-A: one\r\n\ttwo\r\n\r\n";
    let has = |field: &str, text: &str| {
        both(message, |c| {
            c.header_has(field, &Needle::new(text)).unwrap()
        })
    };
    assert!(has("subject", "\u{c9}T\u{c9} !"));
    assert!(has("X-A", "one\ttwo"));
    assert!(has("x-a", ""));
    assert!(!has("X-B", ""));
    assert!(!has("X-A", "\u{e9}t\u{e9}"));
}

#[test]
fn match_across_windows_of_a_long_text_is_found() {
    for shift in 0..8 {
        let filler = "x".repeat(WINDOW - 4 + shift);
        let message = format!("A: b\r\n\r\n{filler}n\u{e9}edle{filler}");
        assert!(in_body(&message, "N\u{c9}EDLE"), "{shift}");
        assert!(in_body(&message, "edlex"), "{shift}");
        assert!(!in_body(&message, "needle"), "{shift}");
    }
}
