//! Dialogues.

use proptest::prelude::*;

use crate::{Capabilities, Code, Event, Next, Session};

fn secure() -> Capabilities {
    Capabilities {
        implementation: "Facteur".into(),
        sieve: vec!["fileinto", "vacation"],
        sasl: &["PLAIN", "LOGIN"],
        passwords: true,
        start_tls: false,
        max_redirects: Some(5),
        notify: vec!["mailto"],
    }
}

fn plain() -> Capabilities {
    Capabilities {
        passwords: false,
        start_tls: true,
        ..secure()
    }
}

/// Drives a session as a driver would; `good` is the only right SASL response.
struct Driver {
    session: Session,
    sent: Vec<u8>,
    events: Vec<Event>,
    closed: bool,
}

impl Driver {
    fn new(capabilities: Capabilities) -> Self {
        let mut driver = Self {
            session: Session::new(capabilities, 100),
            sent: Vec::new(),
            events: Vec::new(),
            closed: false,
        };
        driver.run();
        driver.sent.clear();
        driver
    }

    fn send(&mut self, bytes: &[u8]) {
        self.session.input().push(bytes);
        self.run();
    }

    fn run(&mut self) {
        loop {
            let next = self.session.advance();
            let output = self.session.output().split();
            self.sent.extend_from_slice(&output);
            match next {
                Next::Input => return,
                Next::Flush => {}
                Next::Close => {
                    self.closed = true;
                    return;
                }
                Next::Event(event) => self.answer(event),
            }
        }
    }

    fn answer(&mut self, event: Event) {
        let session = &mut self.session;
        match &event {
            Event::StartTls => session.tls_started(secure()),
            Event::Authenticate {
                initial_response: None,
                ..
            } => session.challenge(""),
            Event::Authenticate {
                initial_response: Some(response),
                ..
            }
            | Event::Respond(response) => match response.expose() {
                b"good" => session.authenticated("user@example.org"),
                _ => session.no(None, "failed"),
            },
            Event::ListScripts => session.list([("a", false), ("b \"c\"", true)]),
            Event::GetScript(_) => session.script(b"keep;\r\n"),
            Event::DeleteScript(_) => session.no(Some(Code::Active), "active"),
            _ => session.ok(""),
        }
        self.events.push(event);
    }

    fn text(&self) -> String {
        String::from_utf8(self.sent.clone())
            .unwrap()
            .replace("\r\n", "\n")
    }
}

/// What comes after the greeting.
fn dialogue(capabilities: Capabilities, input: &str) -> String {
    let mut driver = Driver::new(capabilities);
    driver.send(input.replace('\n', "\r\n").as_bytes());
    driver.text()
}

const LOGIN: &str = "AUTHENTICATE \"PLAIN\" \"good\"\n";

#[test]
fn greeting_tells_the_capabilities_of_its_state() {
    let mut session = Session::new(plain(), 100);
    let greeting = String::from_utf8(session.output().to_vec()).unwrap();
    assert_eq!(
        greeting,
        "\"IMPLEMENTATION\" \"Facteur\"\r\n\"SIEVE\" \"fileinto vacation\"\r\n\"SASL\" \"\"\r\n\
         \"STARTTLS\"\r\n\"MAXREDIRECTS\" \"5\"\r\n\"NOTIFY\" \"mailto\"\r\n\
         \"UNAUTHENTICATE\"\r\n\"VERSION\" \"1.0\"\r\nOK \"ManageSieve ready\"\r\n"
    );
    let after = dialogue(secure(), &format!("{LOGIN}CAPABILITY\n"));
    assert!(after.contains("\"SASL\" \"PLAIN LOGIN\"\n"));
    assert!(after.contains("\"OWNER\" \"user@example.org\"\n"));
    assert!(!after.contains("STARTTLS"));
}

#[test]
fn rfc5804_2_1_authentication_takes_quoted_and_literal_responses() {
    for response in ["\"good\"\n", "{4+}\ngood\n", "{4}\ngood\n"] {
        let output = dialogue(secure(), &format!("Authenticate \"PLAIN\"\n{response}"));
        assert_eq!(output, "\"\"\nOK \"Logged in\"\n");
    }
    let literal = dialogue(secure(), "AUTHENTICATE {5+}\nPLAIN {4+}\ngood\n");
    assert_eq!(literal, "OK \"Logged in\"\n");
    let cancelled = dialogue(secure(), "AUTHENTICATE \"PLAIN\"\n\"*\"\nNOOP\n");
    assert_eq!(cancelled, "\"\"\nNO \"failed\"\nOK \"Done\"\n");
}

#[test]
fn authentication_without_tls_is_refused() {
    assert_eq!(
        dialogue(plain(), LOGIN),
        "NO (ENCRYPT-NEEDED) \"Passwords need TLS\"\n"
    );
}

#[test]
fn second_authentication_is_refused() {
    assert_eq!(
        dialogue(secure(), &format!("{LOGIN}{LOGIN}")),
        "OK \"Logged in\"\nNO \"Already logged in\"\n"
    );
}

#[test]
fn plaintext_after_starttls_is_never_executed() {
    let mut driver = Driver::new(plain());
    driver.send(b"STARTTLS\r\nAUTHENTICATE \"PLAIN\" \"good\"\r\nNOOP\r\n");
    let text = driver.text();
    assert!(text.starts_with("OK \"Begin TLS negotiation\"\n\"IMPLEMENTATION\""));
    assert!(text.ends_with("\"VERSION\" \"1.0\"\nOK \"TLS is up\"\n"));
    assert_eq!(driver.events, [Event::StartTls]);
}

#[test]
fn script_commands_become_events_with_their_strings() {
    let mut driver = Driver::new(secure());
    driver.send(LOGIN.replace('\n', "\r\n").as_bytes());
    driver.events.clear();
    driver.send(
        b"HAVESPACE \"a\" 99\r\nPUTSCRIPT \"a\" {7+}\r\nkeep;\r\n\r\nLISTSCRIPTS\r\n\
          SETACTIVE \"a\"\r\nSETACTIVE \"\"\r\nGETSCRIPT \"a\"\r\nDELETESCRIPT \"a\"\r\n\
          RENAMESCRIPT \"a\" {1+}\r\nb\r\nCHECKSCRIPT \"keep;\"\r\n",
    );
    let name = |text: &str| crate::ScriptName::parse(text.as_bytes()).unwrap();
    assert_eq!(
        driver.events,
        [
            Event::HaveSpace {
                name: name("a"),
                size: 99
            },
            Event::PutScript {
                name: name("a"),
                script: "keep;\r\n".into()
            },
            Event::ListScripts,
            Event::SetActive(Some(name("a"))),
            Event::SetActive(None),
            Event::GetScript(name("a")),
            Event::DeleteScript(name("a")),
            Event::RenameScript {
                from: name("a"),
                to: name("b")
            },
            Event::CheckScript("keep;".into()),
        ]
    );
    assert!(driver.text().ends_with(
        "OK\nOK\n\"a\"\n\"b \\\"c\\\"\" ACTIVE\nOK\nOK\nOK\n{7}\nkeep;\n\nOK\n\
         NO (ACTIVE) \"active\"\nOK\nOK\n"
    ));
}

#[test]
fn noop_gives_its_tag_back() {
    assert_eq!(
        dialogue(plain(), "NOOP\nNOOP \"x \\\"y\"\n"),
        "OK \"Done\"\nOK (TAG \"x \\\"y\") \"Done\"\n"
    );
}

#[test]
fn unauthenticate_needs_a_new_login() {
    assert_eq!(
        dialogue(
            secure(),
            &format!("{LOGIN}UNAUTHENTICATE\nLISTSCRIPTS\n{LOGIN}")
        ),
        "OK \"Logged in\"\nOK\nNO \"Log in first\"\nOK \"Logged in\"\n"
    );
    assert_eq!(
        dialogue(secure(), "UNAUTHENTICATE\n"),
        "NO \"Log in first\"\n"
    );
}

#[test]
fn logout_ends_the_session() {
    let mut driver = Driver::new(plain());
    driver.send(b"Logout\r\nNOOP\r\n");
    assert!(driver.closed);
    assert_eq!(driver.text(), "OK \"Bye\"\n");
}

#[test]
fn script_over_the_limit_is_refused_and_read_past() {
    let script = "x".repeat(5000);
    let output = dialogue(
        secure(),
        &format!("{LOGIN}PUTSCRIPT \"a\" {{5000+}}\n{script}\nNOOP\n"),
    );
    assert_eq!(
        output,
        "OK \"Logged in\"\nNO (QUOTA/MAXSIZE) \"The string is too long\"\nOK \"Done\"\n"
    );
}

#[test]
fn literal_before_login_is_bounded() {
    let mut driver = Driver::new(secure());
    driver.send(b"PUTSCRIPT \"a\" {4000000000+}\r\n");
    assert!(driver.closed);
    assert!(driver.text().starts_with("BYE (QUOTA/MAXSIZE)"));
}

#[test]
fn failed_logins_end_the_session() {
    let mut driver = Driver::new(secure());
    for _ in 0..10 {
        driver.send(b"AUTHENTICATE \"PLAIN\" \"bad\"\r\nNOOP\r\n");
    }
    assert!(driver.closed);
    assert!(driver.text().ends_with("BYE \"Too many errors\"\n"));
}

#[test]
fn wrong_commands_are_told_why() {
    let output = dialogue(
        secure(),
        &format!(
            "{LOGIN}FOO\nGETSCRIPT\nGETSCRIPT \"\"\nGETSCRIPT \"a/b\"\nHAVESPACE \"a\" \"1\"\n"
        ),
    );
    assert_eq!(
        output,
        "OK \"Logged in\"\nNO \"Unknown command\"\nNO \"Wrong arguments\"\n\
         NO \"The script name is empty\"\n\
         NO \"The script name has a character that is not allowed\"\nNO \"Wrong arguments\"\n"
    );
}

proptest! {
    #[test]
    fn byte_by_byte_equals_one_chunk(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "AUTHENTICATE \"PLAIN\" \"good\"", "AUTHENTICATE \"LOGIN\"", "\"good\"", "\"*\"",
                "NOOP \"t\"", "CAPABILITY", "PUTSCRIPT \"a\" {5+}\r\nkeep;", "LISTSCRIPTS",
                "GETSCRIPT \"a\"", "UNAUTHENTICATE", "", "\"", "(x) {2+}\r\n\r\n", "LOGOUT",
            ]),
            0..20,
        ),
    ) {
        let mut input = lines.join("\r\n");
        input.push_str("\r\n");
        let mut whole = Driver::new(secure());
        whole.send(input.as_bytes());
        let mut cut = Driver::new(secure());
        for byte in input.bytes() {
            if !cut.closed {
                cut.send(&[byte]);
            }
        }
        prop_assert_eq!(whole.text(), cut.text());
        prop_assert_eq!(whole.events, cut.events);
        prop_assert_eq!(whole.closed, cut.closed);
    }
}
