//! Bytes that changed or went missing on the disk.

use std::{fs, path::Path};

use facteur_disk::Disk;
use facteur_journal::{Fsync, Journal, Lsn, Options, Recovered, Until};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::rig::{bodies, body, open, options, records, who as whole_body};

/// Bytes before a segment's first record.
const BLOCK: u64 = 4096;

/// Where each record begins and ends.
type Places = Vec<(u64, u64)>;

/// A short record, that tells which one it is.
fn short(number: u32) -> Vec<u8> {
    let mut body = vec![0xa5; 4 + number as usize * 5 % 24];
    body[..4].copy_from_slice(&number.to_le_bytes());
    body
}

/// Its number; its content must be the one it was made with.
fn which(found: &[u8]) -> usize {
    let number = u32::from_le_bytes(found[..4].try_into().unwrap());
    assert_eq!(found, short(number), "a record changed");
    number as usize
}

/// Bytes of a file: some of its header, and every one of its records.
fn bytes_until(end: u64) -> impl Iterator<Item = usize> {
    (0..100)
        .chain((100..4096).step_by(97))
        .chain(4096..usize::try_from(end).unwrap())
}

/// A log of groups of records, and where they are in the log.
fn write(dir: &Path, groups: &[u32], close: bool) -> Places {
    let (journal, _) = open(dir);
    let mut places = Places::new();
    for group in groups {
        for _ in 0..*group {
            let number = u32::try_from(places.len()).unwrap();
            let ticket = journal.append(&[&short(number)]).unwrap();
            places.push((ticket.lsn().value(), ticket.end().value()));
        }
        journal.sync().unwrap();
    }
    if close {
        journal.close().unwrap();
    }
    places
}

/// Opens a copy of `from` in which `change` changed the first segment's file.
fn open_changed(from: &Path, change: impl FnOnce(&mut Vec<u8>)) -> (TempDir, Recovered) {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let file = dir.path().join("segment.00000001");
    let mut bytes = fs::read(&file).unwrap();
    change(&mut bytes);
    fs::write(&file, bytes).unwrap();
    let options = Options {
        fsync: Fsync::Never,
        ..options(dir.path())
    };
    let (_, recovered) = Journal::open(Disk::real(), options).unwrap();
    (dir, recovered)
}

fn numbers(recovered: &Recovered) -> Vec<usize> {
    bodies(recovered).iter().map(|body| which(body)).collect()
}

fn is_damaged(recovered: &Recovered, (from, to): (u64, u64)) -> bool {
    let mut damage = recovered.damage().iter();
    damage.any(|damage| damage.from.value() < to && from < damage.to.value())
}

#[test]
fn a_byte_changed_anywhere_costs_one_record_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let places = write(dir.path(), &[2, 1, 3, 2], true);
    let end = places.last().unwrap().1 - places[0].0 + BLOCK + 48;
    for at in bytes_until(end) {
        let (_dir, recovered) = open_changed(dir.path(), |bytes| bytes[at] ^= 0x55);
        let found = numbers(&recovered);
        let missing: Vec<_> = (0..places.len())
            .filter(|number| !found.contains(number))
            .collect();
        assert!(missing.len() <= 1, "byte {at}: {missing:?}");
        assert!(found.is_sorted(), "byte {at}");
        for number in missing {
            assert!(
                is_damaged(&recovered, places[number]),
                "byte {at}: {number} lost in silence"
            );
            assert!(!recovered.was_clean());
        }
    }
}

#[test]
fn a_byte_changed_in_a_log_not_closed_is_reported_if_later_groups_prove_it() {
    let dir = tempfile::tempdir().unwrap();
    let groups = [2, 1, 3, 2];
    let places = write(dir.path(), &groups, false);
    let proven = places[5].1;
    let end = places.last().unwrap().1 - places[0].0 + BLOCK + 48;
    for at in bytes_until(end) {
        let (_dir, recovered) = open_changed(dir.path(), |bytes| bytes[at] ^= 0x55);
        let found = numbers(&recovered);
        for number in (0..places.len()).filter(|number| !found.contains(number)) {
            if places[number].1 <= proven {
                assert!(
                    is_damaged(&recovered, places[number]),
                    "byte {at}: {number} lost in silence"
                );
            } else {
                assert!(recovered.was_torn(), "byte {at}");
            }
        }
        let in_first_groups = at as u64 + places[0].0 < proven + BLOCK;
        assert!(!in_first_groups || found.contains(&7), "byte {at}");
        assert!(found.is_sorted(), "byte {at}");
    }
}

#[test]
fn a_file_cut_anywhere_leaves_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let places = write(dir.path(), &[2, 1, 3, 2], false);
    let first = usize::try_from(places[0].0).unwrap();
    let end = usize::try_from(places.last().unwrap().1).unwrap() - first + 4096 + 48;
    for length in 4096..=end {
        let (_dir, recovered) = open_changed(dir.path(), |bytes| bytes.truncate(length));
        let found = numbers(&recovered);
        let whole =
            |place: &&(u64, u64)| usize::try_from(place.1).unwrap() - first + 4096 + 48 <= length;
        let expected: Vec<_> = (0..places.iter().filter(whole).count()).collect();
        assert_eq!(found, expected, "length {length}");
        assert!(recovered.damage().is_empty(), "length {length}");
    }
}

#[test]
fn records_after_a_torn_one_that_was_never_durable_are_not_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let places = write(dir.path(), &[3, 4], false);
    let torn = usize::try_from(places[4].0 - places[0].0 + BLOCK + 48).unwrap();
    let (_dir, recovered) = open_changed(dir.path(), |bytes| bytes[torn + 30] ^= 1);
    assert_eq!(numbers(&recovered), [0, 1, 2, 3]);
    assert!(recovered.was_torn() && recovered.damage().is_empty());
}

#[test]
fn an_older_segment_that_was_damaged_or_lost_is_reported_and_the_others_delivered() {
    let start = tempfile::tempdir().unwrap();
    let (journal, _) = open(start.path());
    let mut ends = Vec::new();
    for segment in 0..3u32 {
        for number in 0..5 {
            let _ = journal.append(&[&body(segment, number)]).unwrap();
        }
        ends.push(journal.rotate().unwrap());
    }
    drop(journal);
    for lost in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(start.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let second = dir.path().join("segment.00000002");
        if lost {
            fs::remove_file(&second).unwrap();
        } else {
            let mut bytes = fs::read(&second).unwrap();
            bytes[..4096].fill(0x11);
            fs::write(&second, bytes).unwrap();
        }
        let (_, recovered) = open(dir.path());
        let found: Vec<_> = bodies(&recovered)
            .iter()
            .map(|body| whole_body(body).0)
            .collect();
        assert_eq!(found, [0, 0, 0, 0, 0, 2, 2, 2, 2, 2]);
        let [damage] = recovered.damage() else {
            unreachable!("{:?}", recovered.damage());
        };
        assert_eq!((damage.from, damage.to), (ends[0], ends[1]));
        assert_eq!(recovered.unreadable().len(), usize::from(!lost));
        assert!(recovered.unreadable().iter().all(|path| path.exists()));
        // It was told once; the next process finds a log that goes on, still without that part.
        let (_, again) = open(dir.path());
        assert_eq!(bodies(&again), bodies(&recovered));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_changes_what_is_delivered_is_true_and_what_was_proven_is_not_lost_in_silence(
        groups in proptest::collection::vec(1u32..5, 2..8),
        flips in proptest::collection::vec((0u32..2000, 1u8..), 1..6),
        close: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let places = write(dir.path(), &groups, close);
        let last = *groups.last().unwrap() as usize;
        let (_dir, recovered) = open_changed(dir.path(), |bytes| {
            for (at, flip) in &flips {
                let at = 4096 + *at as usize % (bytes.len() - 4096).min(1200);
                bytes[at] ^= flip;
            }
        });
        let found = records(&recovered);
        // `which` compares the whole content.
        for (lsn, body) in &found {
            let number = which(body);
            prop_assert_eq!(*lsn, Lsn::from_value(places[number].0));
        }
        let numbers: Vec<_> = found.iter().map(|(_, body)| which(body)).collect();
        // Without its last mark a log cannot prove anything; one flip cannot hit both that and more.
        if flips.len() == 1 {
            for number in (0..places.len() - last).filter(|number| !numbers.contains(number)) {
                prop_assert!(is_damaged(&recovered, places[number]), "{} lost in silence", number);
            }
        }
    }

    #[test]
    fn parts_of_a_record_are_delivered_as_one(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 0..6)) {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = open(dir.path());
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let ticket = journal.append(&slices).unwrap();
        journal.wait(ticket, Until::Written).unwrap();
        let (_, recovered) = open(dir.path());
        prop_assert_eq!(records(&recovered), [(ticket.lsn(), parts.concat())]);
    }
}
