//! IMAP's.

use facteur_tests::{Facteur, Imap};

use crate::{bob, start, unharmed};

/// Sends a line as it is; reads to its tagged response, BYE, or the end.
fn answer(imap: &mut Imap, line: &[u8]) -> String {
    let shown = line[..line.len().min(60)].escape_ascii().to_string();
    if imap.connection.try_send(&[line, b"\r\n"].concat()).is_err() {
        return "closed".to_owned();
    }
    loop {
        let Some(line) = imap.connection.try_line() else {
            return "closed".to_owned();
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.starts_with("x ") || line.starts_with("* BYE") || line.starts_with("* BAD") {
            return line;
        }
        assert!(!line.starts_with('+'), "{shown}: the server asks for more");
    }
}

fn refused(answer: &str) -> bool {
    ["x BAD", "x NO", "* BAD", "* BYE"]
        .iter()
        .any(|no| answer.starts_with(no))
        || answer == "closed"
}

fn all_refused(facteur: &Facteur, lines: &[&[u8]], connect: impl Fn() -> Imap) {
    for line in lines {
        let answer = answer(&mut connect(), line);
        let shown = &line[..line.len().min(60)].escape_ascii().to_string();
        assert!(refused(&answer), "{shown}: {answer}");
    }
    unharmed(facteur);
}

#[test]
fn imap_bad_line_before_login_is_refused() {
    let facteur = start();
    let long = [&b"x LOGIN "[..], &[b'a'; 1 << 20]].concat();
    let lines: [&[u8]; 12] = [
        &long,
        b"x LOGIN \"alice",
        b"x LOGIN a\0b c",
        b"x LOGIN \"\xff\xfe\" \"\xff\"",
        b"x LOGIN {999999999}",
        b"x LOGIN {999999999+}",
        b"x LOGIN {99999999999999999999999}",
        b"x SELECT INBOX",
        b"x APPEND INBOX {10}",
        b"x IDLE",
        b"x \0",
        b"x AUTHENTICATE PLAIN AAAA=AAA",
    ];
    all_refused(&facteur, &lines, || Imap::connect(facteur.address("imap")));
}

#[test]
fn imap_bad_line_after_login_is_refused() {
    let facteur = start();
    let deep = format!("x SEARCH {}ALL{}", "(".repeat(1000), ")".repeat(1000));
    let not = format!("x SEARCH {}ALL", "NOT ".repeat(5000));
    let or = format!("x SEARCH {}ALL", "OR ALL ".repeat(5000));
    let fetch = format!("x FETCH 1 {}", "(".repeat(30_000));
    let long = [&b"x CREATE "[..], &[b'a'; 1 << 20]].concat();
    let name = [&b"x CREATE "[..], &[b'a'; 2000]].concat();
    let levels = format!("x CREATE {}", "a/".repeat(5000));
    let lines: [&[u8]; 19] = [
        &long,
        &name,
        levels.as_bytes(),
        deep.as_bytes(),
        not.as_bytes(),
        or.as_bytes(),
        fetch.as_bytes(),
        b"x CREATE \"unclosed",
        b"x CREATE a\0b",
        b"x CREATE \"\xff\xfe\"",
        b"x CREATE ../../evil",
        b"x CREATE \"a/../../b\"",
        b"x CREATE {99999999}",
        b"x CREATE {99999999+}",
        b"x APPEND INBOX {99999999999}",
        b"x APPEND INBOX {99999999999999999999999}",
        b"x APPEND INBOX (\\Nonsense {10}",
        b"x FETCH 1 BODY[1.1.1.1.1.1.99999999999]",
        b"x STORE 1:* FLAGS (\\Seen)",
    ];
    all_refused(&facteur, &lines, || bob(&facteur));
}

#[test]
fn imap_bad_line_with_a_mailbox_selected_is_refused_and_the_session_goes_on() {
    let facteur = start();
    let mut imap = bob(&facteur);
    imap.must("SELECT INBOX");
    for line in [
        &b"x FETCH 0 FLAGS"[..],
        b"x FETCH 99999999999 FLAGS",
        b"x FETCH 1 (FLAGS",
        b"x FETCH 1 BODY[",
        b"x FETCH 1 BODY[]<0>",
        b"x STORE 1 FLAGS.SILENT \\",
        b"x SEARCH CHARSET nonsense ALL",
        b"x SEARCH SINCE 99-Foo-0000",
        b"x COPY 1 nowhere",
        b"x LOGIN alice pw",
        b"x STARTTLS now",
    ] {
        let answer = answer(&mut imap, line);
        assert!(
            answer.starts_with("x BAD") || answer.starts_with("x NO"),
            "{}: {answer}",
            line.escape_ascii()
        );
        imap.must("NOOP");
    }
    unharmed(&facteur);
}
