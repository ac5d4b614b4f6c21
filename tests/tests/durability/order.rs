//! Under strace: every acknowledgement comes after the syncs that it needs, and the check that says
//! so fails when any one of them is taken out.

use std::collections::BTreeSet;

use facteur_tests::{Facteur, Imap, Setup, Smtp, Strace, require_peer};

use crate::trace::{CALLS, Event, is_journal, is_message, is_spooled, parse, violations};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
const REMOTE: &str = "someone@remote.test";
const MESSAGE: &str = "Subject: x\r\n\r\nHello.\r\n";

/// How many messages and spool entries each acknowledgement of [`deliver`] stands for.
const EXPECTED: [(usize, usize); 6] = [(2, 1), (1, 0), (0, 1), (2, 0), (1, 0), (1, 0)];

/// Each way to an acknowledgement.
fn deliver(facteur: &Facteur, smtp: &mut Smtp, imap: &mut Imap) {
    for to in [&[ALICE, BOB, REMOTE][..], &[ALICE], &[REMOTE]] {
        assert_eq!(smtp.send(ALICE, to, MESSAGE).code, 250);
    }
    let mut lmtp = Smtp::connect(facteur.address("lmtp"));
    lmtp.expect("LHLO client.example", 250);
    assert_eq!(lmtp.send(ALICE, &[ALICE, BOB], MESSAGE).code, 250);
    assert_eq!(lmtp.reply().code, 250);
    // Larger than what is held in memory.
    let large = format!(
        "{MESSAGE}{}",
        "A line of a large message.\r\n".repeat(20_000)
    );
    assert_eq!(smtp.send(ALICE, &[ALICE], &large).code, 250);
    assert!(imap.append("New", MESSAGE).is_ok());
}

/// A trace of [`deliver`] into new accounts, and another of the same when they are in use.
fn record(strace: &std::path::Path) -> [Vec<Event>; 2] {
    // The remote server is not reached: the queue would sync what this is not about.
    let facteur = Setup::new()
        .with_alice_and_bob()
        .sections("[queue]\ntransport_maps = { \"remote.test\" = \"smtp:[127.0.0.1]:1\" }\n")
        .start();
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    let traced = |name: &str, work: &mut dyn FnMut()| {
        let output = facteur.folder().join(name);
        let strace = Strace::attach(strace, facteur.pid(), &output, &[CALLS]);
        work();
        parse(&strace.finish())
    };
    let mut imap = Imap::connect(facteur.address("imap"));
    let first = traced("first", &mut || {
        imap.login(BOB, "bob-password");
        imap.must("CREATE New");
        deliver(&facteur, &mut smtp, &mut imap);
    });
    let second = traced("second", &mut || deliver(&facteur, &mut smtp, &mut imap));
    [first, second]
}

/// What each acknowledgement stands for, by the trace. LMTP's second reply is one with its first.
fn counts(events: &[Event]) -> Vec<(usize, usize)> {
    let mut counts = Vec::new();
    let mut now = (0, 0);
    for event in events {
        match event {
            Event::Rename(_, to) if is_message(to) => now.0 += 1,
            Event::Rename(_, to) if is_spooled(to) && to.ends_with(".msg") => now.1 += 1,
            Event::Acknowledge(_) if now != (0, 0) => counts.push(std::mem::take(&mut now)),
            _ => {}
        }
    }
    counts
}

/// Syncs that mail depends on. SQLite's are its own: the index can be made again from the files.
/// What the queue notes of its attempts comes after the 250, and only delays the next one.
fn is_of_mail(path: &str) -> bool {
    path.contains("/data/") && !path.contains(".db") && !path.ends_with(".msg")
}

/// Whether the first sync of a trace is the journal's for what no message waits for: what the queue
/// notes of its attempts.
fn is_of_the_queue(events: &[Event], path: &str) -> bool {
    let mut until_next = events.iter().skip(1).take_while(|event| match event {
        Event::Sync(other) => !is_journal(other),
        _ => true,
    });
    let names = |event: &Event| match event {
        Event::Rename(_, to) => is_message(to) || is_spooled(to),
        _ => false,
    };
    is_journal(path) && !until_next.any(names)
}

fn without(events: &[Event], taken_out: impl Fn(usize, &str) -> bool) -> Vec<Event> {
    let keep = |(n, event): (usize, &Event)| match event {
        Event::Sync(path) if taken_out(n, path) => None,
        event => Some(event.clone()),
    };
    events.iter().enumerate().filter_map(keep).collect()
}

#[test]
fn acknowledgement_follows_the_syncs_it_needs() {
    let Some(strace) = require_peer("strace") else {
        return;
    };
    let [first, second] = record(&strace);
    for (name, events) in [("first", &first), ("second", &second)] {
        assert_eq!(counts(events), EXPECTED, "{name}: {events:#?}");
        assert_eq!(violations(events), Vec::<String>::new(), "{name}");
    }

    // The same trace without one sync: each is missed.
    let mut missed = 0;
    for (n, event) in second.iter().enumerate() {
        if let Event::Sync(path) = event
            && is_of_mail(path)
            && !is_of_the_queue(&second[n..], path)
        {
            let lacking = without(&second, |other, _| other == n);
            let found = violations(&lacking);
            assert!(!found.is_empty(), "nobody misses the sync {n} of {path}");
            missed += 1;
        }
    }
    // In new accounts some folders are synced twice: without both, it is missed.
    let paths: BTreeSet<&String> = first
        .iter()
        .filter_map(|event| match event {
            Event::Sync(path) if is_of_mail(path) => Some(path),
            _ => None,
        })
        .collect();
    for path in &paths {
        let lacking = without(&first, |_, other| other == path.as_str());
        assert!(!violations(&lacking).is_empty(), "nobody misses {path}");
    }
    println!(
        "syncs that are missed when one is taken out: {missed}; files and folders of new accounts: {}",
        paths.len()
    );
    // Each acknowledgement's in the journal, and the large message's own: its bytes and its name.
    assert!(missed >= EXPECTED.len() + 2, "{second:#?}");
}

#[test]
fn checker_sees_an_acknowledgement_that_comes_before_its_sync_returns() {
    let trace = "\
        7 write(9</x/data/m/mailboxes/INBOX/dbox-Mails/temp.1>, \"x\", 1) = 1\n\
        7 pwrite64(8</x/data/state/journal/1>, \"x\"..., 99, 0) = 99\n\
        7 fdatasync(8</x/data/state/journal/1> <unfinished ...>\n\
        8 writev(5<socket:[1]>, [{iov_base=\"250 2.0.0 Ok: queued as 1\\r\\n\", iov_len=27}], 1) = 27\n\
        7 <... fdatasync resumed>) = 0\n\
        7 rename(\"/x/data/m/mailboxes/INBOX/dbox-Mails/temp.1\", \"/x/data/m/mailboxes/INBOX/dbox-Mails/u.1\") = 0\n";
    let early = violations(&parse(trace));
    assert_eq!(early.len(), 1, "{early:?}");
    let lines: Vec<&str> = trace.lines().collect();
    let order = [0, 1, 2, 4, 5, 3].map(|n: usize| lines[n]).join("\n");
    assert_eq!(violations(&parse(&order)), Vec::<String>::new());
    // Named before the journal has it, and a message that is in no journal.
    let order = [0, 1, 5, 2, 4, 3].map(|n: usize| lines[n]).join("\n");
    assert_eq!(violations(&parse(&order)).len(), 1);
    let order = [0, 1, 5, 3].map(|n: usize| lines[n]).join("\n");
    assert_eq!(violations(&parse(&order)).len(), 1);
}
