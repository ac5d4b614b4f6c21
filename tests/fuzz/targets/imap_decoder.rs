//! Commands come out the same however the input is cut, within the limits.
#![no_main]
use facteur_imap::{Decoder, Event, Limits};
use libfuzzer_sys::fuzz_target;

fn transcript(input: &[u8], size: usize) -> Vec<String> {
    let mut decoder = Decoder::new(Limits {
        line: 512,
        literals: 256,
    });
    let (mut said, mut message) = (Vec::new(), Vec::new());
    for piece in input.chunks(size.max(1)) {
        decoder.feed(piece);
        loop {
            match decoder.poll() {
                Event::NeedMore => break,
                Event::Append(head) => {
                    let refuse = head.mailbox.as_bytes().len() % 2 == 1;
                    said.push(format!("{head:?}"));
                    if refuse {
                        decoder.refuse_append();
                    } else {
                        decoder.accept_append();
                    }
                }
                Event::Chunk(chunk) => message.extend_from_slice(&chunk),
                Event::AppendEnd => said.push(format!("{:?}", std::mem::take(&mut message))),
                other => {
                    message.clear();
                    said.push(format!("{other:?}"));
                }
            }
        }
    }
    said
}

fuzz_target!(|input: &[u8]| {
    let whole = transcript(input, usize::MAX);
    for size in [1, 13] {
        assert_eq!(transcript(input, size), whole);
    }
});
