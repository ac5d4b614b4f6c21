//! A real Dovecot and the real server on one tree, in turn: what one leaves the other reads, byte for
//! byte; and both describe messages alike.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says so and ends"
)]

mod described;
mod dovecot;
mod messages;
mod ours;
mod theirs;

use std::path::PathBuf;

use facteur_tests::{Facteur, Imap, Setup};

use dovecot::{Message, Shown};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn start(format: &str) -> Facteur {
    Setup::new().with_alice_and_bob().format(format).start()
}

fn bob(server: &Facteur) -> Imap {
    server.imap_tls(BOB, "bob-password")
}

/// Where Bob's mail lies.
fn home(server: &Facteur) -> PathBuf {
    server.data().join("mail/example.test/bob")
}

/// UIDs and texts of a mailbox, as our IMAP gives them.
fn texts(imap: &mut Imap, mailbox: &str) -> Vec<(u32, Vec<u8>)> {
    imap.must(&format!("EXAMINE \"{mailbox}\""));
    let found = imap.must("UID SEARCH ALL");
    let found = found.with("SEARCH").next().unwrap_or_default().to_owned();
    let uids = found.split(' ').filter_map(|uid| uid.parse().ok());
    uids.map(|uid| (uid, imap.fetch_bytes(uid))).collect()
}

/// A mailbox as our IMAP shows it.
fn shown(imap: &mut Imap, mailbox: &str) -> Shown {
    let texts = texts(imap, mailbox);
    let examined = imap.must(&format!("EXAMINE \"{mailbox}\""));
    let validity = examined.with("UIDVALIDITY").next().expect("UIDVALIDITY");
    let validity = validity
        .split([' ', ']'])
        .find_map(|word| word.parse().ok());
    let fetched = imap.must("UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)");
    let lines = fetched.with("FETCH").zip(texts);
    let messages = lines.map(|(line, (uid, text))| {
        let after = |what: &str| line.split_once(what).expect("the item").1;
        assert!(after("UID ").starts_with(&uid.to_string()), "{line}");
        let flags = after("FLAGS (").split(')').next().unwrap_or_default();
        let mut flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        flags.retain(|flag| flag != "\\Recent");
        flags.sort_unstable();
        let size = after("RFC822.SIZE ").split([' ', ')']).next();
        Message {
            uid,
            flags,
            size: size.and_then(|size| size.parse().ok()).expect("a size"),
            received: iso(after("INTERNALDATE \"")),
            text,
        }
    });
    let messages = messages.collect();
    (validity.expect("a UIDVALIDITY"), messages)
}

/// `01-Feb-2009 23:31:30 +0000` as Dovecot's tool writes it.
fn iso(date: &str) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(&date[3..6]).expect("a month") / 3 + 1;
    assert_eq!(&date[21..26], "+0000");
    let day = date[..2].trim();
    format!("{}-{month:02}-{day:0>2} {}", &date[7..11], &date[12..20])
}
