//! POP3's, ManageSieve's, LMTP's and TLS's.

use facteur_tests::{Connection, Facteur, Pop3, Smtp, base64};

use crate::{BOB, start, unharmed};

fn sieve(facteur: &Facteur) -> Connection {
    let mut connection = Connection::plain(facteur.address("managesieve"));
    while !connection.line().starts_with("OK") {}
    connection
}

/// `NO`, `BYE`, or the end; never OK.
fn must_refuse(connection: &mut Connection, input: &[u8]) {
    let shown = input[..input.len().min(60)].escape_ascii().to_string();
    if connection.try_send(input).is_err() {
        return;
    }
    while let Some(line) = connection.try_line() {
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(
            !line.starts_with("OK") && !line.starts_with("+OK"),
            "{shown}: {line}"
        );
        if ["NO", "BYE", "-ERR"].iter().any(|no| line.starts_with(no)) {
            return;
        }
    }
}

#[test]
fn pop3_bad_line_is_refused() {
    let facteur = start();
    let long = [&b"USER "[..], &[b'a'; 1 << 20], b"\r\n"].concat();
    for line in [
        &long[..],
        b"\0\0\r\n",
        b"USER \xff\xfe\r\nPASS \xff\r\n",
        b"STAT\r\n",
        b"RETR 1\r\n",
        b"AUTH PLAIN =====\r\n",
        b"APOP\r\n",
    ] {
        let mut connection = Connection::plain(facteur.address("pop3"));
        connection.line();
        if line.starts_with(b"USER \xff") {
            connection.send(line);
            // USER alone tells nothing yet.
            let first = connection.line();
            if first.starts_with("+OK") {
                assert!(connection.line().starts_with("-ERR"));
            }
            continue;
        }
        must_refuse(&mut connection, line);
    }
    let mut pop3: Pop3 = facteur.pop3(BOB, "bob-password");
    for line in [
        "RETR 0",
        "RETR -1",
        "RETR 99999999999999999999",
        "DELE x",
        "TOP 1",
        "UIDL 7",
        "USER bob",
    ] {
        assert!(pop3.command(line).starts_with("-ERR"), "{line}");
    }
    unharmed(&facteur);
}

#[test]
fn managesieve_bad_input_is_refused() {
    let facteur = start();
    let long = [&b"AUTHENTICATE \""[..], &[b'a'; 1 << 20], b"\"\r\n"].concat();
    for input in [
        &long[..],
        b"\0\0\r\n",
        b"AUTHENTICATE \"PLAIN\" {999999999+}\r\n",
        b"AUTHENTICATE \"PLAIN\" \"unclosed\r\n",
        b"AUTHENTICATE \"PLAIN\" \"\xff\xfe\"\r\n",
        b"PUTSCRIPT \"x\" {10+}\r\nkeep;keep;\r\n",
        b"LISTSCRIPTS\r\n",
    ] {
        must_refuse(&mut sieve(&facteur), input);
    }
    let credentials = base64(format!("\0{BOB}\0bob-password").as_bytes());
    let login = || {
        let mut connection = sieve(&facteur);
        connection.send_line(&format!("AUTHENTICATE \"PLAIN\" \"{credentials}\""));
        while !connection.line().starts_with("OK") {}
        connection
    };
    let script = |text: &str| format!("PUTSCRIPT \"x\" {{{}+}}\r\n{text}\r\n", text.len());
    let deep = format!("{}keep;{}", "if true {".repeat(1000), "}".repeat(1000));
    let tests = format!("if {}true {{ keep; }}", "not ".repeat(20_000));
    for input in [
        "PUTSCRIPT \"x\" {99999999+}\r\n".to_owned(),
        "PUTSCRIPT \"../../evil\" {5+}\r\nkeep;\r\n".to_owned(),
        "PUTSCRIPT \"\" {5+}\r\nkeep;\r\n".to_owned(),
        "SETACTIVE \"nothing\"\r\n".to_owned(),
        script("keep; \"unclosed"),
        script("require \"nonsense\"; keep;"),
        script(&deep),
        script("if header :matches \"x\" \"y\" {"),
        script("\0\0"),
    ] {
        must_refuse(&mut login(), input.as_bytes());
    }
    // As long as this is, it may be run.
    let mut connection = login();
    connection.send(script(&tests).as_bytes());
    assert!(["OK", "NO"].contains(&&connection.line()[..2]));
    connection.send_line("SETACTIVE \"x\"");
    connection.line();
    unharmed(&facteur);
}

#[test]
fn lmtp_and_tls_bad_input_is_refused() {
    let facteur = start();
    let mut lmtp = Smtp::connect(facteur.address("lmtp"));
    assert!(lmtp.command("EHLO client.example").code >= 500);
    lmtp.expect("LHLO client.example", 250);
    lmtp.expect("DATA", 503);
    lmtp.connection.send(b"LHLO \0\r\n");
    assert!(lmtp.reply().code >= 500);
    for listener in ["imaps", "pop3s", "submissions"] {
        let mut connection = Connection::plain(facteur.address(listener));
        // No handshake: it is told so, in TLS's own way, and closed.
        let _ = connection.try_send(b"EHLO client.example\r\na1 NOOP\r\n");
        connection.read_to_end();
    }
    unharmed(&facteur);
}
