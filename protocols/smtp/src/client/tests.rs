use facteur_address::Address;
use proptest::prelude::*;

use super::*;
use crate::command::BodyType;

fn message(recipients: &[&str]) -> Message {
    Message {
        reverse_path: Some(Address::parse("a@example.org").unwrap()),
        forward_paths: recipients
            .iter()
            .map(|text| Address::parse(text).unwrap())
            .collect(),
        size: 20,
        body: BodyType::SevenBit,
    }
}

fn feed(client: &mut Client, text: &str) -> Vec<Event> {
    client.input().push(text.as_bytes());
    std::iter::from_fn(|| client.next_event().unwrap()).collect()
}

fn output(client: &mut Client) -> String {
    String::from_utf8(client.output().split().to_vec()).unwrap()
}

const PIPELINING: &str = "220 mx.example.net\r\n250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n";

fn ready(dialect: Dialect, greeting: &str) -> Client {
    let mut client = Client::new(dialect, "mail.example.com");
    assert_eq!(feed(&mut client, greeting), [Event::Ready]);
    output(&mut client);
    client
}

fn codes(events: &[Event]) -> Vec<u16> {
    match events {
        [Event::Finished(outcomes)] => outcomes.iter().map(|o| o.reply.code()).collect(),
        other => panic!("not finished: {other:?}"),
    }
}

#[test]
fn pipelined_transaction_goes_out_in_one_piece() {
    let mut client = ready(Dialect::Smtp, PIPELINING);
    client.send(message(&["b@example.net", "c@example.net"]));
    assert_eq!(
        output(&mut client),
        "MAIL FROM:<a@example.org> SIZE=20\r\nRCPT TO:<b@example.net>\r\n\
         RCPT TO:<c@example.net>\r\nDATA\r\n"
    );
    let events = feed(
        &mut client,
        "250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n",
    );
    assert_eq!(events, [Event::BodyWanted]);
    client.body(b"Subject: x\r\n\r\n.dot");
    client.end_body();
    assert_eq!(output(&mut client), "Subject: x\r\n\r\n..dot\r\n.\r\n");
    assert_eq!(
        codes(&feed(&mut client, "250 2.0.0 queued\r\n")),
        [550, 250]
    );
    assert!(client.is_idle());
}

#[test]
fn without_pipelining_each_command_waits_for_its_answer() {
    let mut client = ready(Dialect::Smtp, "220 mx\r\n250 mx\r\n");
    client.send(message(&["b@example.net", "c@example.net"]));
    for (expected, answer) in [
        ("MAIL FROM:<a@example.org>\r\n", "250 ok\r\n"),
        ("RCPT TO:<b@example.net>\r\n", "250 ok\r\n"),
        ("RCPT TO:<c@example.net>\r\n", "450 later\r\n"),
    ] {
        assert_eq!(output(&mut client), expected);
        assert_eq!(feed(&mut client, answer), []);
    }
    assert_eq!(output(&mut client), "DATA\r\n");
    assert_eq!(feed(&mut client, "354 go\r\n"), [Event::BodyWanted]);
    client.end_body();
    assert_eq!(codes(&feed(&mut client, "250 ok\r\n")), [250, 450]);
    // What is left of the refused RCPT is cleared before the next message, by itself.
    output(&mut client);
    client.send(message(&["b@example.net"]));
    assert_eq!(output(&mut client), "RSET\r\n");
    feed(&mut client, "250 ok\r\n");
    assert_eq!(output(&mut client), "MAIL FROM:<a@example.org>\r\n");
}

#[test]
fn ehlo_refused_falls_back_to_helo() {
    let mut client = Client::new(Dialect::Smtp, "mail.example.com");
    assert_eq!(feed(&mut client, "220-mx\r\n220 hello\r\n"), []);
    assert_eq!(output(&mut client), "EHLO mail.example.com\r\n");
    assert_eq!(feed(&mut client, "502 what?\r\n"), []);
    assert_eq!(output(&mut client), "HELO mail.example.com\r\n");
    assert_eq!(feed(&mut client, "250 mx\r\n"), [Event::Ready]);
    assert_eq!(*client.capabilities(), Capabilities::default());
}

#[test]
fn greeting_554_refuses_the_session() {
    let mut client = Client::new(Dialect::Smtp, "mail.example.com");
    let events = feed(&mut client, "554 go away\r\n");
    assert!(matches!(events.as_slice(), [Event::Refused(reply)] if reply.code() == 554));
    assert!(!client.is_idle());
}

#[test]
fn mail_refused_refuses_every_recipient_and_an_accepted_data_is_ended_empty() {
    let mut client = ready(Dialect::Smtp, PIPELINING);
    client.send(message(&["b@example.net", "c@example.net"]));
    output(&mut client);
    assert_eq!(
        feed(&mut client, "553 5.1.8 no\r\n503 x\r\n250 ok\r\n354 go\r\n"),
        []
    );
    assert_eq!(output(&mut client), ".\r\n");
    assert_eq!(codes(&feed(&mut client, "250 what?\r\n")), [553, 553]);
}

#[test]
fn data_refused_counts_for_those_that_were_accepted() {
    let mut client = ready(Dialect::Smtp, PIPELINING);
    client.send(message(&["b@example.net", "c@example.net"]));
    let events = feed(
        &mut client,
        "250 ok\r\n250 ok\r\n550 no\r\n451 4.3.0 not now\r\n",
    );
    assert_eq!(codes(&events), [451, 550]);
}

#[test]
fn lmtp_answers_for_each_accepted_recipient() {
    let mut client = Client::new(Dialect::Lmtp, "mail.example.com");
    feed(&mut client, "220 lmtp\r\n");
    assert_eq!(output(&mut client), "LHLO mail.example.com\r\n");
    assert_eq!(
        feed(&mut client, "250-lmtp\r\n250 PIPELINING\r\n"),
        [Event::Ready]
    );
    client.send(message(&[
        "b@example.net",
        "c@example.net",
        "d@example.net",
    ]));
    let events = feed(
        &mut client,
        "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n",
    );
    assert_eq!(events, [Event::BodyWanted]);
    client.body(b"x\r\n");
    client.end_body();
    assert_eq!(feed(&mut client, "250 ok\r\n"), []);
    assert_eq!(codes(&feed(&mut client, "452 full\r\n")), [250, 550, 452]);
}

#[test]
fn lmtp_data_accepted_without_a_recipient_is_not_waited_for() {
    let mut client = ready(Dialect::Lmtp, PIPELINING);
    client.send(message(&["b@example.net"]));
    output(&mut client);
    let events = feed(&mut client, "250 ok\r\n550 5.1.1 no\r\n354 go\r\n");
    assert_eq!(codes(&events), [550]);
    assert_eq!(
        (output(&mut client).as_str(), client.is_idle()),
        ("", false)
    );
}

#[test]
fn message_over_the_peers_size_is_never_begun() {
    let mut client = ready(Dialect::Smtp, PIPELINING);
    let big = Message {
        size: 1001,
        ..message(&["b@example.net"])
    };
    client.send(big);
    assert_eq!(output(&mut client), "");
    assert_eq!(codes(&feed(&mut client, "")), [552]);
    assert!(client.is_idle());
}

#[test]
fn connection_lost_after_the_final_dot_is_temporary() {
    let mut client = ready(Dialect::Smtp, PIPELINING);
    client.send(message(&["b@example.net", "c@example.net"]));
    feed(
        &mut client,
        "250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n",
    );
    client.body(b"x\r\n");
    client.end_body();
    let outcomes = client.lost("lost connection").unwrap();
    assert_eq!(outcomes[0].reply.code(), 550);
    assert!(outcomes[1].reply.is_transient() && !outcomes[1].from_peer);
    assert_eq!(
        outcomes[1].reply.to_string(),
        "421 4.4.2 lost connection while sending end of data"
    );
    assert!(!client.is_idle());
}

#[test]
fn answer_in_the_middle_of_the_message_ends_it() {
    let mut client = ready(Dialect::Smtp, PIPELINING);
    client.send(message(&["b@example.net"]));
    feed(&mut client, "250 ok\r\n250 ok\r\n354 go\r\n");
    client.body(b"x\r\n");
    assert_eq!(codes(&feed(&mut client, "552 5.3.4 too big\r\n")), [552]);
    assert!(!client.is_idle());
}

#[test]
fn plaintext_after_starttls_is_dropped_and_ehlo_repeated() {
    let mut client = ready(Dialect::Smtp, "220 mx\r\n250-mx\r\n250 STARTTLS\r\n");
    client.start_tls();
    assert_eq!(output(&mut client), "STARTTLS\r\n");
    client
        .input()
        .push(b"220 go\r\n250-evil\r\n250 PIPELINING\r\n");
    assert_eq!(client.next_event(), Ok(Some(Event::TlsGoAhead)));
    client.tls_started();
    assert_eq!(client.next_event(), Ok(None));
    assert_eq!(output(&mut client), "EHLO mail.example.com\r\n");
    assert_eq!(feed(&mut client, "250 mx\r\n"), [Event::Ready]);
    assert!(!client.capabilities().pipelining && !client.capabilities().start_tls);
}

#[test]
fn endless_reply_breaks_the_session() {
    let mut client = Client::new(Dialect::Smtp, "mail.example.com");
    client
        .input()
        .push("220-more\r\n".repeat(Client::MAX_LINES + 1).as_bytes());
    assert_eq!(client.next_event(), Err(Broken::TooLong));
    let mut client = Client::new(Dialect::Smtp, "mail.example.com");
    client.input().push(&[b'2'; 10_000]);
    client.input().push(b"\r\n");
    assert_eq!(client.next_event(), Err(Broken::TooLong));
}

#[test]
fn unasked_reply_breaks_the_session_and_421_closes_it() {
    let mut client = ready(Dialect::Smtp, PIPELINING);
    client.input().push(b"250 hello?\r\n");
    assert_eq!(client.next_event(), Err(Broken::Unexpected));
    let mut client = ready(Dialect::Smtp, PIPELINING);
    assert_eq!(feed(&mut client, "421 4.3.2 bye\r\n"), [Event::Closed]);
    assert!(!client.is_idle());
}

#[test]
fn eight_bit_body_is_told_only_to_a_peer_that_knows() {
    for (offer, expected) in [("8BITMIME", " BODY=8BITMIME"), ("X-NONE", "")] {
        let mut client = ready(
            Dialect::Smtp,
            &format!("220 mx\r\n250-mx\r\n250 {offer}\r\n"),
        );
        let body = BodyType::EightBitMime;
        client.send(Message {
            body,
            reverse_path: None,
            ..message(&["b@example.net"])
        });
        assert_eq!(output(&mut client), format!("MAIL FROM:<>{expected}\r\n"));
    }
}

/// Plays a whole session against `answers`, its bytes cut into pieces of `cut`.
fn play(answers: &[u8], cut: usize) -> (Vec<Event>, Option<Broken>, Vec<u8>) {
    let mut client = Client::new(Dialect::Smtp, "mail.example.com");
    let (mut events, mut written) = (Vec::new(), Vec::new());
    for piece in answers.chunks(cut) {
        client.input().push(piece);
        loop {
            match client.next_event() {
                Ok(None) => break,
                Ok(Some(event)) => {
                    match &event {
                        Event::Ready => client.send(message(&["b@example.net", "c@example.net"])),
                        Event::BodyWanted => {
                            client.body(b"x\r\n");
                            client.end_body();
                        }
                        _ => {}
                    }
                    events.push(event);
                }
                Err(broken) => return (events, Some(broken), written),
            }
            written.extend_from_slice(&client.output().split());
        }
    }
    if let Some(outcomes) = client.lost("test") {
        events.push(Event::Finished(outcomes));
    }
    (events, None, written)
}

proptest! {
    #[test]
    fn answers_byte_by_byte_equal_one_chunk(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "220 x", "250 x", "250-x", "250 PIPELINING", "354 go", "550 5.1.1 no", "452 4.2.2 full",
                "421 bye", "garbage", "250",
            ]),
            0..14,
        ),
        cut in 1usize..9,
    ) {
        let answers = lines.iter().flat_map(|line| [line, "\r\n"]).collect::<String>();
        let whole = play(answers.as_bytes(), answers.len().max(1));
        prop_assert_eq!(play(answers.as_bytes(), cut), whole.clone());
        for event in &whole.0 {
            if let Event::Finished(outcomes) = event {
                prop_assert_eq!(outcomes.len(), 2);
            }
        }
    }
}
