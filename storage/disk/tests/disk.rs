//! The disk by itself: atomic writes, copies, and the faults that other crates' tests rely on.

use std::{
    fs,
    io::{self, Read, Write},
};

use facteur_disk::{Disk, EntryKind};

#[test]
fn an_atomic_write_killed_anywhere_leaves_the_old_or_the_new_content() {
    for call in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        Disk::real()
            .write_atomically(&path, b"the old one")
            .unwrap();
        let (disk, faults) = Disk::crashing(call);
        let written = disk.write_atomically(&path, b"the new content");
        let found = fs::read(&path).unwrap();
        if !faults.struck() {
            assert_eq!(found, b"the new content");
            assert_eq!(
                faults.log(),
                ["create", "write", "sync_all", "rename", "sync_dir"]
            );
            return;
        }
        assert!(written.is_err());
        assert!(
            found == b"the old one" || found == b"the new content",
            "{found:?}"
        );
    }
}

#[test]
fn a_failed_call_fails_once_and_a_killed_process_does_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let (failing, _) = Disk::failing(1, io::ErrorKind::StorageFull);
    assert!(failing.kind(dir.path()).is_ok());
    let error = failing.kind(dir.path()).unwrap_err();
    assert!(facteur_disk::is_no_space(&error));
    assert!(failing.kind(dir.path()).is_ok());
    let (dead, _) = Disk::crashing(0);
    for _ in 0..3 {
        assert!(dead.create_dir(&dir.path().join("x")).is_err());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_write_that_is_killed_may_be_torn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let (disk, _) = Disk::crashing(1);
    let mut file = disk.create_new(&path).unwrap();
    assert!(file.write_all(b"0123456789").is_err());
    assert_eq!(fs::read(&path).unwrap(), b"01234");
}

#[test]
fn a_range_is_copied_and_an_end_too_early_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let mut from = disk.create_new(&dir.path().join("from")).unwrap();
    from.write_all(&b"0123456789".repeat(50_000)).unwrap();
    let mut to = disk.anonymous(dir.path()).unwrap();
    to.write_all(b"before ").unwrap();
    to.copy_range(&from, 5, 499_995).unwrap();
    assert_eq!(to.size().unwrap(), 7 + 499_995);
    let mut head = [0; 12];
    to.read_exact_at(&mut head, 0).unwrap();
    assert_eq!(&head, b"before 56789");
    let early = to.copy_range(&from, 5, 500_000).unwrap_err();
    assert_eq!(early.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "the other has no name"
    );
}

#[test]
fn rename_new_does_not_replace() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, "a").unwrap();
    fs::write(&b, "b").unwrap();
    let refused = disk.rename_new(&a, &b).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    disk.unlink(&b).unwrap();
    disk.rename_new(&a, &b).unwrap();
    let mut text = String::new();
    disk.open(&b).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), disk.kind(&a).unwrap()), ("a", None));
    assert_eq!(disk.kind(&b).unwrap(), Some(EntryKind::File));
}

#[test]
fn a_lock_is_one_holders() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let disk = Disk::real();
    let held = disk.lock(&path).unwrap();
    assert!(held.is_some());
    assert!(disk.lock(&path).unwrap().is_none());
    drop(held);
    assert!(disk.lock(&path).unwrap().is_some());
}
