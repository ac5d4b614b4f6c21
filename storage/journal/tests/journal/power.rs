//! Power lost at any moment, on a disk that keeps of what was not synced what it likes.

use std::{collections::BTreeSet, io, sync::Mutex, time::Duration};

use facteur_disk::{Disk, PowerLoss};
use facteur_journal::{Journal, Options, Until};

use crate::rig::{Hand, bodies, body, open, options, who};

/// What had been promised when a moment had come.
#[derive(Debug, Clone, Copy, Default)]
struct Promise {
    moment: usize,
    /// So many records were acknowledged as durable (all with lower numbers are).
    durable: u32,
    /// Records below were being cut; and were cut.
    cut_begun: u32,
    cut: u32,
}

/// Works for a while; the promises in the order in which they were made.
fn record(count: u32) -> (tempfile::TempDir, PowerLoss, Vec<Promise>) {
    let dir = tempfile::tempdir().unwrap();
    let (disk, power) = Disk::recording(dir.path(), |_| false).unwrap();
    let (journal, _) = Journal::open(disk, options(&dir.path().join("journal"))).unwrap();
    let mut promises = vec![Promise::default()];
    let promise = |change: &dyn Fn(&mut Promise), promises: &mut Vec<Promise>| {
        let mut next = promises.last().copied().unwrap_or_default();
        next.moment = power.moments();
        change(&mut next);
        promises.push(next);
    };
    for number in 0..count {
        let ticket = journal.append(&[&body(0, number)]).unwrap();
        let until = if number % 3 == 2 {
            Until::Durable
        } else {
            Until::Written
        };
        journal.wait(ticket, until).unwrap();
        if until == Until::Durable {
            promise(&|next| next.durable = number + 1, &mut promises);
        }
        if number % 20 == 19 {
            let here = journal.rotate().unwrap();
            promise(
                &|next| (next.durable, next.cut_begun) = (number + 1, number + 1),
                &mut promises,
            );
            journal.cut(here).unwrap();
            promise(&|next| next.cut = number + 1, &mut promises);
        }
    }
    journal.close().unwrap();
    promise(&|next| next.durable = count, &mut promises);
    (dir, power, promises)
}

/// Whether the image of moment `at` keeps what had been promised by then.
fn holds(
    power: &PowerLoss,
    at: usize,
    seed: u64,
    ignored: Option<usize>,
    promises: &[Promise],
) -> Result<(), String> {
    let into = tempfile::tempdir().unwrap();
    power
        .image_without(at, seed, ignored.as_slice(), into.path())
        .unwrap();
    let made = promises.partition_point(|promise| promise.moment <= at);
    let promise = promises[made - 1];
    // A cut may be under way although the promise to begin it came a little later.
    let begun = promises.get(made).map_or(promise.cut_begun, |next| {
        next.cut_begun.max(promise.cut_begun)
    });
    let (_, recovered) = open(&into.path().join("journal"));
    let numbers: Vec<u32> = bodies(&recovered).iter().map(|body| who(body).1).collect();
    let shown = || format!("moment {at}, seed {seed}: {numbers:?} {promise:?}");
    if !recovered.damage().is_empty() || !recovered.unreadable().is_empty() {
        return Err(format!("{}: {:?}", shown(), recovered.damage()));
    }
    let in_a_row = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let from = numbers
        .first()
        .copied()
        .unwrap_or(promise.durable.max(begun));
    let to = numbers.last().map_or(from, |last| last + 1);
    if !in_a_row || to < promise.durable || from < promise.cut || from > begun {
        return Err(shown());
    }
    Ok(())
}

#[test]
fn power_lost_at_any_moment_loses_nothing_durable_and_brings_back_nothing_cut() {
    let (_dir, power, promises) = record(110);
    for at in 0..=power.moments() {
        for seed in 0..6 {
            holds(&power, at, seed, None, &promises).unwrap();
        }
    }
}

#[test]
fn every_kind_of_sync_is_needed() {
    let (_dir, power, promises) = record(60);
    let needed = Mutex::new(BTreeSet::new());
    let syncs = power.syncs();
    for (ignored, sync) in syncs.iter().enumerate() {
        if needed.lock().unwrap().contains(sync.name) {
            continue;
        }
        let until = (sync.moment + 40).min(power.moments());
        let missed = (sync.moment..=until).any(|at| {
            (0..4).any(|seed| holds(&power, at, seed, Some(ignored), &promises).is_err())
        });
        if missed {
            needed.lock().unwrap().insert(sync.name);
        }
    }
    let needed = needed.into_inner().unwrap();
    assert_eq!(needed, BTreeSet::from(["sync_data", "sync_dir"]));
}

#[test]
fn what_a_process_found_after_anothers_death_stays_found_after_a_power_loss() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, power) = Disk::recording(dir.path(), |_| false).unwrap();
    let start = || Journal::open(disk.clone(), options(&dir.path().join("journal"))).unwrap();
    let mut found = Vec::new();
    for process in 0..3 {
        let (journal, recovered) = start();
        assert_eq!(bodies(&recovered), found);
        // Everything is built on these records now.
        let opened = power.moments();
        for number in 0..4 {
            let ticket = journal.append(&[&body(process, number)]).unwrap();
            journal.wait(ticket, Until::Written).unwrap();
        }
        for at in opened..=power.moments() {
            for seed in 0..8 {
                let into = tempfile::tempdir().unwrap();
                power.image(at, seed, into.path()).unwrap();
                let (_, after) = open(&into.path().join("journal"));
                assert!(
                    bodies(&after).starts_with(&found),
                    "moment {at}, seed {seed}"
                );
            }
        }
        // Killed: what was written is in the file, and no sync came.
        found.extend((0..4).map(|number| body(process, number)));
    }
}

#[test]
fn a_fresh_segment_after_a_failure_is_as_durable_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, power) = Disk::recording(dir.path(), |_| false).unwrap();
    let (hand, clock) = Hand::new();
    let options = Options {
        clock,
        ..options(&dir.path().join("journal"))
    };
    let (journal, _) = Journal::open(disk, options).unwrap();
    let append = |number| journal.append(&[&body(0, number)]).unwrap();
    journal.wait(append(0), Until::Durable).unwrap();
    let kept = append(1);
    journal.wait(kept, Until::Written).unwrap();
    power
        .faults()
        .break_point("sync_data", io::ErrorKind::Other);
    assert!(journal.wait(append(2), Until::Durable).is_err());
    power.faults().heal();
    hand.turn(Duration::from_secs(1));
    let failed = power.moments();
    journal.wait(kept, Until::Durable).unwrap();
    let mended = power.moments();
    journal.wait(append(3), Until::Durable).unwrap();
    for at in failed..=power.moments() {
        for seed in 0..16 {
            let into = tempfile::tempdir().unwrap();
            power.image(at, seed, into.path()).unwrap();
            let (_, recovered) = open(&into.path().join("journal"));
            let numbers: Vec<u32> = bodies(&recovered).iter().map(|body| who(body).1).collect();
            let durable: &[u32] = match at {
                at if at < mended => &[0],
                at if at < power.moments() => &[0, 1],
                _ => &[0, 1, 3],
            };
            assert!(
                numbers.starts_with(durable),
                "{at}, seed {seed}: {numbers:?}"
            );
            assert!(
                at < mended || !numbers.contains(&2),
                "{at}, seed {seed}: {numbers:?}"
            );
            assert!(
                recovered.damage().is_empty(),
                "{at}, seed {seed}: {:?}",
                recovered.damage()
            );
        }
    }
}
