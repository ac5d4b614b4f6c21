//! One mailbox with a million messages.

use std::time::{Duration, Instant};

use facteur_tests::{Facteur, Imap};

use crate::{
    Arguments,
    clients::{PASSWORD, date, fill},
    measure::{disk_use, drop_page_cache, median, print_memory, print_times, step},
};

const USER: &str = "reader@example.test";
const TIMES: usize = 11;

pub(crate) fn run(arguments: &Arguments) {
    let folder = arguments.folder();
    let count = arguments.messages;
    println!("== a mailbox of {count} messages");
    let setup = arguments.setup(folder.path());
    let mut facteur = setup.account(USER, PASSWORD).start();
    print_memory(&facteur, "idle");
    let mut imap = facteur.imap(USER, PASSWORD);
    step("filled (APPEND, then COPY within the folder)", || {
        fill(&mut imap, count)
    });
    print_memory(&facteur, "after filling");
    drop(imap);
    step("stopped", || facteur.stop());
    println!(
        "{:<52} {:>10} MiB",
        "disk, links counted once",
        disk_use(folder.path())
    );

    cold(&mut facteur, count);
    let mut imap = facteur.imap(USER, PASSWORD);
    warm(&mut imap, count);
    search(&mut imap, count);
    changes(&facteur, &mut imap, count);
    print_memory(&facteur, "at the end");
    drop(imap);
    facteur.kill();
    step("removed", || drop(folder));
}

/// SELECT after a start, with nothing in the page cache; logging in, which hashes the password, is
/// timed by itself.
fn cold(facteur: &mut Facteur, count: usize) {
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            drop_page_cache();
            facteur.restart();
            let mut imap = step("LOGIN, cold", || facteur.imap(USER, PASSWORD));
            let started = Instant::now();
            let response = imap.must("SELECT INBOX");
            let time = started.elapsed();
            assert!(
                response.untagged.contains(&format!("{count} EXISTS")),
                "{response:?}"
            );
            print_memory(facteur, "after a cold SELECT");
            drop(imap);
            facteur.stop();
            time
        })
        .collect();
    times.sort_unstable();
    print_times("SELECT, cold", &times);
    facteur.restart();
    let mut imap = facteur.imap(USER, PASSWORD);
    let started = Instant::now();
    imap.must("SELECT INBOX");
    print_times(
        "SELECT, server restarted, page cache warm",
        &[started.elapsed()],
    );
}

fn warm(imap: &mut Imap, count: usize) {
    median("SELECT, warm", TIMES, |_| {
        imap.must("SELECT INBOX");
    });
    let last = count.saturating_sub(49).max(1);
    let items = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE";
    let command = format!("FETCH {last}:{count} ({items})");
    median(
        "FETCH of the last 50, with envelope and structure",
        TIMES,
        |_| {
            let response = imap.must(&command);
            assert_eq!(response.with("ENVELOPE").count(), count - last + 1);
        },
    );
    median("FETCH of one in the middle, with envelope", TIMES, |n| {
        let number = count / 2 + n;
        assert_eq!(
            imap.must(&format!("FETCH {number} ({items})"))
                .with("ENVELOPE")
                .count(),
            1
        );
    });
    let sign = |n: usize| if n.is_multiple_of(2) { '+' } else { '-' };
    median("STORE of one message", TIMES, |n| {
        imap.must(&format!("STORE {} {}FLAGS (\\Flagged)", count / 2, sign(n)));
    });
    median("STORE of the last 50", TIMES, |n| {
        imap.must(&format!("STORE {last}:{count} {}FLAGS (\\Seen)", sign(n)));
    });
}

fn search(imap: &mut Imap, count: usize) {
    let (early, middle, late) = (date(3), date(500), date(990));
    for (name, criteria) in [
        ("SEARCH SINCE a late date", format!("SINCE {late}")),
        ("SEARCH ON a date", format!("ON {middle}")),
        ("SEARCH BEFORE an early date", format!("BEFORE {early}")),
        (
            "SEARCH SINCE and BEFORE, half of all",
            format!("SINCE {early} BEFORE {middle}"),
        ),
        ("SEARCH FLAGGED (few)", "FLAGGED".to_owned()),
        ("SEARCH UNSEEN (almost all)", "UNSEEN".to_owned()),
    ] {
        let mut found = 0;
        median(name, TIMES, |_| {
            let response = imap.must(&format!("SEARCH {criteria}"));
            let line = response.with("SEARCH").next().expect("an answer");
            found = line.split(' ').count() - 1;
        });
        println!("{:<52} {found:>10} of {count}", "");
    }
}

fn changes(facteur: &Facteur, imap: &mut Imap, count: usize) {
    let mut other = facteur.imap(USER, PASSWORD);
    other.must("SELECT INBOX");
    let last = count.saturating_sub(49).max(1);
    let mut times = Vec::new();
    for n in 0..TIMES {
        let sign = if n.is_multiple_of(2) { '+' } else { '-' };
        other.must(&format!(
            "STORE {last}:{count} {sign}FLAGS.SILENT (\\Answered)"
        ));
        let started = Instant::now();
        let response = imap.must("NOOP");
        times.push(started.elapsed());
        assert_eq!(
            response.with("FETCH").count(),
            count - last + 1,
            "{response:?}"
        );
    }
    times.sort_unstable();
    print_times("NOOP that tells of 50 changed flags", &times);
    median("NOOP without changes", TIMES, |_| {
        imap.must("NOOP");
    });
    median("APPEND of a small message", TIMES, |n| {
        assert!(imap.append("INBOX", &crate::clients::message(n)).is_ok());
    });
}
