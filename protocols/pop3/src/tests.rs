//! Dialogues.

use facteur_wire::Secret;
use proptest::prelude::*;

use crate::{DotStuffer, Event, Maildrop, Message, Next, ResponseCode, Session, Setting};

const PLAIN: Setting = Setting {
    start_tls: true,
    passwords: false,
    mechanisms: &["PLAIN", "LOGIN"],
};
const SECURE: Setting = Setting {
    start_tls: false,
    passwords: true,
    ..PLAIN
};

const BODY: &[u8] = b"Subject: x\r\n\r\n.dot\r\nend\r\n";

/// Drives a session as a driver would, with `user`/`right` as the only account; returns all output
/// and the UIDs that were deleted.
struct Driver {
    session: Session,
    sent: Vec<u8>,
    deleted: Option<Vec<u32>>,
    closed: bool,
}

impl Driver {
    fn new(setting: Setting) -> Self {
        let mut driver = Self {
            session: Session::new(setting, "ready"),
            sent: Vec::new(),
            deleted: None,
            closed: false,
        };
        driver.run();
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
        match event {
            Event::StartTls => session.tls_started(SECURE),
            Event::Login { user, password } => {
                if user == "user" && password.expose() == b"right" {
                    session.logged_in(maildrop());
                } else {
                    session.refuse(Some(ResponseCode::Auth), "failed");
                }
            }
            Event::Authenticate {
                initial_response, ..
            } => match initial_response.as_ref().map(Secret::expose) {
                None => session.challenge("Pz8="),
                Some(b"good") => session.logged_in(maildrop()),
                Some(_) => session.refuse(Some(ResponseCode::Auth), "failed"),
            },
            Event::Respond(line) => match line.expose() {
                b"good" => session.logged_in(maildrop()),
                _ => session.refuse(Some(ResponseCode::Auth), "failed"),
            },
            Event::Retrieve { message, lines } => {
                session.begin_message(message, lines);
                let mut stuffer = lines.map_or_else(DotStuffer::whole, DotStuffer::top);
                stuffer.push(BODY, session.output());
                session.end_message(stuffer);
            }
            Event::Update { delete } => {
                self.deleted = Some(delete);
                session.updated(true);
            }
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.sent).unwrap()
    }
}

fn maildrop() -> Maildrop {
    let message = |uid, size| Message { uid, size };
    Maildrop::new(0x1234, vec![message(5, 120), message(255, 200)])
}

/// What comes after the greeting.
fn dialogue(setting: Setting, input: &str) -> String {
    let mut driver = Driver::new(setting);
    driver.send(input.replace('\n', "\r\n").as_bytes());
    driver
        .text()
        .replace("\r\n", "\n")
        .split_off("+OK ready\n".len())
}

#[test]
fn rfc1939_5_stat_list_uidl_name_the_messages() {
    let output = dialogue(
        SECURE,
        "USER user\nPASS right\nSTAT\nLIST\nLIST 2\nLIST 3\nUIDL\nUIDL 1\n",
    );
    assert_eq!(
        output,
        "+OK Send PASS\n+OK Logged in, 2 messages (320 octets)\n+OK 2 320\n\
         +OK 2 messages (320 octets)\n1 120\n2 200\n.\n+OK 2 200\n-ERR No such message\n\
         +OK 2 messages (320 octets)\n1 0000000500001234\n2 000000ff00001234\n.\n\
         +OK 1 0000000500001234\n"
    );
}

#[test]
fn dele_is_applied_at_quit_only() {
    let mut driver = Driver::new(SECURE);
    driver.send(b"USER user\r\nPASS right\r\nDELE 1\r\nDELE 1\r\nSTAT\r\nLIST\r\nRETR 1\r\n");
    assert!(driver.text().ends_with(
        "+OK Marked to be deleted\r\n-ERR No such message\r\n+OK 1 200\r\n\
         +OK 1 messages (200 octets)\r\n2 200\r\n.\r\n-ERR No such message\r\n"
    ));
    assert_eq!(driver.deleted, None);
    driver.send(b"QUIT\r\n");
    assert_eq!(driver.deleted, Some(vec![5]));
    assert!(driver.closed);
}

#[test]
fn rset_takes_the_marks_back() {
    let mut driver = Driver::new(SECURE);
    driver.send(b"USER user\r\nPASS right\r\nDELE 1\r\nRSET\r\nSTAT\r\nQUIT\r\n");
    assert!(driver.text().contains("+OK 2 320\r\n"));
    assert_eq!(driver.deleted, Some(vec![]));
}

#[test]
fn quit_before_login_updates_nothing() {
    let mut driver = Driver::new(SECURE);
    driver.send(b"QUIT\r\nSTAT\r\n");
    assert_eq!(driver.deleted, None);
    assert!(driver.closed && driver.text().ends_with("+OK Bye\r\n"));
}

#[test]
fn retr_and_top_send_stuffed_messages() {
    let output = dialogue(SECURE, "USER user\nPASS right\nRETR 1\nTOP 2 1\nTOP 2 0\n");
    assert!(output.ends_with(
        "+OK 120 octets\nSubject: x\n\n..dot\nend\n.\n\
         +OK Top of message follows\nSubject: x\n\n..dot\n.\n\
         +OK Top of message follows\nSubject: x\n\n.\n"
    ));
}

#[test]
fn capabilities_say_what_works_now() {
    let always = "TOP\nUIDL\nRESP-CODES\nAUTH-RESP-CODE\nPIPELINING\nIMPLEMENTATION Facteur\n.\n";
    assert_eq!(
        dialogue(PLAIN, "CAPA\n"),
        format!("+OK Capabilities follow\nSTLS\n{always}")
    );
    assert_eq!(
        dialogue(SECURE, "CAPA\n"),
        format!("+OK Capabilities follow\nUSER\nSASL PLAIN LOGIN\n{always}")
    );
    assert!(
        dialogue(SECURE, "AUTH PLAIN good\nCAPA\n").ends_with(&format!(
            "octets)\n+OK Capabilities follow\nUSER\nSASL PLAIN LOGIN\n{always}"
        ))
    );
}

#[test]
fn passwords_without_tls_are_refused() {
    let output = dialogue(PLAIN, "USER user\nPASS right\nAUTH PLAIN good\nSTAT\n");
    assert_eq!(
        output,
        "-ERR Passwords need TLS\n-ERR Passwords need TLS\n-ERR Passwords need TLS\n\
         -ERR Log in first\n"
    );
}

#[test]
fn plaintext_after_stls_is_never_executed() {
    let output = dialogue(PLAIN, "STLS\nAUTH PLAIN good\nCAPA\n");
    assert_eq!(output, "+OK Begin TLS negotiation\n");
}

#[test]
fn user_before_stls_is_forgotten() {
    let mut driver = Driver::new(Setting {
        passwords: true,
        ..PLAIN
    });
    driver.send(b"USER user\r\nSTLS\r\n");
    driver.send(b"PASS right\r\n");
    assert!(driver.text().ends_with("-ERR Send USER first\r\n"));
    driver.send(b"STLS\r\n");
    assert!(driver.text().ends_with("-ERR TLS is not available\r\n"));
}

#[test]
fn auth_with_challenge_takes_the_next_line_as_its_answer() {
    assert!(
        dialogue(SECURE, "AUTH LOGIN\ngood\nNOOP\n")
            .ends_with("+ Pz8=\n+OK Logged in, 2 messages (320 octets)\n+OK Nothing done\n")
    );
    assert_eq!(
        dialogue(SECURE, "AUTH LOGIN\nQUIT\nNOOP\n"),
        "+ Pz8=\n-ERR [AUTH] failed\n-ERR Log in first\n"
    );
}

#[test]
fn auth_alone_lists_the_mechanisms() {
    assert_eq!(
        dialogue(SECURE, "AUTH\n"),
        "+OK Mechanisms follow\nPLAIN\nLOGIN\n.\n"
    );
}

#[test]
fn commands_of_the_other_state_are_refused() {
    let output = dialogue(SECURE, "DELE 1\nAUTH PLAIN good\nUSER x\nSTLS\nAPOP a b\n");
    assert_eq!(
        output,
        "-ERR Log in first\n+OK Logged in, 2 messages (320 octets)\n-ERR Already logged in\n\
         -ERR Already logged in\n-ERR unknown command\n"
    );
}

#[test]
fn errors_in_a_row_end_the_session() {
    let mut driver = Driver::new(SECURE);
    for _ in 0..10 {
        driver.send(b"USER user\r\nPASS wrong\r\n");
    }
    // USER is accepted in between: it must not keep a guesser alive.
    assert!(driver.closed);
}

#[test]
fn overlong_and_bare_lf_lines_cost_an_error_each() {
    let mut driver = Driver::new(SECURE);
    driver.send(&[b'x'; 100_000]);
    driver.send(b"\r\nCAPA\nQUIT\r\n");
    assert!(driver.text().contains("-ERR line is too long\r\n"));
    assert!(
        driver
            .text()
            .contains("-ERR line ends in LF without CR\r\n")
    );
    assert!(driver.closed);
}

#[test]
fn long_listing_is_made_as_it_is_sent() {
    let mut session = Session::new(SECURE, "ready");
    session.input().push(b"AUTH PLAIN =\r\nLIST\r\nNOOP\r\n");
    let mut lines = 0;
    loop {
        match session.advance() {
            Next::Event(_) => {
                let messages = (1..=100_000).map(|uid| Message { uid, size: 1 }).collect();
                session.logged_in(Maildrop::new(1, messages));
            }
            next => {
                assert!(session.output().len() < 64 * 1024);
                let output = session.output().split();
                lines += output.iter().filter(|b| **b == b'\n').count();
                if matches!(next, Next::Input) {
                    break;
                }
            }
        }
    }
    assert_eq!(lines, 100_000 + 5);
}

proptest! {
    #[test]
    fn byte_by_byte_equals_one_chunk(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "USER user", "PASS right", "PASS wrong", "AUTH PLAIN good", "AUTH LOGIN", "good",
                "*", "STAT", "LIST", "UIDL 2", "RETR 1", "TOP 1 1", "DELE 2", "RSET", "NOOP",
                "CAPA", "QUIT", "", "RETR x", "\u{0}", "bare\nlf",
            ]),
            0..25,
        ),
    ) {
        let mut input = lines.join("\r\n");
        input.push_str("\r\n");
        let mut whole = Driver::new(SECURE);
        whole.send(input.as_bytes());
        let mut cut = Driver::new(SECURE);
        for byte in input.bytes() {
            if !cut.closed {
                cut.send(&[byte]);
            }
        }
        prop_assert_eq!(whole.text(), cut.text());
        prop_assert_eq!(whole.deleted, cut.deleted);
        prop_assert_eq!(whole.closed, cut.closed);
    }
}
