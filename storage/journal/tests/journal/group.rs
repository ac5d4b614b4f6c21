//! Records that arrive together share one write and one sync.

use std::{io, sync::Barrier};

use facteur_disk::Disk;
use facteur_journal::{Journal, Until};

use crate::rig::{bodies, body, open, options, who};

fn counted(faults: &facteur_disk::Faults) -> (u64, u64) {
    let counts = faults.counts();
    let of = |name| counts.get(name).copied().unwrap_or_default();
    (of("write"), of("sync_data"))
}

fn journal_wait(journal: &Journal, ticket: facteur_journal::Ticket) {
    journal.wait(ticket, Until::Durable).unwrap();
}

#[test]
fn many_waiters_share_one_write_and_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let (journal, _) = Journal::open(disk, options(dir.path())).unwrap();
    // The first group also writes zeros after itself.
    let first = journal.append(&[&body(9, 0)]).unwrap();
    journal.wait(first, Until::Durable).unwrap();
    let before = counted(&faults);
    let all_appended = Barrier::new(12);
    std::thread::scope(|scope| {
        for writer in 0..12 {
            let (journal, all_appended) = (&journal, &all_appended);
            scope.spawn(move || {
                let ticket = journal.append(&[&body(writer, 0)]).unwrap();
                all_appended.wait();
                journal.wait(ticket, Until::Durable).unwrap();
            });
        }
    });
    assert_eq!(counted(&faults), (before.0 + 1, before.1 + 1));
}

#[test]
fn while_a_sync_runs_the_next_group_is_written_and_its_waiters_share_the_next_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let (journal, _) = Journal::open(disk, options(dir.path())).unwrap();
    let append = |writer| journal.append(&[&body(writer, 0)]).unwrap();
    journal.wait(append(9), Until::Durable).unwrap();
    let before = counted(&faults).1;
    faults.hold("sync_data");
    let all_appended = Barrier::new(6);
    std::thread::scope(|scope| {
        let (first, journal) = (append(0), &journal);
        scope.spawn(move || journal_wait(journal, first));
        faults.await_calls("sync_data", before + 1);
        // The disk is busy. Whoever needs no sync does not wait for it.
        journal.wait(append(1), Until::Written).unwrap();
        for writer in 2..7 {
            let (ticket, all_appended) = (append(writer), &all_appended);
            scope.spawn(move || {
                all_appended.wait();
                journal_wait(journal, ticket);
            });
        }
        all_appended.wait();
        assert_eq!(counted(&faults).1, before + 1, "one sync at a time");
        faults.release("sync_data");
    });
    assert_eq!(counted(&faults).1, before + 2);
}

#[test]
fn one_sync_covers_all_that_was_written_before() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let (journal, _) = Journal::open(disk, options(dir.path())).unwrap();
    let before = counted(&faults).1;
    assert!(journal.unsynced_since().is_none());
    let tickets: Vec<_> = (0..9)
        .map(|number| {
            let ticket = journal.append(&[&body(0, number)]).unwrap();
            journal.wait(ticket, Until::Written).unwrap();
            ticket
        })
        .collect();
    assert_eq!(counted(&faults).1, before);
    assert!(journal.unsynced_since().is_some());
    for ticket in tickets {
        journal.wait(ticket, Until::Durable).unwrap();
    }
    assert_eq!(counted(&faults).1, before + 1);
    assert!(journal.unsynced_since().is_none());
    journal.sync().unwrap();
    assert_eq!(counted(&faults).1, before + 1);
}

#[test]
fn a_sync_that_reaches_farther_than_it_meant_to_leaves_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let (journal, _) = Journal::open(disk, options(dir.path())).unwrap();
    // The next group needs a new segment.
    let full = journal.append(&[&[0; 15 << 10]]).unwrap();
    journal_wait(&journal, full);
    let first = journal.append(&[&[1; 3 << 10]]).unwrap();
    let waits = |number: u32| {
        let (journal, (appended, begun)) = (journal.clone(), std::sync::mpsc::channel());
        let (done, ended) = std::sync::mpsc::channel();
        // Not of a scope: one that waits for ever must not keep the test.
        std::thread::spawn(move || {
            let ticket = journal.append(&[&body(number, 0)]).unwrap();
            appended.send(()).unwrap();
            let _ = done.send(journal.wait(ticket, Until::Durable));
        });
        begun.recv().unwrap();
        // Most likely it waits now.
        (0..10_000).for_each(|_| std::thread::yield_now());
        ended
    };
    std::thread::scope(|scope| {
        let counts = faults.counts();
        let count = |name| counts.get(name).copied().unwrap_or_default();
        faults.hold("sync_dir");
        let journal = &journal;
        scope.spawn(move || journal_wait(journal, first));
        faults.await_calls("sync_dir", count("sync_dir") + 1);
        // The segment is being made: this record still goes with the one that needs it.
        let second = waits(2);
        faults.hold("sync_data");
        faults.release("sync_dir");
        faults.await_calls("sync_data", count("sync_data") + 1);
        // And this one does not.
        let third = waits(3);
        faults.release("sync_data");
        for ended in [second, third] {
            let ended = ended.recv_timeout(std::time::Duration::from_secs(20));
            ended.expect("nobody synced").unwrap();
        }
    });
}

#[test]
fn threads_that_append_wait_rotate_cut_sync_and_visit_at_once_come_to_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let journal = journal.clone();
            scope.spawn(move || {
                for number in 0..300 {
                    let ticket = journal.append(&[&body(writer, number)]).unwrap();
                    let until = if (number + writer) % 3 == 0 {
                        Until::Durable
                    } else {
                        Until::Written
                    };
                    journal.wait(ticket, until).unwrap();
                    match number % 50 {
                        20 => journal.sync().unwrap(),
                        30 if writer == 0 => {
                            let here = journal.rotate().unwrap();
                            journal.cut(here).unwrap();
                        }
                        40 => drop(crate::rig::visited(&journal)),
                        _ => {}
                    }
                }
            });
        }
    });
    let before = crate::rig::visited(&journal);
    journal.close().unwrap();
    let (_, recovered) = open(dir.path());
    assert!(recovered.was_clean());
    let found = bodies(&recovered);
    assert_eq!(
        found,
        before.into_iter().map(|(_, body)| body).collect::<Vec<_>>()
    );
    for writer in 0..6 {
        let of_writer: Vec<_> = found
            .iter()
            .map(|body| who(body))
            .filter(|who| who.0 == writer)
            .collect();
        assert!(of_writer.windows(2).all(|pair| pair[0].1 + 1 == pair[1].1));
        // One that had finished early may have been cut as a whole.
        assert!(of_writer.last().is_none_or(|last| *last == (writer, 299)));
    }
}
