//! What was appended comes back.

use facteur_disk::Disk;
use facteur_journal::{Fsync, Journal, JournalError, MAX_RECORD, Options, Progress, Until};

use crate::rig::{bodies, body, open, options, records, visited, who};

#[test]
fn a_new_journal_is_clean_and_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovered) = Journal::open(Disk::real(), options(dir.path())).unwrap();
    assert!(recovered.was_clean() && recovered.damage().is_empty());
    assert!(bodies(&recovered).is_empty());
    assert!(journal.failure().is_none());
    assert_eq!(journal.id().len(), 32);
}

#[test]
fn records_come_back_in_order_closed_or_not() {
    for close in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(Disk::real(), options(dir.path())).unwrap();
        for n in 0..500u32 {
            let ticket = journal
                .append(&[&n.to_le_bytes(), &vec![7; n as usize]])
                .unwrap();
            if n % 50 == 0 {
                assert_eq!(journal.progress(ticket), Progress::Pending);
                journal.wait(ticket, Until::Durable).unwrap();
                assert_eq!(journal.progress(ticket), Progress::Durable);
                assert!(journal.durable() >= ticket.end());
            }
        }
        journal.sync().unwrap();
        if close {
            journal.close().unwrap();
        }
        let id = journal.id();
        drop(journal);
        let (journal, recovered) = Journal::open(Disk::real(), options(dir.path())).unwrap();
        assert_eq!(recovered.was_clean(), close);
        assert_eq!(journal.id(), id);
        let found = bodies(&recovered);
        assert_eq!(found.len(), 500);
        for (n, body) in found.iter().enumerate() {
            assert_eq!(body.len(), n + 4);
            assert_eq!(body[..4], u32::try_from(n).unwrap().to_le_bytes());
        }
    }
}

#[test]
fn what_was_cut_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(Disk::real(), options(dir.path())).unwrap();
    for n in 0..200u32 {
        let ticket = journal.append(&[&n.to_le_bytes(), &[1; 900]]).unwrap();
        journal.wait(ticket, Until::Written).unwrap();
        if n % 40 == 39 {
            let here = journal.rotate().unwrap();
            journal.cut(here).unwrap();
        }
    }
    assert!(journal.bytes() < 1000);
    let ticket = journal.append(&[b"last"]).unwrap();
    journal.wait(ticket, Until::Durable).unwrap();
    let (_, recovered) = Journal::open(Disk::real(), options(dir.path())).unwrap();
    assert_eq!(bodies(&recovered), [b"last"]);
    assert!(recovered.damage().is_empty());
    assert!(std::fs::read_dir(dir.path()).unwrap().count() < 6);
}

#[test]
fn never_syncs_nothing_and_always_syncs_what_is_only_written() {
    for (fsync, least, most) in [
        (Fsync::Never, 0, 0),
        (Fsync::Always, 10, 11),
        (Fsync::Optimized, 1, 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (disk, faults) = Disk::failing(u64::MAX, std::io::ErrorKind::Other);
        let options = Options {
            fsync,
            ..options(dir.path())
        };
        let (journal, _) = Journal::open(disk, options).unwrap();
        for _ in 0..10 {
            let ticket = journal.append(&[b"x"]).unwrap();
            journal.wait(ticket, Until::Written).unwrap();
        }
        let syncs = faults
            .log()
            .iter()
            .filter(|name| name.starts_with("sync"))
            .count();
        // The first segment itself takes a sync of the folder and one of the file.
        let own = if fsync == Fsync::Never { 0 } else { 4 };
        assert!(
            (least..=most + own).contains(&syncs),
            "{fsync:?}: {:?}",
            faults.log()
        );
    }
}

#[test]
fn a_record_longer_than_a_segment_gets_a_longer_one_and_one_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let long = vec![9; 100 << 10];
    for part in [&b"before"[..], &long, b"after"] {
        let ticket = journal.append(&[part]).unwrap();
        journal.wait(ticket, Until::Durable).unwrap();
    }
    let piece = vec![0; 1 << 20];
    let pieces = vec![&piece[..]; (MAX_RECORD >> 20) + 1];
    assert!(matches!(
        journal.append(&pieces),
        Err(JournalError::TooLarge { .. })
    ));
    let (_, recovered) = open(dir.path());
    assert_eq!(bodies(&recovered), [&b"before"[..], &long, b"after"]);
}

#[test]
fn positions_never_come_back_after_an_unclean_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = None;
    for run in 0..5 {
        let (journal, recovered) = open(dir.path());
        assert_eq!(recovered.was_clean(), run == 0);
        let ticket = journal.append(&[&body(run, 0)]).unwrap();
        assert!(Some(ticket.lsn()) > last);
        journal.wait(ticket, Until::Written).unwrap();
        // Never given to the file: lost with this process, its position with it.
        last = Some(journal.append(&[&body(run, 1)]).unwrap().lsn());
    }
    let (_, recovered) = open(dir.path());
    let found: Vec<_> = bodies(&recovered).iter().map(|body| who(body)).collect();
    assert_eq!(found, [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
}

#[test]
fn processes_that_append_nothing_leave_no_files_behind() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        open(dir.path());
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().count() <= 5);
}

#[test]
fn a_closed_journal_refuses_and_the_next_positions_follow() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let ticket = journal.append(&[b"one"]).unwrap();
    journal.close().unwrap();
    journal.wait(ticket, Until::Durable).unwrap();
    assert!(matches!(
        journal.append(&[b"two"]),
        Err(JournalError::Closed)
    ));
    let (journal, recovered) = open(dir.path());
    assert!(recovered.was_clean());
    let next = journal.append(&[b"two"]).unwrap();
    assert!(next.lsn() > ticket.lsn() && next.lsn().value() < ticket.lsn().value() + 4096);
}

#[test]
fn rotation_divides_what_was_appended_from_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let before = journal.append(&[b"before"]).unwrap();
    let here = journal.rotate().unwrap();
    assert_eq!(journal.progress(before), Progress::Durable);
    assert_eq!(journal.rotate().unwrap(), here);
    let after = journal.append(&[b"after"]).unwrap();
    assert!(before.end() <= here && here <= after.lsn());
    journal.sync().unwrap();
    journal.cut(here).unwrap();
    let (_, recovered) = open(dir.path());
    assert_eq!(bodies(&recovered), [b"after"]);
}

#[test]
fn a_visit_shows_what_is_not_cut_of_this_and_earlier_processes() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    for number in 0..60 {
        let _ = journal.append(&[&body(0, number)]).unwrap();
    }
    journal.sync().unwrap();
    let (journal, recovered) = open(dir.path());
    for number in 0..30 {
        let _ = journal.append(&[&body(1, number)]).unwrap();
    }
    let mut expected = records(&recovered);
    assert_eq!(expected.len(), 60);
    let seen = visited(&journal);
    assert_eq!(seen[..60], expected[..]);
    let newer: Vec<_> = seen[60..].iter().map(|(_, body)| who(body)).collect();
    assert_eq!(newer, (0..30).map(|number| (1, number)).collect::<Vec<_>>());
    let here = journal.rotate().unwrap();
    journal.cut(here).unwrap();
    assert!(visited(&journal).is_empty());
    let ticket = journal.append(&[&body(2, 0)]).unwrap();
    expected = vec![(ticket.lsn(), body(2, 0))];
    assert_eq!(visited(&journal), expected);
}

#[test]
fn a_visit_is_not_disturbed_by_those_who_cut_and_append() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    for number in 0..100 {
        let _ = journal.append(&[&body(0, number)]).unwrap();
    }
    journal.sync().unwrap();
    let mut seen = Vec::new();
    let done: Result<(), JournalError> = journal.visit(|_, found| {
        seen.push(who(found));
        let here = journal.rotate()?;
        journal.cut(here)?;
        for number in 0..30 {
            let _ = journal.append(&[&body(1, number)])?;
        }
        journal.sync()
    });
    done.unwrap();
    assert_eq!(seen, (0..100).map(|number| (0, number)).collect::<Vec<_>>());
    assert!(std::fs::read_dir(dir.path()).unwrap().count() <= 10);
}

#[test]
fn segments_of_a_later_version_or_of_another_journal_are_refused_untouched() {
    let [one, two] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    for dir in [&one, &two] {
        let (journal, _) = open(dir.path());
        journal.close().unwrap();
    }
    let (from, to) = (
        one.path().join("segment.00000001"),
        two.path().join("segment.00000009"),
    );
    std::fs::copy(&from, &to).unwrap();
    let refused = Journal::open(Disk::real(), options(two.path()));
    assert!(matches!(refused, Err(JournalError::Foreign { .. })));
    assert_eq!(std::fs::read(&from).unwrap(), std::fs::read(&to).unwrap());
}
