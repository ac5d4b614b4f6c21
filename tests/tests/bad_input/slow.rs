//! Clients that do not go on.

use facteur_tests::Connection;

use crate::{start, unharmed};

/// So many on each listener.
const SLOW: usize = 40;

#[test]
fn clients_that_stop_halfway_hold_nobody_up() {
    let facteur = start();
    let halves: [(&str, &[u8]); 9] = [
        ("smtp", b"EHL"),
        ("smtp", b"HELO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubj"),
        ("lmtp", b"LHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\nBDAT 1000 LAST\r\nSubj"),
        ("imap", b"a LOGIN {5}"),
        ("imap", b"a LOGIN {20}\r\nalice"),
        ("imaps", b"\x16\x03\x01\x02\x00\x01"),
        ("pop3", b"USER bo"),
        ("managesieve", b"AUTHENTICATE \"PLAIN\" {10+}\r\nAAA"),
        ("submissions", b""),
    ];
    let mut open = Vec::new();
    for (listener, bytes) in halves {
        for _ in 0..SLOW {
            let mut connection = Connection::plain(facteur.address(listener));
            connection.send(bytes);
            open.push(connection);
        }
    }
    unharmed(&facteur);
    // One that sends and never reads: its answers are bounded by what the network holds.
    let mut deaf = facteur.imap("bob@example.test", "bob-password");
    deaf.must("SELECT INBOX");
    deaf.connection.send(
        "a FETCH 1:* (FLAGS BODY.PEEK[])\r\n"
            .repeat(2000)
            .as_bytes(),
    );
    unharmed(&facteur);
    drop(open);
    unharmed(&facteur);
}
