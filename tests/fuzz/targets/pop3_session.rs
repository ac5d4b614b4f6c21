//! A POP3 session says the same however its input is cut.
#![no_main]
use facteur_pop3::{Event, Maildrop, Message, Next, Session, Setting};
use libfuzzer_sys::fuzz_target;

fn transcript(input: &[u8], size: usize) -> Vec<u8> {
    let setting = Setting {
        start_tls: true,
        passwords: true,
        mechanisms: &["PLAIN", "LOGIN"],
    };
    let mut session = Session::new(setting, "ready");
    let mut output = Vec::new();
    'input: for piece in input.chunks(size.max(1)) {
        session.input().push(piece);
        loop {
            match session.advance() {
                Next::Input => break,
                Next::Flush => output.extend_from_slice(&session.output().split()),
                Next::Close => break 'input,
                // What was buffered is dropped, so how the input is cut matters from here on.
                Next::Event(Event::StartTls) => break 'input,
                Next::Event(Event::Login { .. } | Event::Respond(_)) => {
                    let messages = (1..=3).map(|uid| Message { uid, size: 10 }).collect();
                    session.logged_in(Maildrop::new(1, messages));
                }
                Next::Event(Event::Authenticate { .. }) => session.challenge(""),
                Next::Event(Event::Retrieve { message, lines }) => {
                    session.begin_message(message, lines);
                    session.refuse(None, "gone");
                }
                Next::Event(Event::Update { delete }) => {
                    assert!(delete.is_sorted());
                    session.updated(true);
                }
            }
        }
    }
    output.extend_from_slice(&session.output().split());
    output
}

fuzz_target!(|input: &[u8]| {
    let whole = transcript(input, usize::MAX);
    assert_eq!(transcript(input, 1), whole);
});
