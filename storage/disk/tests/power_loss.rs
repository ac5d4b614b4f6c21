//! The disk that loses what was not synced: a missing sync shows, a present one holds.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
};

use facteur_disk::{Disk, PowerLoss};
use tempfile::{TempDir, tempdir};

/// Seeds enough to see every outcome of a few changes.
const SEEDS: u64 = 64;

fn start() -> (TempDir, Disk, PowerLoss) {
    let dir = tempdir().unwrap();
    let (disk, power) = Disk::recording(dir.path(), |path| path.ends_with("index.db")).unwrap();
    (dir, disk, power)
}

/// The files of a tree with their content.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.insert(format!("{name}/"), String::new());
            for (inner, content) in tree(&entry.path()) {
                found.insert(format!("{name}/{inner}"), content);
            }
        } else {
            found.insert(
                name,
                String::from_utf8(fs::read(entry.path()).unwrap()).unwrap(),
            );
        }
    }
    found
}

/// What images of one moment can hold.
fn images(power: &PowerLoss, at: usize) -> BTreeSet<BTreeMap<String, String>> {
    (0..SEEDS)
        .map(|seed| image(power, at, seed, None))
        .collect()
}

fn image(
    power: &PowerLoss,
    at: usize,
    seed: u64,
    ignored: Option<usize>,
) -> BTreeMap<String, String> {
    let into = tempdir().unwrap();
    power
        .image_without(at, seed, ignored.as_slice(), into.path())
        .unwrap();
    tree(into.path())
}

fn files<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, String> {
    files
        .into_iter()
        .map(|(name, content)| (name.to_owned(), content.to_owned()))
        .collect()
}

#[test]
fn a_file_written_and_renamed_without_a_sync_may_be_empty_or_gone() {
    let (dir, disk, power) = start();
    disk.write_unsynced(&dir.path().join("file"), b"content")
        .unwrap();
    let found = images(&power, power.moments());
    for possible in [
        files([]),
        files([("file", "")]),
        files([("file", "content")]),
    ] {
        assert!(found.contains(&possible), "{possible:?} not in {found:?}");
    }
}

#[test]
fn a_file_written_atomically_is_there_whatever_the_seed() {
    let (dir, disk, power) = start();
    let path = dir.path().join("file");
    disk.write_atomically(&path, b"old").unwrap();
    let old = power.moments();
    disk.write_atomically(&path, b"the new one").unwrap();
    for at in old..=power.moments() {
        for found in images(&power, at) {
            let content = found.get("file").map(String::as_str);
            let new = at == power.moments();
            assert!(
                content == Some("the new one") || !new && content == Some("old"),
                "{at}: {found:?}"
            );
        }
    }
}

#[test]
fn every_sync_of_an_atomic_write_is_missed_when_it_does_nothing() {
    let (dir, disk, power) = start();
    disk.write_atomically(&dir.path().join("file"), b"content")
        .unwrap();
    let syncs = power.syncs();
    let names: Vec<_> = syncs.iter().map(|sync| sync.name).collect();
    assert_eq!(names, ["sync_all", "sync_dir"]);
    for (ignored, name) in names.into_iter().enumerate() {
        let missed = (0..SEEDS).any(|seed| {
            let found = image(&power, power.moments(), seed, Some(ignored));
            found.get("file").map(String::as_str) != Some("content")
        });
        assert!(missed, "{name}");
    }
}

#[test]
fn a_rename_to_another_folder_loses_the_file_only_when_the_old_one_alone_is_synced() {
    let (dir, disk, power) = start();
    let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
    disk.create_dir_all_durably(&a).unwrap();
    disk.create_dir_all_durably(&b).unwrap();
    disk.write_atomically(&a.join("file"), b"content").unwrap();
    disk.rename(&a.join("file"), &b.join("file")).unwrap();
    let both = files([
        ("a/", ""),
        ("b/", ""),
        ("a/file", "content"),
        ("b/file", "content"),
    ]);
    let old = files([("a/", ""), ("b/", ""), ("a/file", "content")]);
    let new = files([("a/", ""), ("b/", ""), ("b/file", "content")]);
    let unsynced = images(&power, power.moments());
    assert_eq!(unsynced, BTreeSet::from([old, new.clone()]));
    let mut before = power.moments();
    disk.sync_dir(&a).unwrap();
    let none = files([("a/", ""), ("b/", "")]);
    assert!(!unsynced.contains(&none));
    assert_eq!(
        images(&power, power.moments()),
        BTreeSet::from([none, new.clone()])
    );
    disk.sync_dir(&b).unwrap();
    assert_eq!(
        images(&power, power.moments()),
        BTreeSet::from([new.clone()])
    );
    // The other way round: the file may be under both names for a while.
    disk.rename(&b.join("file"), &a.join("file")).unwrap();
    assert!(power.moments() > before);
    before = power.moments();
    disk.sync_dir(&a).unwrap();
    assert!(images(&power, before).contains(&new));
    assert!(images(&power, power.moments()).contains(&both));
}

#[test]
fn an_unlink_not_synced_is_undone_and_one_synced_is_not() {
    let (dir, disk, power) = start();
    let path = dir.path().join("file");
    disk.write_atomically(&path, b"content").unwrap();
    disk.unlink(&path).unwrap();
    let gone = files([]);
    let there = files([("file", "content")]);
    assert_eq!(
        images(&power, power.moments()),
        BTreeSet::from([gone.clone(), there])
    );
    disk.sync_file_system(dir.path()).unwrap();
    assert_eq!(images(&power, power.moments()), BTreeSet::from([gone]));
}

#[test]
fn a_write_that_was_not_synced_may_be_torn_and_leaves_zeros_before_it() {
    let (dir, disk, power) = start();
    let path = dir.path().join("file");
    let mut file = disk.create_new(&path).unwrap();
    disk.sync_dir(dir.path()).unwrap();
    file.write_all(&[b'x'; 2048]).unwrap();
    let found = images(&power, power.moments());
    let torn = found.iter().filter_map(|image| image.get("file"));
    let torn = torn.filter(|content| content.contains('\0') && content.contains('x'));
    assert!(torn.count() > 0);
    file.sync_data().unwrap();
    let whole = files([("file", &"x".repeat(2048))]);
    assert_eq!(images(&power, power.moments()), BTreeSet::from([whole]));
}

#[test]
fn a_modification_time_needs_more_than_a_sync_of_the_data() {
    let (dir, disk, power) = start();
    let file = disk.create_new(&dir.path().join("file")).unwrap();
    disk.sync_dir(dir.path()).unwrap();
    file.set_modified(86_400).unwrap();
    let modified = |power: &PowerLoss| {
        let into = tempdir().unwrap();
        power.image(power.moments(), 0, into.path()).unwrap();
        let file = Disk::real().open(&into.path().join("file")).unwrap();
        file.modified().unwrap()
    };
    file.sync_data().unwrap();
    assert_ne!(modified(&power), 86_400);
    file.sync_all().unwrap();
    assert_eq!(modified(&power), 86_400);
}

#[test]
fn a_sync_covers_only_what_was_done_before_and_only_its_own_file() {
    let (dir, disk, power) = start();
    let [mut one, mut two] =
        ["one", "two"].map(|name| disk.create_new(&dir.path().join(name)).unwrap());
    disk.sync_dir(dir.path()).unwrap();
    one.write_all(b"1").unwrap();
    two.write_all(b"2").unwrap();
    one.sync_data().unwrap();
    one.write_all(b"more").unwrap();
    let worst = image(&power, power.moments(), 0, None);
    assert_eq!(worst, files([("one", "1"), ("two", "")]));
    let best = image(&power, power.moments(), 1, None);
    assert_eq!(best, files([("one", "1more"), ("two", "2")]));
}

#[test]
fn files_of_others_are_as_at_the_last_sync_or_as_they_were_seen_since() {
    let (dir, disk, power) = start();
    let index = dir.path().join("index.db");
    fs::write(&index, "first").unwrap();
    disk.sync_file_system(dir.path()).unwrap();
    fs::write(&index, "second").unwrap();
    power.observe().unwrap();
    let here = power.moments();
    fs::write(&index, "third").unwrap();
    disk.create_dir(&dir.path().join("later")).unwrap();
    let contents = |at| -> BTreeSet<String> {
        images(&power, at)
            .into_iter()
            .map(|image| image["index.db"].clone())
            .collect()
    };
    assert_eq!(
        contents(here),
        BTreeSet::from(["first".into(), "second".into()])
    );
    assert_eq!(contents(power.moments()).len(), 3);
    assert_eq!(image(&power, power.moments(), 0, None)["index.db"], "first");
}

#[test]
fn what_was_there_before_recording_is_durable() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    fs::write(dir.path().join("folder/file"), "content").unwrap();
    fs::hard_link(dir.path().join("folder/file"), dir.path().join("second")).unwrap();
    let (disk, power) = Disk::recording(dir.path(), |_| false).unwrap();
    disk.open_to_change(&dir.path().join("second"))
        .unwrap()
        .set_len(3)
        .unwrap();
    let worst = image(&power, power.moments(), 0, None);
    assert_eq!(
        worst,
        files([
            ("folder/", ""),
            ("folder/file", "content"),
            ("second", "content")
        ])
    );
    // One file with two names is cut under both.
    let best = image(&power, power.moments(), 1, None);
    assert_eq!(
        best,
        files([("folder/", ""), ("folder/file", "con"), ("second", "con")])
    );
    assert_eq!(power.faults().counts()["truncate"], 1);
}
