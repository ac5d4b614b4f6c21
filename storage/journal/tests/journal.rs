//! The journal by itself: what was appended comes back.

use facteur_disk::Disk;
use facteur_journal::{Fsync, Journal, Lsn, Options, Recovered, Until};

fn options(dir: &std::path::Path) -> Options {
    Options {
        segment_size: 64 << 10,
        ..Options::new(dir)
    }
}

fn bodies(recovered: &Recovered) -> Vec<Vec<u8>> {
    let mut records = recovered.records();
    let (mut found, mut last) = (Vec::new(), Lsn::default());
    while let Some((lsn, body)) = records.read().unwrap() {
        assert!(lsn > last);
        last = lsn;
        found.push(body.to_vec());
    }
    found
}

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
                journal.wait(ticket, Until::Durable).unwrap();
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
