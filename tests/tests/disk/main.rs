//! Disks that are full, broken or read-only: every client gets a clear answer, nothing that was
//! acknowledged is lost, and when the disk is well again all goes on without a restart.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

mod away;
mod broken;
mod full;
mod mail;
mod one_account;
mod small;
mod state;

use facteur_tests::{Connection, Facteur, Imap, Setup, base64};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

/// What servers of these tests have: room is refused only where there is none.
fn setup(sections: &str) -> Setup {
    Setup::new()
        .with_alice_and_bob()
        .sections(&format!("[smtp]\nqueue_minfree = \"1\"\n{sections}"))
}

fn bob(facteur: &Facteur) -> Imap {
    facteur.imap(BOB, "bob-password")
}

/// A message that a subject tells from all others, with so many octets of text.
fn message(subject: &str, octets: usize) -> String {
    let line = "A line that fills the disk, and that is all it is for: nothing else.\r\n";
    let text = line.repeat(octets.div_ceil(line.len()));
    format!("Subject: {subject}\r\n\r\n{text}")
}

/// What was acknowledged, and what was not, of the messages sent to bob's INBOX.
#[derive(Default)]
struct Ledger {
    sent: usize,
    accepted: Vec<String>,
    refused: Vec<String>,
}

impl Ledger {
    /// Sends a message by SMTP; says what the server said.
    fn send(&mut self, facteur: &Facteur, octets: usize) -> (u16, String) {
        let subject = format!("number {}", self.sent);
        self.sent += 1;
        let mut smtp = facteur.smtp("smtp");
        smtp.expect("EHLO client.example", 250);
        let reply = smtp.send("", &[BOB], &message(&subject, octets));
        if reply.code == 250 {
            self.accepted.push(subject);
        } else {
            self.refused.push(subject);
            // The session goes on.
            smtp.expect("NOOP", 250);
        }
        (reply.code, reply.lines[0].clone())
    }

    /// One that goes on where another ends, whose messages were all removed.
    fn starting_at(sent: usize) -> Self {
        Self {
            sent,
            ..Self::default()
        }
    }

    fn next(&self) -> usize {
        self.sent
    }

    /// Somebody removed the message that was accepted at this place.
    fn removed(&mut self, at: usize) {
        self.accepted.remove(at);
    }

    fn must_send(&mut self, facteur: &Facteur, octets: usize) {
        let (code, line) = self.send(facteur, octets);
        assert_eq!(code, 250, "{line}");
    }

    /// Every message that was acknowledged is there once, and no other one twice.
    fn holds(&self, facteur: &Facteur) {
        let mut imap = bob(facteur);
        imap.must("SELECT INBOX");
        let found = imap.must("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        let found: Vec<&str> = found
            .untagged
            .iter()
            .flat_map(|line| line.lines())
            .filter_map(|line| line.trim().strip_prefix("Subject: "))
            .collect();
        let count = |subject: &String| found.iter().filter(|one| *one == subject).count();
        for subject in &self.accepted {
            assert_eq!(count(subject), 1, "{subject}: {found:?}");
        }
        for subject in &self.refused {
            assert!(count(subject) <= 1, "{subject}: {found:?}");
        }
    }
}

/// Stores a script; what the server says to that.
fn put_script(facteur: &Facteur) -> String {
    let mut sieve = Connection::plain(facteur.address("managesieve"));
    let mut finish = |send: Option<String>| {
        if let Some(line) = send {
            sieve.send_line(&line);
        }
        loop {
            let line = sieve.line();
            if ["OK", "NO", "BYE"].iter().any(|end| line.starts_with(end)) {
                return line;
            }
        }
    };
    finish(None);
    let credentials = base64(b"\0bob@example.test\0bob-password");
    let login = finish(Some(format!("AUTHENTICATE \"PLAIN\" \"{credentials}\"")));
    assert!(login.starts_with("OK"), "{login}");
    finish(Some("PUTSCRIPT \"main\" {7+}\r\nkeep;\r\n".to_owned()))
}

/// One message to alice and bob by LMTP: the replies to its end, one for each.
fn by_lmtp(facteur: &Facteur, subject: &str, octets: usize) -> Vec<(u16, String)> {
    let mut lmtp = facteur.smtp("lmtp");
    lmtp.expect("LHLO client.example", 250);
    let first = lmtp.send("", &[ALICE, BOB], &message(subject, octets));
    let second = lmtp.reply();
    [first, second]
        .into_iter()
        .map(|reply| (reply.code, reply.lines[0].clone()))
        .collect()
}

/// Nothing went wrong inside.
fn calm(facteur: &Facteur) {
    let log = facteur.log();
    assert!(!log.contains("panicked"), "{log}");
}
