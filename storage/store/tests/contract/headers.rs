//! Header lines that were asked for once are answered from the index.

use std::fs;

use bytes::Bytes;
use facteur_model::{MailFormat, Uid, UidSet};
use facteur_store::{Append, Body, Mailbox, Store};

use crate::world::{World, batch, listed, uids};

fn deliver(world: &World, store: &Store, message: &[u8]) {
    let append = Append {
        prefix: Bytes::new(),
        body: Body::Memory(message.to_vec().into()),
        ..world.append("bob", "INBOX")
    };
    store.commit(batch([append])).unwrap();
}

fn lines(mailbox: &Mailbox, which: &UidSet, fields: &[&str]) -> Vec<(u32, String)> {
    let fields: Vec<String> = fields.iter().map(|name| (*name).to_owned()).collect();
    let mut found = Vec::new();
    mailbox
        .header_lines(which, &fields, &mut |uid, lines| {
            found.push((uid.value(), String::from_utf8(lines.to_vec()).unwrap()));
        })
        .unwrap();
    found
}

fn message(n: u32) -> Vec<u8> {
    format!("Received: a\r\n\tb\r\nSubject: s{n}\r\nX-A: 1\r\nreceived: c\r\nX-B : 2\r\n\r\nX-A: body\r\n")
        .into_bytes()
}

#[test]
fn header_lines_asked_again_are_the_same_without_the_files() {
    let world = World::new();
    let store = world.open();
    for n in 1..=3 {
        deliver(&world, &store, &message(n));
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let all = uids(&[1, 2, 3]);
    let expected = |which: &[u32], make: fn(u32) -> String| {
        which.iter().map(|n| (*n, make(*n))).collect::<Vec<_>>()
    };
    let tagged = |n| format!("Subject: s{n}\r\nX-A: 1\r\n");
    let other = |n| format!("Received: a\r\n\tb\r\nSubject: s{n}\r\nreceived: c\r\nX-B : 2\r\n");
    assert_eq!(
        lines(&inbox, &all, &["x-a", "Subject"]),
        expected(&[1, 2, 3], tagged)
    );
    // Two groups of fields, of which each has its own, come together in the message's order.
    assert_eq!(
        lines(&inbox, &all, &["X-B", "SUBJECT", "Received", "None"]),
        expected(&[1, 2, 3], other)
    );
    let (file, aside) = (
        world.file("bob", "INBOX", 2),
        world.home("bob").join("aside"),
    );
    fs::rename(&file, &aside).unwrap();
    assert_eq!(
        lines(&inbox, &all, &["Subject", "X-A"]),
        expected(&[1, 2, 3], tagged)
    );
    assert_eq!(
        lines(&inbox, &all, &["Received", "Subject", "x-b"]),
        expected(&[1, 2, 3], other)
    );
    // What was never asked for needs the file; who has none is passed over.
    let none = |_| String::new();
    assert_eq!(lines(&inbox, &all, &["X-C"]), expected(&[1, 3], none));
    match crate::FORMAT {
        MailFormat::Sdbox => {
            fs::rename(&aside, &file).unwrap();
            assert_eq!(lines(&inbox, &all, &["X-C"]), expected(&[1, 2, 3], none));
        }
        // Whoever removes a file there expunges the message, once that is noticed.
        MailFormat::Maildir => assert_eq!(listed(&inbox), [1, 3]),
    }
    assert_eq!(lines(&inbox, &all, &["no:name"]), []);
    assert_eq!(lines(&inbox, &all, &["X-A", "na\u{ef}ve"]), []);

    // They go with the message; a copy has none of its own yet.
    inbox.expunge(&uids(&[2]), true).unwrap();
    assert_eq!(
        lines(&inbox, &all, &["X-A", "subject"]),
        expected(&[1, 3], tagged)
    );
    // New messages are looked at when they are asked for.
    deliver(&world, &store, &message(4));
    assert_eq!(
        lines(&inbox, &uids(&[1, 4, 9]), &["X-A", "subject"]),
        expected(&[1, 4], tagged)
    );
    store.close().unwrap();
    drop((inbox, store));

    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(
        lines(&inbox, &uids(&[3, 4]), &["X-A", "subject"]),
        expected(&[3, 4], tagged)
    );
}

#[test]
fn a_header_without_end_or_bounds_is_left_to_its_file() {
    let world = World::new();
    let store = world.open();
    let long = format!("Subject: s\r\nX-A: {}\r\n\r\n", "x".repeat(70_000));
    let kept_by_none = format!("Subject: s\r\nX-A: {}\r\n\r\n", "x".repeat(30_000));
    for text in [
        long.as_str(),
        "Subject: no end",
        kept_by_none.as_str(),
        "\r\nX-A: body\r\n",
    ] {
        deliver(&world, &store, text.as_bytes());
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let all: UidSet = (1..=4).filter_map(Uid::new).collect();
    for _ in 0..2 {
        let found = lines(&inbox, &all, &["Subject", "X-A"]);
        let uids: Vec<u32> = found.iter().map(|(uid, _)| *uid).collect();
        assert_eq!(uids, [2, 3, 4]);
        assert!(found[0].1.starts_with("Subject: no end"));
        assert_eq!(found[1].1.len(), 30_000 + "Subject: s\r\nX-A: \r\n".len());
        assert_eq!(found[2].1, "");
    }
}
