//! Bad input: a clear error or a bounded close, and nobody else notices.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

mod imap;
mod others;
mod slow;
mod smtp;

use facteur_tests::{Facteur, Imap, Setup};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
/// What lies in alice's INBOX from the beginning.
const CANARY: &str = "Subject: canary\r\n\r\nIt sings.\r\n";

/// A server with a message that must stay as it is.
fn start() -> Facteur {
    with_canary(Setup::new().with_alice_and_bob())
}

fn with_canary(setup: Setup) -> Facteur {
    let facteur = setup.start();
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    assert_eq!(smtp.send("", &[ALICE], CANARY).code, 250);
    facteur
}

/// Others are served as ever, what was stored is unharmed, and nothing went wrong inside.
fn unharmed(facteur: &Facteur) {
    let mut alice = facteur.imap(ALICE, "alice-password");
    alice.must("SELECT INBOX");
    assert!(alice.fetch_text(1).ends_with(CANARY));

    let before = count(&mut bob(facteur));
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    assert_eq!(smtp.send("", &[BOB], "Subject: x\r\n\r\nx\r\n").code, 250);
    assert_eq!(count(&mut bob(facteur)), before + 1);
    let log = facteur.log();
    assert!(!log.contains("panicked"), "{log}");
}

fn bob(facteur: &Facteur) -> Imap {
    facteur.imap(BOB, "bob-password")
}

/// Messages in the INBOX.
fn count(imap: &mut Imap) -> u32 {
    let status = imap.must("STATUS INBOX (MESSAGES)");
    let (_, count) = status.untagged[0].split_once("MESSAGES ").unwrap();
    count.trim_end_matches(')').parse().unwrap()
}
