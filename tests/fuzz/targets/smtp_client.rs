//! Whatever a server says, the client keeps to one outcome per recipient.
#![no_main]
use facteur_address::Address;
use facteur_smtp::{
    client::{Client, Dialect, Event, Message},
    command::BodyType,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [dialect, size, input @ ..] = data else {
        return;
    };
    let dialect = if dialect % 2 == 0 {
        Dialect::Smtp
    } else {
        Dialect::Lmtp
    };
    let recipients: Vec<_> = ["a@example.test", "b@example.test", "c@example.test"]
        .iter()
        .filter_map(|text| Address::parse(text).ok())
        .collect();
    let mut client = Client::new(dialect, "mail.example.test");
    for piece in input.chunks(usize::from(*size).max(1)) {
        client.input().push(piece);
        loop {
            match client.next_event() {
                Err(_) => return,
                Ok(None) => break,
                Ok(Some(Event::Ready)) => client.send(Message {
                    reverse_path: None,
                    forward_paths: recipients.clone(),
                    size: 20,
                    body: BodyType::SevenBit,
                }),
                Ok(Some(Event::BodyWanted)) => {
                    client.body(b"Subject: x\r\n\r\n.\r\n");
                    client.end_body();
                }
                Ok(Some(Event::Finished(outcomes))) => {
                    assert_eq!(outcomes.len(), recipients.len());
                    return;
                }
                Ok(Some(_)) => return,
            }
        }
        client.output().clear();
    }
    if let Some(outcomes) = client.lost("connection lost") {
        assert_eq!(outcomes.len(), recipients.len());
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.reply.code() / 100 != 1)
        );
    }
});
