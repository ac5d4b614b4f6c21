//! Sessions, driven without a network.

use facteur_address::Address;
use proptest::prelude::*;

use super::*;
use crate::command::ForwardPath;

/// A driver that accepts everything but recipients whose local part begins with `no`, and logs
/// what it was told.
struct Driver {
    session: Option<Session>,
    log: Vec<String>,
    body: Vec<u8>,
    written: Vec<u8>,
    closed: bool,
    secure: Channel,
}

fn options(flavour: Flavour) -> Options {
    Options {
        message_size_limit: 1000,
        recipient_limit: 3,
        ..Options::new(flavour, "mx.example.org")
    }
}

impl Driver {
    fn new(flavour: Flavour) -> Self {
        Self::with(options(flavour), Channel::default())
    }

    fn with(options: Options, channel: Channel) -> Self {
        let secure = Channel {
            tls: true,
            mechanisms: vec!["PLAIN", "LOGIN"],
            ..channel.clone()
        };
        let mut driver = Self {
            session: Some(Session::new(Arc::new(options), channel)),
            log: Vec::new(),
            body: Vec::new(),
            written: Vec::new(),
            closed: false,
            secure,
        };
        driver.push(b"");
        driver
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut session = self.session.take().unwrap();
        session.input().push(bytes);
        while let Some(event) = session.next_event() {
            session = self.on_event(session, event);
        }
        self.written.extend_from_slice(&session.output().split());
        self.session = Some(session);
    }

    fn on_event(&mut self, mut session: Session, event: Event) -> Session {
        let ok = || Reply::new(250, EnhancedStatus::new(2, 0, 0), "Ok");
        match event {
            Event::Hello { name, extended } => {
                self.log.push(format!("hello {name} {extended}"));
                session.accept_hello();
            }
            Event::StartTls => {
                self.log.push("starttls".into());
                self.written.extend_from_slice(&session.output().split());
                return session.after_tls(self.secure.clone());
            }
            Event::Auth(auth) => {
                self.log.push(format!("auth {}", auth.mechanism));
                session.challenge("VXNlcm5hbWU6");
            }
            Event::AuthResponse(response) => {
                let text = String::from_utf8_lossy(response.expose()).into_owned();
                self.log.push(format!("response {text}"));
                session.answer(Reply::new(235, EnhancedStatus::new(2, 7, 0), "Welcome"));
            }
            Event::Mail(mail) => {
                self.log.push(mail.to_string());
                session.answer(ok());
            }
            Event::Rcpt(rcpt) => {
                let refused = rcpt.forward_path.to_string().starts_with("no");
                self.log.push(rcpt.to_string());
                session.answer(if refused {
                    Reply::new(550, EnhancedStatus::new(5, 1, 1), "No such user")
                } else {
                    ok()
                });
            }
            Event::BodyStart { .. } => {
                self.log.push("body".into());
                session.accept_body();
            }
            Event::Body(bytes) => self.body.extend_from_slice(&bytes),
            Event::EndOfMessage => {
                let body = std::mem::take(&mut self.body);
                self.log.push(format!("message {}", body.escape_ascii()));
                session.answer_each(&[ok(), Reply::plain(550, "second")]);
            }
            Event::Reset => {
                self.body.clear();
                self.log.push("reset".into());
            }
            Event::Refused(reply) => {
                self.body.clear();
                self.log.push(format!("refused {}", reply.code()));
            }
            Event::Close => self.closed = true,
        }
        session
    }

    /// What was written since the last call, each reply's code and status only.
    fn replies(&mut self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut self.written)).unwrap();
        text.lines()
            .filter(|line| line.as_bytes().get(3) == Some(&b' '))
            .map(|line| {
                let mut words = line.split(' ');
                let code = words.next().unwrap();
                match words.next().and_then(EnhancedStatus::parse) {
                    Some(status) => format!("{code} {status}"),
                    None => code.to_owned(),
                }
            })
            .collect()
    }

    fn say(&mut self, text: &str) -> Vec<String> {
        self.push(text.as_bytes());
        self.replies()
    }
}

const ENVELOPE: &str = "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n";

fn in_transaction() -> Driver {
    let mut driver = Driver::new(Flavour::Smtp);
    driver.say(ENVELOPE);
    driver
}

#[test]
fn rfc5321_d_1_typical_scenario() {
    let mut driver = Driver::new(Flavour::Smtp);
    assert_eq!(driver.replies(), ["220"]);
    assert_eq!(driver.say("EHLO bar.com\r\n"), ["250"]);
    assert_eq!(driver.say("MAIL FROM:<Smith@bar.com>\r\n"), ["250 2.0.0"]);
    assert_eq!(driver.say("RCPT TO:<Jones@foo.com>\r\n"), ["250 2.0.0"]);
    assert_eq!(driver.say("RCPT TO:<nobody@foo.com>\r\n"), ["550 5.1.1"]);
    assert_eq!(driver.say("DATA\r\n"), ["354"]);
    assert_eq!(driver.say("Blah\r\n..etc.\r\n.\r\n"), ["250 2.0.0"]);
    assert_eq!(driver.say("QUIT\r\n"), ["221 2.0.0"]);
    assert!(driver.closed);
    assert!(
        driver
            .log
            .contains(&"message Blah\\r\\n.etc.\\r\\n".to_owned())
    );
}

#[test]
fn ehlo_announces_what_the_channel_allows() {
    let channel = Channel {
        starttls: true,
        auth_after_tls: true,
        ..Channel::default()
    };
    let mut driver = Driver::with(options(Flavour::Submission), channel);
    driver.push(b"EHLO c\r\n");
    let clear = String::from_utf8(std::mem::take(&mut driver.written)).unwrap();
    assert!(clear.contains("250-STARTTLS\r\n") && !clear.contains("AUTH"));
    for extension in [
        "PIPELINING",
        "SIZE 1000",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
    ] {
        assert!(clear.contains(extension), "{extension}");
    }
    driver.push(b"STARTTLS\r\n");
    driver.written.clear();
    driver.push(b"EHLO c\r\n");
    let secure = String::from_utf8(std::mem::take(&mut driver.written)).unwrap();
    assert!(!secure.contains("STARTTLS") && secure.contains("250-AUTH PLAIN LOGIN\r\n"));
}

#[test]
fn commands_out_of_order_are_refused() {
    let mut driver = Driver::new(Flavour::Smtp);
    driver.replies();
    assert_eq!(driver.say("MAIL FROM:<a@b>\r\n"), ["503 5.5.1"]);
    assert_eq!(driver.say("RCPT TO:<a@b>\r\n"), ["503 5.5.1"]);
    assert_eq!(driver.say("DATA\r\n"), ["503 5.5.1"]);
    assert_eq!(driver.say("LHLO c\r\n"), ["500 5.5.1"]);
    assert_eq!(
        driver.say("EHLO c\r\nMAIL FROM:<a@b>\r\n"),
        ["250", "250 2.0.0"]
    );
    assert_eq!(driver.say("MAIL FROM:<a@b>\r\n"), ["503 5.5.1"]);
    assert_eq!(
        driver.say("RCPT TO:<no@b>\r\nDATA\r\n"),
        ["550 5.1.1", "554 5.5.1"]
    );
    assert_eq!(driver.say("STARTTLS\r\n"), ["502 5.5.1"]);
    assert_eq!(driver.say("AUTH PLAIN\r\n"), ["503 5.5.1"]);
    assert_eq!(
        driver.say("VRFY a\r\nEXPN a\r\n"),
        ["252 2.5.2", "502 5.5.1"]
    );
}

#[test]
fn rset_and_ehlo_end_the_transaction() {
    let mut driver = in_transaction();
    assert_eq!(
        driver.say("RSET\r\nRCPT TO:<a@b>\r\n"),
        ["250 2.0.0", "503 5.5.1"]
    );
    assert_eq!(driver.log.last().unwrap(), "reset");
    let mut driver = in_transaction();
    assert_eq!(
        driver.say("EHLO c\r\nRCPT TO:<a@b>\r\n"),
        ["250", "503 5.5.1"]
    );
}

#[test]
fn size_over_the_limit_is_refused_at_mail_and_while_it_comes() {
    let mut driver = Driver::new(Flavour::Smtp);
    driver.say("EHLO c\r\n");
    assert_eq!(driver.say("MAIL FROM:<a@b> SIZE=1001\r\n"), ["552 5.3.4"]);
    let mut driver = in_transaction();
    let text = format!("DATA\r\n{}.\r\n", "0123456789\r\n".repeat(100));
    assert_eq!(driver.say(&text), ["354", "552 5.3.4"]);
    assert_eq!(driver.log.last().unwrap(), "refused 552");
    assert_eq!(driver.say("MAIL FROM:<a@b> SIZE=1000\r\n"), ["250 2.0.0"]);
}

#[test]
fn message_without_end_is_cut_off() {
    for line in ["0123456789\r\n", "\n\n\n\n\n\n\n\n\n\n\n\n"] {
        let mut driver = in_transaction();
        driver.say("DATA\r\n");
        let block = line.repeat(1000);
        let pushed = (0..1000).take_while(|_| {
            driver.push(block.as_bytes());
            !driver.closed
        });
        assert!(pushed.count() < 100);
        assert_eq!(driver.replies(), ["552 5.3.4"]);
    }
}

#[test]
fn bare_line_end_in_data_refuses_the_message_and_closes_after_it() {
    let mut driver = in_transaction();
    let smuggled = "DATA\r\nx\n.\nMAIL FROM:<evil@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nNOOP\r\n";
    assert_eq!(driver.say(smuggled), ["354", "550 5.6.0"]);
    assert!(driver.closed);
    assert!(
        !driver
            .log
            .iter()
            .any(|entry| entry.contains("evil") || entry.contains("message"))
    );
}

#[test]
fn bare_line_end_in_a_command_closes() {
    for text in ["NOOP\nNOOP\r\n", "NO\rOP\r\nNOOP\r\n"] {
        let mut driver = Driver::new(Flavour::Smtp);
        driver.replies();
        assert_eq!(driver.say(text), ["500 5.5.2"]);
        assert!(driver.closed);
    }
}

#[test]
fn nul_in_data_refuses_the_message_only() {
    let mut driver = in_transaction();
    assert_eq!(driver.say("DATA\r\na\0b\r\n.\r\n"), ["354", "550 5.6.0"]);
    assert_eq!(driver.say("NOOP\r\n"), ["250 2.0.0"]);
}

#[test]
fn overlong_line_is_refused_and_the_next_one_is_read() {
    let mut driver = Driver::new(Flavour::Smtp);
    driver.replies();
    for length in [3000, 20_000] {
        let text = format!("NOOP {}\r\nNOOP\r\n", "x".repeat(length));
        assert_eq!(driver.say(&text), ["500 5.5.2", "250 2.0.0"]);
    }
}

#[test]
fn recipients_over_the_limit_are_transient_and_bounded() {
    let mut driver = in_transaction();
    let text = "RCPT TO:<c@d>\r\n".repeat(5);
    assert_eq!(
        driver.say(&text),
        [
            "250 2.0.0",
            "250 2.0.0",
            "452 4.5.3",
            "452 4.5.3",
            "452 4.5.3"
        ]
    );
    assert_eq!(driver.say("DATA\r\n"), ["354"]);
    let mut driver = in_transaction();
    driver.push("RCPT TO:<c@d>\r\n".repeat(2000).as_bytes());
    assert!(driver.closed);
    assert_eq!(driver.replies().last().unwrap(), "421 4.7.0");
}

#[test]
fn errors_and_junk_end_the_connection() {
    let mut driver = Driver::new(Flavour::Smtp);
    driver.push("FOO\r\n".repeat(30).as_bytes());
    assert!(driver.closed);
    assert_eq!(driver.replies().len(), 1 + 20 + 1);
    let mut driver = Driver::new(Flavour::Smtp);
    driver.push("NOOP\r\n".repeat(1000).as_bytes());
    assert!(driver.closed);
    assert_eq!(driver.replies().len(), 1 + 120 + 1);
}

#[test]
fn browser_is_sent_away() {
    let mut driver = Driver::new(Flavour::Smtp);
    driver.replies();
    assert_eq!(driver.say("POST / HTTP/1.1\r\nHELO x\r\n"), ["500 5.5.2"]);
    assert!(driver.closed);
}

#[test]
fn plaintext_before_starttls_is_never_executed() {
    let channel = Channel {
        starttls: true,
        ..Channel::default()
    };
    let mut driver = Driver::with(options(Flavour::Smtp), channel);
    driver.replies();
    let injected = "EHLO c\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@b>\r\n";
    assert_eq!(driver.say(injected), ["250", "220 2.0.0"]);
    assert_eq!(
        driver.say("NOOP\r\nMAIL FROM:<a@b>\r\n"),
        ["250 2.0.0", "503 5.5.1"]
    );
    assert!(!driver.log.iter().any(|entry| entry.contains("evil")));
}

#[test]
fn bdat_message_is_taken_as_it_is() {
    let mut driver = in_transaction();
    let text = "BDAT 6\r\n.\r\n..\rBDAT 0\r\nBDAT 3 LAST\r\n\nx\r";
    // The CR LF pair is cut between two chunks; the message ends in a bare CR.
    assert_eq!(driver.say(text), ["250 2.0.0", "250 2.0.0", "550 5.6.0"]);
    let mut driver = in_transaction();
    let text = "BDAT 6\r\n.\r\n..\rBDAT 4 LAST\r\n\nx\r\nNOOP\r\n";
    assert_eq!(driver.say(text), ["250 2.0.0", "250 2.0.0", "250 2.0.0"]);
    assert_eq!(driver.log.last().unwrap(), "message .\\r\\n..\\r\\nx\\r\\n");
}

#[test]
fn bdat_out_of_order_swallows_its_octets() {
    let mut driver = Driver::new(Flavour::Smtp);
    driver.replies();
    assert_eq!(
        driver.say("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
        ["503 5.5.1", "250 2.0.0"]
    );
    driver.say("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\n");
    assert_eq!(driver.say("BDAT 6 LAST\r\nQUIT\r\n"), ["554 5.5.1"]);
    assert!(!driver.closed);
    let mut driver = in_transaction();
    let text = "BDAT 2\r\nxyDATA\r\nRCPT TO:<a@b>\r\nRSET\r\nBDAT 2 LAST\r\nxy";
    assert_eq!(
        driver.say(text),
        [
            "250 2.0.0",
            "503 5.5.1",
            "503 5.5.1",
            "250 2.0.0",
            "503 5.5.1"
        ]
    );
}

#[test]
fn bdat_over_the_limit_is_refused_and_stays_in_step() {
    let mut driver = in_transaction();
    let text = format!("BDAT 1200\r\n{}BDAT 1 LAST\r\nxNOOP\r\n", "x".repeat(1200));
    assert_eq!(driver.say(&text), ["552 5.3.4", "552 5.3.4", "250 2.0.0"]);
}

#[test]
fn bare_lf_in_bdat_refuses_the_message_and_stays_in_step() {
    let mut driver = in_transaction();
    assert_eq!(
        driver.say("BDAT 2 LAST\r\nx\nNOOP\r\n"),
        ["550 5.6.0", "250 2.0.0"]
    );
}

#[test]
fn rfc2033_4_2_lmtp_data_without_recipients_is_503() {
    let mut driver = Driver::new(Flavour::Lmtp);
    driver.replies();
    driver.say("LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\n");
    assert_eq!(driver.say("DATA\r\n"), ["503 5.5.1"]);
    assert_eq!(driver.say("BDAT 2 LAST\r\nxy"), ["503 5.5.1"]);
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let mut driver = Driver::new(Flavour::Lmtp);
    driver.replies();
    assert_eq!(driver.say("EHLO c\r\n"), ["500 5.5.1"]);
    driver.say("LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<no@d>\r\nRCPT TO:<e@d>\r\n");
    assert_eq!(
        driver.say("DATA\r\nx\r\n.\r\n"),
        ["354", "250 2.0.0", "550"]
    );
    driver.say("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\n");
    assert_eq!(
        driver.say("DATA\r\nx\0\r\n.\r\n"),
        ["354", "550 5.6.0", "550 5.6.0"]
    );
}

#[test]
fn submission_needs_auth_and_auth_needs_tls() {
    let channel = Channel {
        starttls: true,
        auth_after_tls: true,
        auth_required: true,
        ..Channel::default()
    };
    let mut driver = Driver::with(options(Flavour::Submission), channel);
    driver.replies();
    assert_eq!(
        driver.say("EHLO c\r\nMAIL FROM:<a@b>\r\n"),
        ["250", "530 5.7.0"]
    );
    assert_eq!(driver.say("AUTH PLAIN AGEAYg==\r\n"), ["538 5.7.11"]);
    driver.say("STARTTLS\r\n");
    assert_eq!(driver.say("EHLO c\r\nAUTH NTLM\r\n"), ["250", "504 5.5.4"]);
    assert_eq!(driver.say("AUTH login\r\n"), ["334"]);
    assert_eq!(driver.say("dXNlcg==\r\n"), ["235 2.7.0"]);
    assert_eq!(driver.say("AUTH login\r\n"), ["503 5.5.1"]);
    assert_eq!(driver.say("MAIL FROM:<a@b>\r\n"), ["250 2.0.0"]);
    assert!(driver.log.contains(&"response dXNlcg==".to_owned()));
}

#[test]
fn required_tls_comes_first() {
    let channel = Channel {
        starttls: true,
        tls_required: true,
        ..Channel::default()
    };
    let mut driver = Driver::with(options(Flavour::Submission), channel);
    driver.replies();
    assert_eq!(
        driver.say("EHLO c\r\nMAIL FROM:<a@b>\r\nBDAT 6\r\nQUIT\r\nNOOP\r\n"),
        ["250", "530 5.7.0", "530 5.7.0", "250 2.0.0"]
    );
}

#[test]
fn body_refused_by_the_driver_is_swallowed() {
    let mut driver = in_transaction();
    driver.say("DATA\r\nabc");
    let session = driver.session.as_mut().unwrap();
    session.refuse_body(Reply::new(452, EnhancedStatus::new(4, 3, 1), "Full"));
    assert_eq!(
        driver.say("def\r\n.\r\nNOOP\r\n"),
        ["452 4.3.1", "250 2.0.0"]
    );
}

#[test]
fn bare_postmaster_is_a_recipient() {
    let mut driver = in_transaction();
    assert_eq!(driver.say("RCPT TO:<Postmaster>\r\n"), ["250 2.0.0"]);
    assert_eq!(driver.log.last().unwrap(), "RCPT TO:<postmaster>");
    assert_ne!(
        ForwardPath::Postmaster,
        ForwardPath::Address(Address::parse("a@b").unwrap())
    );
}

fn line() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "EHLO c\r\n",
        "HELO c\r\n",
        "MAIL FROM:<a@b>\r\n",
        "MAIL FROM:<>\r\n",
        "RCPT TO:<c@d>\r\n",
        "RCPT TO:<no@d>\r\n",
        "DATA\r\n",
        "text\r\n",
        "..dot\r\n",
        ".\r\n",
        "\r\n",
        "BDAT 3\r\n",
        "abc",
        "BDAT 8 LAST\r\n",
        "12345\r\n8",
        "RSET\r\n",
        "NOOP\r\n",
        "STARTTLS\r\n",
        "QUIT\r\n",
        "AUTH LOGIN\r\n",
        "dXNlcg==\r\n",
        "bare\n",
        "ba\rre\r\n",
        "nul\0\r\n",
        "FOO\r\n",
        "GET / HTTP\r\n",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn byte_by_byte_equals_one_chunk(
        lines in prop::collection::vec(line(), 0..30),
        begun: bool,
        limit in prop::sample::select(vec![0u64, 5, 12, 1000]),
    ) {
        // Without STARTTLS: what comes with it in one piece is dropped, and must be.
        let lines: String = lines.into_iter().filter(|l| l != "STARTTLS\r\n").collect();
        let lines = if begun { format!("{ENVELOPE}DATA\r\n{lines}") } else { lines };
        let limited = || Options { message_size_limit: limit, ..options(Flavour::Smtp) };
        let mut whole = Driver::with(limited(), Channel::default());
        whole.push(lines.as_bytes());
        let mut cut = Driver::with(limited(), Channel::default());
        for byte in lines.bytes() {
            cut.push(&[byte]);
        }
        prop_assert_eq!(cut.log, whole.log);
        prop_assert_eq!(cut.written, whole.written);
        prop_assert_eq!(cut.closed, whole.closed);
    }

    #[test]
    fn nothing_sent_before_tls_is_executed_after(lines in prop::collection::vec(line(), 0..20)) {
        let channel = Channel { starttls: true, ..Channel::default() };
        let mut driver = Driver::with(options(Flavour::Smtp), channel);
        driver.push(format!("STARTTLS\r\n{}", lines.concat()).as_bytes());
        prop_assert_eq!(&driver.log, &["starttls"]);
        prop_assert_eq!(driver.replies(), ["220", "220 2.0.0"]);
    }

    #[test]
    fn any_input_keeps_memory_bounded(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut driver = Driver::new(Flavour::Smtp);
        for piece in bytes.chunks(700) {
            driver.push(piece);
        }
        let session = driver.session.as_mut().unwrap();
        prop_assert!(session.input().len() <= AUTH_LIMIT + 2);
    }
}
