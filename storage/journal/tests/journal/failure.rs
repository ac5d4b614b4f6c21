//! Calls that fail, once or for a while; the journal goes on without a restart.

use std::{io, path::Path, sync::Arc, time::Duration};

use facteur_disk::{Disk, Faults};
use facteur_journal::{Fsync, Journal, JournalError, Options, Progress, Until};

use crate::rig::{Hand, bodies, body, open, options, visited, who};

const SECOND: Duration = Duration::from_secs(1);

fn start(dir: &Path) -> (Journal, Arc<Faults>, Hand) {
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let (hand, clock) = Hand::new();
    let (journal, _) = Journal::open(
        disk.without_syncs(),
        Options {
            clock,
            ..options(dir)
        },
    )
    .unwrap();
    (journal, faults, hand)
}

fn write(journal: &Journal, number: u32, until: Until) -> Result<(), JournalError> {
    let ticket = journal.append(&[&body(0, number)])?;
    journal.wait(ticket, until)
}

fn numbers(bodies: impl IntoIterator<Item = Vec<u8>>) -> Vec<u32> {
    bodies.into_iter().map(|body| who(&body).1).collect()
}

fn shown(journal: &Journal) -> Vec<u32> {
    numbers(visited(journal).into_iter().map(|(_, body)| body))
}

fn count(faults: &Faults, name: &str) -> u64 {
    faults.counts().get(name).copied().unwrap_or_default()
}

#[test]
fn a_failed_sync_fails_its_waiters_and_keeps_what_was_acknowledged_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults, _) = start(dir.path());
    write(&journal, 0, Until::Durable).unwrap();
    write(&journal, 1, Until::Written).unwrap();
    faults.break_point("sync_data", io::ErrorKind::Other);
    let unwaited = journal.append(&[&body(0, 2)]).unwrap();
    let failed = journal.append(&[&body(0, 3)]).unwrap();
    assert!(matches!(
        journal.wait(failed, Until::Durable),
        Err(JournalError::Failed(_))
    ));
    assert!(matches!(
        journal.wait(unwaited, Until::Written),
        Err(JournalError::Failed(_))
    ));
    assert!(matches!(
        journal.append(&[b"x"]),
        Err(JournalError::Failed(_))
    ));
    assert!(journal.failure().is_some());
    assert_eq!(journal.progress(failed), Progress::Failed);
    assert_eq!(shown(&journal), [0, 1]);
    faults.heal();
    // The first try of a fresh segment has failed just now; the next is due in a second.
    assert!(write(&journal, 4, Until::Durable).is_err());
    assert!(journal.sync().is_err());
}

#[test]
fn a_fresh_segment_is_tried_once_a_second_and_takes_the_place_of_the_failed_one() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults, hand) = start(dir.path());
    write(&journal, 0, Until::Durable).unwrap();
    write(&journal, 1, Until::Written).unwrap();
    let file = dir.path().join("segment.00000001");
    faults.break_point("sync_data", io::ErrorKind::Other);
    assert!(write(&journal, 2, Until::Durable).is_err());
    let given_up = std::fs::read(&file).unwrap();
    for _ in 0..3 {
        let before = count(&faults, "create");
        for _ in 0..5 {
            assert!(write(&journal, 3, Until::Durable).is_err());
        }
        assert_eq!(count(&faults, "create"), before + 1);
        hand.turn(SECOND);
    }
    faults.heal();
    write(&journal, 4, Until::Durable).unwrap();
    assert!(journal.failure().is_none());
    write(&journal, 5, Until::Written).unwrap();
    assert_eq!(shown(&journal), [0, 1, 4, 5]);
    assert_eq!(
        std::fs::read(&file).unwrap(),
        given_up,
        "the failed file was written to again"
    );
    let here = journal.rotate().unwrap();
    write(&journal, 6, Until::Durable).unwrap();
    let before = shown(&journal);
    // Nor is it kept to be used again.
    journal.cut(here).unwrap();
    assert!(!file.exists());
    assert_eq!((before, shown(&journal)), (vec![0, 1, 4, 5, 6], vec![6]));
}

#[test]
fn a_process_that_dies_while_the_journal_is_failed_leaves_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults, hand) = start(dir.path());
    write(&journal, 0, Until::Durable).unwrap();
    write(&journal, 1, Until::Written).unwrap();
    faults.break_point("sync_data", io::ErrorKind::Other);
    assert!(write(&journal, 2, Until::Durable).is_err());
    for _ in 0..3 {
        hand.turn(SECOND);
        assert!(journal.sync().is_err());
    }
    drop(journal);
    let (_, recovered) = open(dir.path());
    let found = numbers(bodies(&recovered));
    assert!(found.starts_with(&[0, 1]), "{found:?}");
}

#[test]
fn no_room_is_told_apart_and_passes_without_a_restart() {
    for name in ["write", "create"] {
        let dir = tempfile::tempdir().unwrap();
        let (journal, faults, hand) = start(dir.path());
        let mut written = Vec::new();
        faults.break_point(name, io::ErrorKind::StorageFull);
        let mut refused = None;
        for number in 0..200 {
            match write(&journal, number, Until::Durable) {
                Ok(()) => written.push(number),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        assert!(refused.unwrap().is_no_space(), "{name}");
        assert_eq!(shown(&journal), written);
        faults.heal();
        hand.turn(SECOND);
        write(&journal, 1000, Until::Durable).unwrap();
        written.push(1000);
        let (_, recovered) = open(dir.path());
        assert_eq!(numbers(bodies(&recovered)), written);
    }
}

#[test]
fn a_journal_opened_on_a_full_disk_shows_what_it_has_and_writes_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    write(&journal, 0, Until::Durable).unwrap();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    for name in ["write", "create"] {
        faults.break_point(name, io::ErrorKind::StorageFull);
    }
    let (hand, clock) = Hand::new();
    let (journal, recovered) = Journal::open(
        disk.without_syncs(),
        Options {
            clock,
            ..options(dir.path())
        },
    )
    .unwrap();
    assert_eq!(numbers(bodies(&recovered)), [0]);
    assert_eq!(shown(&journal), [0]);
    assert!(
        write(&journal, 1, Until::Durable)
            .unwrap_err()
            .is_no_space()
    );
    faults.heal();
    hand.turn(SECOND);
    write(&journal, 2, Until::Durable).unwrap();
    let (_, recovered) = open(dir.path());
    assert_eq!(numbers(bodies(&recovered)), [0, 2]);
}

/// What each writer was told, and what is in the log afterwards, must be the same.
fn every_call_fails(kind: io::ErrorKind, fsync: Fsync, writers: u32, step: usize) {
    let mut last_calls = 0;
    for call in (0..).step_by(step) {
        let dir = tempfile::tempdir().unwrap();
        let (disk, faults) = Disk::failing_calls([call, call + 9], kind);
        let (hand, clock) = Hand::new();
        let options = Options {
            clock,
            fsync,
            ..options(dir.path())
        };
        let Ok((journal, _)) = Journal::open(disk.without_syncs(), options.clone()) else {
            continue;
        };
        let work = |writer: u32| {
            let mut told = Vec::new();
            for number in 0..60 {
                hand.turn(SECOND);
                let until = if number % 3 == 0 {
                    Until::Durable
                } else {
                    Until::Written
                };
                let ticket = journal.append(&[&body(writer, number)]);
                if ticket
                    .and_then(|ticket| journal.wait(ticket, until))
                    .is_ok()
                {
                    told.push((writer, number));
                }
                if number % 13 == 12 {
                    let _ = journal.rotate();
                }
            }
            told
        };
        let mut told = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..writers)
                .map(|writer| scope.spawn(move || work(writer)))
                .collect();
            handles
                .into_iter()
                .flat_map(|handle| handle.join().unwrap())
                .collect::<Vec<_>>()
        });
        hand.turn(SECOND);
        for _ in 0..3 {
            // An injected failure may still be to come.
            if journal.sync().is_ok() && journal.failure().is_none() {
                break;
            }
            hand.turn(SECOND);
        }
        let try_visit = || {
            let mut seen = Vec::new();
            let see = |_, found: &[u8]| {
                seen.push(who(found));
                Ok::<_, JournalError>(())
            };
            journal.visit(see).map(|()| seen)
        };
        let mut seen = (0..3).find_map(|_| try_visit().ok()).unwrap();
        drop(journal);
        let (_, recovered) = Journal::open(Disk::real(), options).unwrap();
        let mut found: Vec<_> = bodies(&recovered).iter().map(|body| who(body)).collect();
        for list in [&mut told, &mut seen, &mut found] {
            // Stable: the order of each writer's own records stays.
            list.sort_by_key(|(writer, _)| *writer);
        }
        let shown = format!(
            "call {call} ({:?})",
            faults.log().get(usize::try_from(call).unwrap())
        );
        assert_eq!(seen, told, "{shown}");
        assert_eq!(found, told, "{shown}");
        assert!(recovered.damage().is_empty(), "{shown}");
        last_calls = faults.calls();
        if call > last_calls {
            break;
        }
    }
    assert!(last_calls > 60);
}

#[test]
fn any_call_that_fails_loses_nothing_acknowledged_and_brings_back_nothing_refused() {
    every_call_fails(io::ErrorKind::Other, Fsync::Optimized, 1, 1);
}

#[test]
fn any_call_without_room_loses_nothing_acknowledged_and_brings_back_nothing_refused() {
    every_call_fails(io::ErrorKind::StorageFull, Fsync::Always, 1, 1);
}

#[test]
fn any_call_that_fails_while_nothing_is_synced_loses_nothing_either() {
    every_call_fails(io::ErrorKind::Other, Fsync::Never, 1, 1);
}

#[test]
fn calls_that_fail_with_many_threads_at_work_lose_nothing_acknowledged() {
    every_call_fails(io::ErrorKind::Other, Fsync::Optimized, 5, 13);
}
