//! The process killed before every call.

use std::{collections::BTreeMap, io, path::Path, sync::Mutex, time::Duration};

use facteur_disk::Disk;
use facteur_journal::{Journal, JournalError, Options, Until};

use crate::rig::{Hand, bodies, body, open, options, who};

/// What was acknowledged, and what was told to be needed no more.
#[derive(Debug, Default)]
struct Promised {
    /// The last number acknowledged, and the last appended, of each writer.
    acknowledged: BTreeMap<u32, u32>,
    appended: BTreeMap<u32, u32>,
    /// Numbers below are cut, or being cut.
    cut_begun: BTreeMap<u32, u32>,
    cut: BTreeMap<u32, u32>,
}

/// Appends, waits, checkpoints now and then.
fn work(
    journal: &Journal,
    writer: u32,
    count: u32,
    promised: &Mutex<Promised>,
) -> Result<(), JournalError> {
    for number in 0..count {
        promised.lock().unwrap().appended.insert(writer, number);
        let ticket = journal.append(&[&body(writer, number)])?;
        let until = if number % 3 == 0 {
            Until::Durable
        } else {
            Until::Written
        };
        journal.wait(ticket, until)?;
        promised.lock().unwrap().acknowledged.insert(writer, number);
        if writer == 0 && number % 16 == 15 {
            let needed = promised.lock().unwrap().acknowledged.clone();
            let here = journal.rotate()?;
            {
                // Others may have appended since: those may lie before the cut as well.
                let mut promised = promised.lock().unwrap();
                promised.cut_begun = promised.appended.clone();
                promised.cut_begun.insert(writer, number);
            }
            journal.cut(here)?;
            promised.lock().unwrap().cut = needed;
        }
    }
    Ok(())
}

/// What a later process finds must be what was promised.
fn check(dir: &Path, promised: &Promised, shown: &str) {
    let (_, recovered) = open(dir);
    assert!(
        recovered.damage().is_empty(),
        "{shown}: {:?}",
        recovered.damage()
    );
    assert!(recovered.unreadable().is_empty(), "{shown}");
    let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for body in bodies(&recovered) {
        let (writer, number) = who(&body);
        found.entry(writer).or_default().push(number);
    }
    for (writer, appended) in &promised.appended {
        let numbers = found.remove(writer).unwrap_or_default();
        let in_a_row = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        assert!(in_a_row, "{shown}: {numbers:?}");
        let first = numbers.first().copied().unwrap_or(u32::MAX);
        let last = numbers.last().copied();
        assert!(last <= Some(*appended), "{shown}");
        let begun = promised.cut_begun.get(writer).copied();
        // At most what was cut is missing at the beginning.
        assert!(
            numbers.is_empty() || first <= begun.map_or(0, |cut| cut + 1),
            "{shown}: {numbers:?} {promised:?}"
        );
        if let Some(acknowledged) = promised.acknowledged.get(writer) {
            let gone = begun >= Some(*acknowledged);
            assert!(
                gone || last >= Some(*acknowledged),
                "{shown}: {numbers:?} {promised:?}"
            );
        }
        if let Some(cut) = promised.cut.get(writer).filter(|_| *writer == 0) {
            assert!(
                numbers.is_empty() || first > *cut,
                "{shown}: {numbers:?} came back"
            );
        }
    }
    assert!(found.is_empty(), "{shown}: {found:?}");
}

#[test]
fn killed_before_any_call_all_that_was_acknowledged_comes_back_in_order_and_once() {
    let mut struck: BTreeMap<&str, u32> = BTreeMap::new();
    for call in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (disk, faults) = Disk::crashing(call);
        let promised = Mutex::new(Promised::default());
        let done =
            Journal::open(disk.without_syncs(), options(dir.path())).and_then(|(journal, _)| {
                work(&journal, 0, 100, &promised).and_then(|()| journal.close())
            });
        let name = faults.log().last().copied().unwrap_or_default();
        check(
            dir.path(),
            &promised.into_inner().unwrap(),
            &format!("call {call}, {name}"),
        );
        if !faults.struck() {
            done.unwrap();
            break;
        }
        *struck
            .entry(faults.log()[usize::try_from(call).unwrap()])
            .or_default() += 1;
    }
    println!("{struck:?}");
    for name in [
        "create",
        "create_dir",
        "open",
        "read_dir",
        "sync_data",
        "sync_dir",
        "write",
    ] {
        assert!(struck.contains_key(name), "{name} never struck: {struck:?}");
    }
}

#[test]
fn killed_again_while_it_recovers_nothing_is_lost() {
    for first in (20..400).step_by(13) {
        let dir = tempfile::tempdir().unwrap();
        let promised = Mutex::new(Promised::default());
        let (disk, _) = Disk::crashing(first);
        let _ = Journal::open(disk.without_syncs(), options(dir.path()))
            .and_then(|(journal, _)| work(&journal, 0, 100, &promised));
        let promised = promised.into_inner().unwrap();
        for second in 0.. {
            let (disk, faults) = Disk::crashing(second);
            // The next process dies as well; what it opened in full it may have begun to use.
            let _ = Journal::open(disk.without_syncs(), options(dir.path()));
            if !faults.struck() {
                break;
            }
        }
        check(dir.path(), &promised, &format!("call {first}"));
    }
}

#[test]
fn killed_with_many_threads_at_work_nothing_acknowledged_is_lost() {
    for call in (6..600).step_by(7) {
        let dir = tempfile::tempdir().unwrap();
        let (disk, _) = Disk::crashing(call);
        let promised = Mutex::new(Promised::default());
        let (journal, _) = match Journal::open(disk.without_syncs(), options(dir.path())) {
            Ok(opened) => opened,
            Err(_) => continue,
        };
        std::thread::scope(|scope| {
            for writer in 0..6 {
                let (journal, promised) = (journal.clone(), &promised);
                scope.spawn(move || work(&journal, writer, 60, promised));
            }
        });
        check(
            dir.path(),
            &promised.into_inner().unwrap(),
            &format!("call {call}"),
        );
    }
}

#[test]
fn records_of_a_segment_that_was_overwritten_never_appear() {
    // Segments of equal records at equal places: only their position tells them apart.
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    for round in 0..12u32 {
        let count = if round == 11 { 3 } else { 20 };
        for _ in 0..count {
            let ticket = journal.append(&[&round.to_le_bytes(), &[5; 500]]).unwrap();
            journal.wait(ticket, Until::Written).unwrap();
        }
        if round < 11 {
            let here = journal.rotate().unwrap();
            journal.cut(here).unwrap();
        }
    }
    let (_, recovered) = open(dir.path());
    let rounds: Vec<u8> = bodies(&recovered).iter().map(|body| body[0]).collect();
    assert_eq!(rounds, [11; 3]);
    assert!(
        std::fs::read_dir(dir.path()).unwrap().count() <= 4,
        "files are used again"
    );
}

#[test]
fn killed_while_a_failure_is_mended_what_was_acknowledged_as_written_comes_back() {
    let mut after_failure = 0;
    for call in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (disk, faults) = Disk::crashing(call);
        let (hand, clock) = Hand::new();
        let options = Options {
            clock,
            ..options(dir.path())
        };
        let mut told = Vec::new();
        let work = || -> Result<(), JournalError> {
            let (journal, _) = Journal::open(disk.without_syncs(), options)?;
            for number in 0..12 {
                if number == 4 {
                    faults.break_point("sync_data", io::ErrorKind::Other);
                }
                let ticket = journal.append(&[&body(0, number)]);
                let until = if number % 6 == 5 {
                    Until::Durable
                } else {
                    Until::Written
                };
                if ticket
                    .and_then(|ticket| journal.wait(ticket, until))
                    .is_ok()
                {
                    told.push(number);
                }
                if number == 7 {
                    faults.heal();
                    hand.turn(Duration::from_secs(1));
                }
            }
            Ok(())
        };
        let _ = work();
        let died = faults.struck() && faults.calls() > call;
        after_failure += u32::from(died && told.contains(&4));
        let (_, recovered) = open(dir.path());
        let found: Vec<u32> = bodies(&recovered).iter().map(|body| who(body).1).collect();
        // In order and once; nobody was told of what is between.
        assert!(
            found.windows(2).all(|pair| pair[0] < pair[1]),
            "call {call}: {found:?}"
        );
        let kept: Vec<u32> = told
            .iter()
            .copied()
            .filter(|number| found.contains(number))
            .collect();
        assert_eq!(kept, told, "call {call}: {found:?}");
        assert!(recovered.damage().is_empty(), "call {call}");
        if faults.calls() <= call {
            assert_eq!(told, [0, 1, 2, 3, 4, 8, 9, 10, 11]);
            break;
        }
    }
    assert!(after_failure > 4);
}
