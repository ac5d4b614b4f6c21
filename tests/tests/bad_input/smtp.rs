//! SMTP's.

use std::{io::Write as _, net::Shutdown, thread};

use facteur_tests::{Connection, Facteur, Reply, Smtp};

use crate::{BOB, bob, count, start, unharmed};

fn hello(facteur: &Facteur) -> Smtp {
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    smtp
}

fn ready_for_data(facteur: &Facteur) -> Smtp {
    let mut smtp = hello(facteur);
    smtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
    smtp.expect(&format!("RCPT TO:<{BOB}>"), 250);
    smtp
}

fn is_permanent(reply: &Reply) -> bool {
    (500..600).contains(&reply.code)
}

#[test]
fn smtp_command_that_is_none_is_refused_and_the_session_goes_on() {
    let facteur = start();
    let long = format!("MAIL FROM:<{}@elsewhere.example>", "a".repeat(10_000));
    let bad: [&[u8]; 9] = [
        long.as_bytes(),
        b"MAIL FROM:<a\0b@elsewhere.example>",
        b"MAIL FROM:<\xff\xfe@elsewhere.example>",
        b"MAIL FROM:<\"unclosed@elsewhere.example>",
        b"MAIL FROM:<a@elsewhere.example> SIZE=99999999999999999999999",
        b"MAIL FROM:<a@elsewhere.example> SIZE=999999999999",
        b"\0\0\0\0",
        b"\xf0\x9f\x92\xa9",
        b"BDAT -1",
    ];
    for line in bad {
        let mut smtp = hello(&facteur);
        smtp.connection.send(&[line, b"\r\n"].concat());
        let reply = smtp.reply();
        assert!(is_permanent(&reply), "{}: {reply:?}", line.escape_ascii());
        smtp.expect("NOOP", 250);
    }
    unharmed(&facteur);
}

#[test]
fn smtp_command_in_the_wrong_state_is_refused() {
    let facteur = start();
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("MAIL FROM:<a@elsewhere.example>", 503);
    smtp.expect("EHLO client.example", 250);
    smtp.expect(&format!("RCPT TO:<{BOB}>"), 503);
    smtp.expect("DATA", 503);
    smtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
    smtp.expect("MAIL FROM:<a@elsewhere.example>", 503);
    smtp.expect("DATA", 554);
    smtp.connection.send(b"BDAT 5 LAST\r\nhello");
    assert_eq!(smtp.reply().code, 554);
    smtp.expect("AUTH PLAIN AGE=", 503);
    smtp.expect(&format!("RCPT TO:<{BOB}>"), 250);
    smtp.connection.send(b"BDAT 3\r\nA: ");
    assert_eq!(smtp.reply().code, 250);
    smtp.expect("DATA", 503);
    unharmed(&facteur);
}

/// Every way to write an end of data that is none: what follows it must not become a message.
#[test]
fn smtp_end_of_data_with_bare_cr_or_lf_smuggles_nothing() {
    let facteur = start();
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\n",
        "\r\n.\r",
        "\n.\r",
        "\r\n\0.\r\n",
        "\r\n.\0\r\n",
        "\r\n.\r\r\n",
        "\r\n\r.\r\n",
    ] {
        let before = count(&mut bob(&facteur));
        let mut smtp = ready_for_data(&facteur);
        smtp.expect("DATA", 354);
        let smuggled = format!(
            "MAIL FROM:<evil@elsewhere.example>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
        );
        let text = format!("Subject: outer\r\n\r\nbody{end}{smuggled}QUIT\r\n");
        smtp.connection.send(text.as_bytes());
        let mut codes = Vec::new();
        while let Some(line) = smtp.connection.try_line() {
            codes.push(String::from_utf8_lossy(&line).into_owned());
        }
        let shown = end.escape_debug();
        assert!(codes.len() <= 2, "{shown}: {codes:?}");
        let stored = count(&mut bob(&facteur)) - before;
        if end.contains('\0') {
            // No bare CR or LF: all of it is one message, or refused.
            assert!(stored <= 1, "{shown}: {codes:?}");
        } else {
            assert!(codes[0].starts_with('5'), "{shown}: {codes:?}");
            assert_eq!(stored, 0, "{shown}: {codes:?}");
        }
    }
    unharmed(&facteur);
}

#[test]
fn smtp_message_with_strange_lines_is_refused_or_kept_as_it_is() {
    let facteur = start();
    let long = format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(1 << 20));
    let deep = deep(1000);
    let strange: [&str; 6] = [
        &long,
        &deep,
        "Content-Type: multipart/mixed\r\n\r\n--\r\n--\r\n",
        "Content-Type: multipart/mixed; boundary=\"\r\nContent-Type: ;;;=\r\nContent-Transfer-Encoding: x\r\n\r\n--\"\r\n",
        ": \r\n:\r\nno header at all\r\n\r\n\u{fffd}\u{0}\r\n",
        "Subject: =?utf-8?B?////?= =?x?Q?=ZZ?=\r\nFrom: <<<<@@@>>>,,;:\r\nDate: never\r\n\r\n",
    ];
    for text in strange {
        let before = count(&mut bob(&facteur));
        let mut smtp = ready_for_data(&facteur);
        let reply = smtp.data(text);
        let shown = &text[..text.len().min(60)];
        let stored = u32::from(reply.code == 250);
        assert!(stored == 1 || is_permanent(&reply), "{shown}: {reply:?}");
        let mut imap = bob(&facteur);
        assert_eq!(count(&mut imap) - before, stored, "{shown}");
        if stored == 1 {
            imap.must("SELECT INBOX");
            let all =
                imap.must("FETCH * (ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1.1.1.MIME])");
            let fetch = all.untagged.last().unwrap();
            // NUL cannot be in a literal; it comes as 0x80.
            let sent = text.trim_end_matches("\r\n");
            assert!(text.contains('\0') || fetch.contains(sent), "{shown}");
            imap.must("SEARCH BODY \"nowhere\" SUBJECT \"nothing\"");
        }
    }
    unharmed(&facteur);
}

/// A multipart in a multipart in …
fn deep(levels: usize) -> String {
    let mut text = "Subject: deep\r\nMIME-Version: 1.0\r\n".to_owned();
    for level in 0..levels {
        text.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
        ));
    }
    text.push_str("Content-Type: text/plain\r\n\r\nAt the bottom.\r\n");
    for level in (0..levels).rev() {
        text.push_str(&format!("--b{level}--\r\n"));
    }
    text
}

#[test]
fn smtp_100_000_pipelined_recipients_are_bounded() {
    let facteur = start();
    let mut smtp = hello(&facteur);
    smtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
    let address = facteur.address("smtp");
    let mut connection = Connection::plain(address);
    connection.line();
    connection.send(b"EHLO client.example\r\nMAIL FROM:<a@elsewhere.example>\r\n");
    let (mut reader, mut writer) = connection.split();
    let writing = thread::spawn(move || {
        let some = format!("RCPT TO:<{BOB}>\r\n").repeat(1000);
        // The server may have heard enough before all is said.
        (0..100)
            .try_for_each(|_| writer.write_all(some.as_bytes()))
            .is_ok()
    });
    let (mut accepted, mut refused) = (0, 0);
    while let Some(line) = reader.try_line() {
        if line.starts_with(b"250 2.1.5") {
            accepted += 1;
        } else if line.starts_with(b"452 ") {
            refused += 1;
        } else if line.starts_with(b"421 ") {
            break;
        }
        if accepted + refused == 100_000 {
            break;
        }
    }
    drop(reader);
    let all = writing.join().unwrap();
    assert!(accepted <= 1000, "{accepted}");
    assert!(refused > 0, "{refused}");
    println!("of 100,000 recipients {accepted} accepted, {refused} refused; all heard: {all}");
    // The other session is served as before.
    smtp.expect(&format!("RCPT TO:<{BOB}>"), 250);
    unharmed(&facteur);
}

#[test]
fn smtp_half_closed_connections_are_answered_and_closed() {
    let facteur = start();
    let before = count(&mut bob(&facteur));
    // The greeting and this many replies come before the rest is sent, and then our half is closed.
    let half = |first: &str, replies: usize, rest: &str| {
        let mut connection = Connection::plain(facteur.address("smtp"));
        connection.send(first.as_bytes());
        let mut codes: Vec<String> = (0..=replies).map(|_| connection.line()).collect();
        connection.send(rest.as_bytes());
        connection.shutdown(Shutdown::Write);
        codes.extend(std::iter::from_fn(|| {
            let line = connection.try_line()?;
            Some(String::from_utf8_lossy(&line).into_owned())
        }));
        codes.iter_mut().for_each(|code| code.truncate(3));
        codes
    };
    assert_eq!(half("", 0, ""), ["220"]);
    let envelope = format!("HELO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<{BOB}>\r\n");
    assert_eq!(half("", 0, &envelope), ["220", "250", "250", "250"]);
    // A message without its end is no message.
    let data = format!("{envelope}DATA\r\n");
    half(&data, 4, "Subject: cut\r\n\r\nhalf a mess");
    half(&data, 4, "Subject: cut\r\n\r\nhalf a message\r\n");
    half(&data, 4, "Subject: cut\r\n\r\nhalf a message\r\n.");
    half(&data, 4, "Subject: cut\r\n\r\nhalf a message\r\n.\r");
    let bdat = "BDAT 100 LAST\r\nSubject: cut\r\n\r\nhalf a mess";
    half(&envelope, 3, bdat);
    assert_eq!(count(&mut bob(&facteur)), before);
    // One with its end is.
    let whole = half(&data, 4, "Subject: whole\r\n\r\n.\r\n");
    assert_eq!(whole, ["220", "250", "250", "250", "354", "250"]);
    assert_eq!(count(&mut bob(&facteur)), before + 1);
    unharmed(&facteur);
}
