//! A full disk.

use facteur_tests::{Facteur, Imap};

use crate::{ALICE, BOB, bob, calm, setup, small::Small};

/// What lies in alice's INBOX from the beginning.
const CANARY: &str = "Subject: canary\r\n\r\nIt sings.\r\n";

fn start() -> Facteur {
    // The journal and the messages have to share it.
    let facteur = setup("[storage]\njournal_size = \"4M\"\n").start();
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    assert_eq!(smtp.send("", &[ALICE], CANARY).code, 250);
    facteur
}

fn large(n: usize) -> String {
    crate::message(&format!("large {n}"), 700_000)
}

/// Sends until there is no room; how many were accepted.
fn fill(facteur: &Facteur) -> usize {
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    for n in 0..100 {
        let reply = smtp.send("", &[BOB], &large(n));
        if reply.code != 250 {
            // RFC 5321 §4.2.3, RFC 3463 §3.4: insufficient system storage; and the session goes on.
            assert_eq!(reply.code, 452, "{reply:?}");
            assert!(reply.lines[0].starts_with("4.3.1 "), "{reply:?}");
            smtp.expect("NOOP", 250);
            return n;
        }
    }
    panic!("the disk does not fill");
}

/// Everything that was accepted is there and whole.
fn whole(facteur: &Facteur, from: usize, accepted: usize) {
    let mut imap: Imap = bob(facteur);
    imap.must("SELECT INBOX");
    let found = imap.must("UID FETCH 1:* (BODY.PEEK[])");
    let found: Vec<&str> = found.with("Subject: large").collect();
    assert_eq!(found.len(), accepted);
    for (n, text) in found.into_iter().enumerate() {
        assert!(text.contains(&large(from + n)), "message {n} is torn");
    }
}

#[test]
fn full_disk_refuses_for_now_and_harms_nothing() {
    let mut facteur = start();
    facteur.stop();
    let Some(_small) = Small::over(&facteur.data(), "12m") else {
        return;
    };
    facteur.restart();
    let accepted = fill(&facteur);
    assert!(accepted > 3, "{accepted}");
    whole(&facteur, 0, accepted);

    // Everything else that writes is refused, and what reads works.
    let mut imap = facteur.imap(ALICE, "alice-password");
    imap.must("SELECT INBOX");
    assert!(imap.fetch_text(1).contains("canary"));
    let append = imap.append("INBOX", &large(0));
    assert!(append.tagged.starts_with("NO"), "{append:?}");
    imap.must("NOOP");

    // Nothing of it is lost by a kill now.
    facteur.kill();
    facteur.restart();
    whole(&facteur, 0, accepted);

    // With room again everything works again.
    let mut imap = bob(&facteur);
    imap.must("SELECT INBOX");
    imap.must("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    imap.must("EXPUNGE");
    let mut alice = facteur.imap(ALICE, "alice-password");
    alice.must("SELECT INBOX");
    assert!(alice.fetch_text(1).ends_with(CANARY));
    calm(&facteur);
    let again = fill(&facteur);
    assert!(again > 3, "{again}");
    whole(&facteur, 0, again);
    println!("{accepted} messages until the disk was full, {again} when it was empty again");
}
