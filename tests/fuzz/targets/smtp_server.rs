//! An SMTP, submission or LMTP session says the same however its input is cut, and ends every
//! message it began.
#![no_main]
use std::sync::Arc;

use facteur_smtp::{
    Reply,
    server::{Channel, Event, Flavour, Options, Session},
};
use libfuzzer_sys::fuzz_target;

/// Everything the session said and did, pieces of a message put together.
fn transcript(flavour: Flavour, verdicts: u8, input: &[u8], size: usize) -> (Vec<u8>, Vec<String>) {
    let channel = Channel {
        starttls: verdicts & 1 != 0,
        mechanisms: vec!["PLAIN", "LOGIN"],
        ..Channel::default()
    };
    let mut options = Options::new(flavour, "mx.example.test");
    options.message_size_limit = 4096;
    options.recipient_limit = 5;
    let mut session = Session::new(Arc::new(options), channel);
    let ok = || Reply::plain(250, "ok");
    let no = || Reply::plain(550, "no");
    let (mut output, mut events, mut body) = (Vec::new(), Vec::new(), Vec::new());
    let mut accepted = 0_usize;
    let mut asked = 0_u32;
    'input: for piece in input.chunks(size.max(1)) {
        session.input().push(piece);
        while let Some(event) = session.next_event() {
            asked = asked.wrapping_add(1);
            let yes = verdicts.rotate_left(asked % 8) & 2 == 0;
            match &event {
                Event::Body(bytes) => {
                    body.extend_from_slice(bytes);
                    asked = asked.wrapping_sub(1);
                    continue;
                }
                Event::Hello { .. } => session.accept_hello(),
                Event::Auth(_) => session.challenge("VXNlcm5hbWU6"),
                Event::AuthResponse(_) => session.answer(no()),
                Event::Mail(_) => {
                    accepted = 0;
                    session.answer(if yes { ok() } else { no() });
                }
                Event::Rcpt(_) => {
                    accepted += usize::from(yes);
                    session.answer(if yes { ok() } else { no() });
                }
                Event::BodyStart { .. } if yes => session.accept_body(),
                Event::BodyStart { .. } => session.answer(no()),
                Event::EndOfMessage => {
                    events.push(format!("message {:?}", std::mem::take(&mut body)));
                    match flavour {
                        Flavour::Lmtp => session.answer_each(&vec![ok(); accepted]),
                        _ => session.answer(ok()),
                    }
                }
                Event::Reset | Event::Refused(_) => body.clear(),
                Event::StartTls | Event::Close => {
                    events.push(format!("{event:?}"));
                    break 'input;
                }
            }
            events.push(match event {
                // Whether more had come with DATA depends on how the input is cut.
                Event::BodyStart { .. } => "BodyStart".to_owned(),
                event => format!("{event:?}"),
            });
        }
        output.extend_from_slice(&session.output().split());
    }
    output.extend_from_slice(&session.output().split());
    (output, events)
}

fuzz_target!(|data: &[u8]| {
    let [flavour, verdicts, input @ ..] = data else {
        return;
    };
    let flavour = match flavour % 3 {
        0 => Flavour::Smtp,
        1 => Flavour::Submission,
        _ => Flavour::Lmtp,
    };
    let whole = transcript(flavour, *verdicts, input, usize::MAX);
    for size in [1, 7] {
        assert_eq!(transcript(flavour, *verdicts, input, size), whole);
    }
});
