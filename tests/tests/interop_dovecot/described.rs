//! ENVELOPE, BODYSTRUCTURE and BODY: Dovecot describes messages as we do.

use facteur_tests::{Imap, require_peer};

use crate::{bob, dovecot::Dovecot, messages::AWKWARD, start};

/// Messages, by their number from 1, of which we say something else, and why.
const DESCRIBED_OTHERWISE: [(u32, &str); 4] = [
    (
        14,
        "the line end before an outer boundary is not in the part, RFC 2046 section 5.1.1",
    ),
    (
        18,
        "a multipart without a boundary is one opaque part, not one with an empty text in it",
    ),
    (
        21,
        "a type that is none is text/plain, RFC 2045 section 5.2",
    ),
    (22, "parameters of RFC 2231 are named as they were"),
];

/// The same with quoted strings in place of literals: Dovecot quotes nothing that needs an escape.
fn quoted(described: &str) -> String {
    let mut out = String::new();
    let mut rest = described;
    while let Some((before, literal)) = rest.split_once('{') {
        let (length, after) = literal.split_once("}\r\n").expect("a literal");
        let (text, after) = after.split_at(bytes_of(after, length.parse().expect("a length")));
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        out.push_str(&format!("{before}\"{text}\""));
        rest = after;
    }
    out + rest
}

/// How long the beginning of `text` is that had `count` bytes before what is no UTF-8 was replaced,
/// byte by byte.
fn bytes_of(text: &str, count: usize) -> usize {
    let mut left = count;
    let beginning = text.chars().take_while(|&char| {
        let had = if char == char::REPLACEMENT_CHARACTER {
            1
        } else {
            char.len_utf8()
        };
        let taken = left >= had && left > 0;
        left = left.saturating_sub(had);
        taken
    });
    beginning.map(char::len_utf8).sum()
}

/// ENVELOPE, BODYSTRUCTURE and BODY of the first messages of the selected mailbox, without the
/// parentheses around each.
fn descriptions(imap: &mut Imap, count: usize) -> Vec<(u32, &'static str, String)> {
    let mut all = Vec::new();
    for uid in (1..).take(count) {
        for item in ["ENVELOPE", "BODYSTRUCTURE", "BODY"] {
            let fetched = imap.must(&format!("UID FETCH {uid} ({item})"));
            let line = fetched
                .with("FETCH")
                .next()
                .expect("the message")
                .to_owned();
            let (_, described) = line.split_once(&format!("{item} (")).expect("the item");
            let described = described.strip_suffix("))").expect("its end");
            all.push((uid, item, quoted(described)));
        }
    }
    all
}

#[test]
fn dovecot_describes_messages_as_we_do() {
    let Some(doveadm) = require_peer("doveadm") else {
        return;
    };
    let mut server = start("sdbox");
    let mut imap = bob(&server);
    for message in AWKWARD {
        assert!(imap.append_bytes("INBOX", message).is_ok());
    }
    imap.must("EXAMINE INBOX");
    let ours = descriptions(&mut imap, AWKWARD.len());
    drop(imap);
    assert!(server.stop().success());
    let dovecot = Dovecot::on_a_copy(doveadm, &server, "sdbox");
    dovecot.doveadm(&["force-resync", "INBOX"]);
    for (uid, item, described) in ours {
        let theirs = dovecot.fetch(&format!("imap.{}", item.to_lowercase()), "INBOX", uid);
        let theirs = quoted(&String::from_utf8_lossy(&theirs));
        match DESCRIBED_OTHERWISE.iter().find(|(other, _)| *other == uid) {
            None => assert_eq!(described, theirs, "{item} of {uid}"),
            Some((_, reason)) if item != "ENVELOPE" => {
                assert_ne!(described, theirs, "{item} of {uid} is the same: {reason}");
            }
            Some(_) => {}
        }
    }
}
