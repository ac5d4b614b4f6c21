//! A ManageSieve session says the same however its input is cut.
#![no_main]
use facteur_managesieve::{Capabilities, Event, Next, Session};
use libfuzzer_sys::fuzz_target;

fn capabilities() -> Capabilities {
    Capabilities {
        implementation: "Facteur".to_owned(),
        sieve: vec!["fileinto"],
        sasl: &["PLAIN", "LOGIN"],
        passwords: true,
        start_tls: true,
        max_redirects: None,
        notify: Vec::new(),
    }
}

fn transcript(input: &[u8], size: usize) -> Vec<u8> {
    let mut session = Session::new(capabilities(), 1024);
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
                Next::Event(Event::Authenticate { .. }) => session.challenge(""),
                Next::Event(Event::Respond(_)) => session.authenticated("user@example.test"),
                Next::Event(Event::ListScripts) => session.list([("a", true), ("b\"c", false)]),
                Next::Event(Event::GetScript(_)) => session.script(b"keep;\r\n"),
                Next::Event(Event::PutScript { script, .. }) => {
                    output.extend_from_slice(&script);
                    session.ok("stored");
                }
                Next::Event(Event::DeleteScript(_)) => session.no(None, "no"),
                Next::Event(_) => session.ok("done"),
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
