//! The disk of the mailboxes, full to the last octet.

use facteur_tests::{Facteur, Imap};

use crate::{ALICE, BOB, Ledger, bob, by_lmtp, calm, message, put_script, setup, small::Small};

fn start(small: &Small) -> Facteur {
    let location = format!("sdbox:{}/%d/%n", small.path().display());
    setup(&format!("[storage]\nmail_location = \"{location}\"\n")).start()
}

/// As far as there is physically a way: whether it was done, or refused for want of room.
fn done_or_full(imap: &mut Imap, command: &str) -> bool {
    let response = imap.command(command);
    let full = response.tagged.starts_with("NO [OVERQUOTA] ");
    assert!(response.is_ok() || full, "{command}: {response:?}");
    response.is_ok()
}

#[test]
fn full_mail_disk_refuses_what_needs_room_and_serves_what_does_not() {
    let Some(small) = Small::new("16m") else {
        return;
    };
    let facteur = start(&small);
    let mut ledger = Ledger::default();
    for _ in 0..10 {
        ledger.must_send(&facteur, 20_000);
    }
    assert_eq!(by_lmtp(&facteur, "by LMTP", 1000)[0].0, 250);
    let mut open = bob(&facteur);
    open.must("SELECT INBOX");
    small.fill();

    // RFC 5321 §4.2.3, RFC 3463 §3.4, and for each recipient of its own RFC 2033 §4.2.
    for octets in [20_000, 10] {
        let (code, line) = ledger.send(&facteur, octets);
        assert_eq!(code, 452, "{line}");
        assert!(line.starts_with("4.3.1 "), "{line}");
    }
    for (code, line) in by_lmtp(&facteur, "refused by LMTP", 1000) {
        assert_eq!(code, 452, "{line}");
        assert!(line.starts_with("4.3.1 "), "{line}");
    }
    let append = open.append("INBOX", &message("appended", 1000));
    assert!(append.tagged.starts_with("NO [OVERQUOTA] "), "{append:?}");
    assert!(put_script(&facteur).starts_with("NO (TRYLATER) "));
    // What is refused is not done by half.
    let copied = done_or_full(&mut open, "COPY 5 Trash");
    let trash = open.must("STATUS Trash (MESSAGES)");
    let count = format!("(MESSAGES {})", u8::from(copied));
    assert!(trash.with(&count).count() == 1, "{copied}: {trash:?}");
    let created = done_or_full(&mut open, "CREATE Some");
    let listed = open.must("LIST \"\" Some").with("LIST").count();
    assert_eq!(listed, usize::from(created));
    // The journal has room for flags.
    open.must("STORE 1 +FLAGS (\\Seen)");

    // Everything is read, by those who are there and those who come.
    let bodies = open.must("FETCH 1:* (FLAGS BODY.PEEK[])");
    assert_eq!(bodies.with("FETCH").count(), 11);
    open.must("SEARCH TEXT fills");
    open.must("STATUS Trash (MESSAGES)");
    ledger.holds(&facteur);
    facteur.imap(ALICE, "alice-password").must("SELECT INBOX");

    // Who removes something makes room.
    let mut pop3 = facteur.pop3(BOB, "bob-password");
    assert!(pop3.lines("RETR 5").len() > 100);
    pop3.must("DELE 5");
    pop3.must("QUIT");
    ledger.removed(4);
    ledger.holds(&facteur);

    small.empty();
    ledger.must_send(&facteur, 20_000);
    assert!(
        by_lmtp(&facteur, "later", 1000)
            .iter()
            .all(|(code, _)| *code == 250)
    );
    open.must("STORE 1:2 +FLAGS (\\Seen \\Deleted)");
    open.must("EXPUNGE");
    ledger.removed(0);
    ledger.removed(0);
    open.must("COPY 1 Trash");
    assert!(open.append("INBOX", &message("appended", 1000)).is_ok());
    assert!(put_script(&facteur).starts_with("OK"));
    ledger.holds(&facteur);
    facteur.must(&["account", "check", "--all"], "");
    calm(&facteur);
}

#[test]
fn mail_disk_that_fills_while_clients_work_loses_nothing() {
    let Some(small) = Small::new("8m") else {
        return;
    };
    let mut facteur = start(&small);
    let mut ledger = Ledger::default();
    let mut open = bob(&facteur);
    open.must("SELECT INBOX");
    for round in 0..3 {
        let mut seen = 0;
        for n in 0.. {
            let (code, line) = ledger.send(&facteur, 100_000 + n * 10_000);
            if n % 7 == 3 {
                open.must("STORE 1:* +FLAGS.SILENT (\\Flagged)");
                done_or_full(&mut open, "COPY 1:3 Trash");
            }
            if code != 250 {
                assert!(line.starts_with("4.3.1 "), "{line}");
                seen += 1;
            }
            if seen == 3 {
                break;
            }
        }
        small.fill();
        assert_eq!(ledger.send(&facteur, 10).0, 452);
        ledger.holds(&facteur);
        if round == 1 {
            // A kill and a start on a full disk lose nothing. What the journal has yet to bring into
            // the account's index needs room: who comes meanwhile is told so, at once.
            facteur.kill();
            facteur.restart();
            let login = format!("LOGIN {BOB} bob-password");
            let login = Imap::connect(facteur.address("imap")).command(&login);
            let unavailable = login.tagged.starts_with("NO [UNAVAILABLE] ");
            assert!(login.is_ok() || unavailable, "{login:?}");
            // Mail for whom there is no room now is refused, or safe in the spool until there is.
            let (code, line) = Ledger::starting_at(1000).send(&facteur, 10);
            assert!(code == 250 || line.starts_with("4.3.1 "), "{code} {line}");
            println!("login on a full disk: {}", login.tagged);
            small.empty();
            open = bob(&facteur);
            open.must("SELECT INBOX");
            ledger.holds(&facteur);
        } else {
            small.empty();
        }
        open.must("NOOP");
        open.must("STORE 1:* +FLAGS.SILENT (\\Deleted)");
        open.must("EXPUNGE");
        open.must("SELECT Trash");
        open.must("STORE 1:* +FLAGS.SILENT (\\Deleted)");
        open.must("EXPUNGE");
        open.must("SELECT INBOX");
        ledger = Ledger::starting_at(ledger.next());
        ledger.must_send(&facteur, 100_000);
        ledger.holds(&facteur);
    }
    facteur.must(&["account", "check", "--all"], "");
    calm(&facteur);
}
