//! An index that is being made when the process or the machine ends.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::path::{Path, PathBuf};

use facteur_disk::Disk;
use facteur_index::{Index, IndexError};

const SECTOR: usize = 512;

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Opens an index that may be damaged; if it is not, it has what was noted in it or nothing, and
/// takes a note.
fn whole_or_damaged(path: &Path, noted: &str) -> Option<bool> {
    let mut index = match Index::open(&Disk::real(), path) {
        Err(IndexError::Damaged(_)) => return None,
        index => index.unwrap(),
    };
    assert_eq!(index.problems().unwrap(), Vec::<String>::new());
    assert!(index.mailboxes().unwrap().is_empty());
    assert!(!index.remembers(&[1; 32], 0).unwrap());
    let found = index.fact(noted).unwrap().is_some();
    index
        .transaction(|t| {
            t.remember(&[1; 32], 100, 0)?;
            t.set_fact("more", "yes")
        })
        .unwrap();
    Some(found)
}

/// What a power loss may leave of a file that was never synced, by sectors: cut, a sector missing,
/// and whole.
fn remains(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![whole.to_vec()];
    for at in (0..whole.len()).step_by(SECTOR) {
        all.push(whole[..at].to_vec());
        let mut holed = whole.to_vec();
        let end = (at + SECTOR).min(holed.len());
        holed[at..end].fill(0);
        all.push(holed);
        // What was allotted and never written.
        all.push([&whole[..at], &vec![0; whole.len() - at]].concat());
    }
    all
}

#[test]
fn a_power_loss_while_an_index_is_made_leaves_it_whole_or_seen_to_be_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut index = Index::open(&Disk::real(), &path).unwrap();
    index.transaction(|t| t.set_fact("noted", "yes")).unwrap();
    let database = std::fs::read(&path).unwrap();
    let log = std::fs::read(log_of(&path)).unwrap();
    drop(index);
    assert_eq!(database.len(), 4096, "all but one page is in the log");
    let (mut kept, mut empty, mut damaged) = (0, 0, 0);
    let mut judge = |database: &[u8], log: &[u8]| {
        Index::remove(&Disk::real(), &path).unwrap();
        std::fs::write(&path, database).unwrap();
        std::fs::write(log_of(&path), log).unwrap();
        match whole_or_damaged(&path, "noted") {
            Some(true) => kept += 1,
            Some(false) => empty += 1,
            None => damaged += 1,
        }
    };
    for remains in remains(&database) {
        judge(&remains, &log);
        judge(&remains, &[]);
    }
    for remains in remains(&log) {
        judge(&database, &remains);
    }
    assert!(
        kept > 0 && empty > 0 && damaged > 0,
        "{kept} {empty} {damaged}"
    );
}

#[test]
fn a_kill_at_any_call_while_an_index_is_made_leaves_none_or_an_empty_one() {
    let mut calls = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.db");
        let (disk, faults) = Disk::crashing(calls);
        let opened = Index::open(&disk, &path).is_ok();
        assert_eq!(opened, !faults.struck());
        assert_eq!(
            whole_or_damaged(&path, "noted"),
            Some(false),
            "call {calls}"
        );
        if opened {
            break;
        }
        calls += 1;
    }
    assert!(calls > 3, "the file is made through the disk: {calls}");
}

#[test]
fn an_index_that_is_made_is_no_continuation_of_another_ones_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut index = Index::open(&Disk::real(), &path).unwrap();
    index.transaction(|t| t.set_fact("noted", "yes")).unwrap();
    drop(index);
    std::fs::remove_file(&path).unwrap();
    assert!(log_of(&path).exists());
    assert_eq!(whole_or_damaged(&path, "noted"), Some(false));
    // The same where the file is there, and nothing in it.
    std::fs::write(&path, b"").unwrap();
    assert_eq!(whole_or_damaged(&path, "more"), Some(false));
}
