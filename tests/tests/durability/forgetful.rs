//! The file system that forgets, by itself: what it loses and what it keeps.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
};

use facteur_tests::{Forgetful, Image, Loss, require_forgetful};

fn write(path: &Path, text: &str) -> File {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn sync_folder(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

fn names(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn forgetful_disk_after_power_loss_has_what_was_synced_and_nothing_else() {
    if !require_forgetful() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    let mut disk = Forgetful::mount(root, Image::new(0));

    // Bytes are durable by fsync of the file, the name by fsync of the folder.
    write(&root.join("both"), "kept").sync_all().unwrap();
    write(&root.join("name only"), "lost");
    fs::create_dir(root.join("folder")).unwrap();
    sync_folder(root);
    write(&root.join("bytes only"), "lost").sync_all().unwrap();
    write(&root.join("folder/in it"), "lost")
        .sync_all()
        .unwrap();
    // What was durable comes back when it was changed without a sync.
    let both = OpenOptions::new()
        .write(true)
        .open(root.join("both"))
        .unwrap();
    both.write_all_at(b"LOST and more", 0).unwrap();
    both.set_len(2).unwrap();
    fs::rename(root.join("name only"), root.join("renamed")).unwrap();
    drop(both);
    assert_eq!(fs::read_to_string(root.join("both")).unwrap(), "LO");
    assert_eq!(names(root), ["both", "bytes only", "folder", "renamed"]);

    disk.cut(Loss::Everything);
    assert_eq!(names(root), ["both", "folder", "name only"]);
    assert_eq!(fs::read_to_string(root.join("both")).unwrap(), "kept");
    assert_eq!(fs::read(root.join("name only")).unwrap(), b"");
    assert_eq!(names(&root.join("folder")), Vec::<String>::new());

    // syncfs is for everything.
    write(&root.join("folder/in it"), "kept");
    fs::remove_file(root.join("both")).unwrap();
    assert!(disk.hears_syncfs());
    disk.cut(Loss::Everything);
    assert_eq!(names(root), ["folder", "name only"]);
    assert_eq!(
        fs::read_to_string(root.join("folder/in it")).unwrap(),
        "kept"
    );

    // A process that dies loses nothing.
    write(&root.join("unsynced"), "kept");
    disk.cut(Loss::Nothing);
    assert_eq!(fs::read_to_string(root.join("unsynced")).unwrap(), "kept");
}

#[test]
fn forgetful_disk_by_chance_keeps_some_pages_of_what_was_not_synced() {
    if !require_forgetful() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    let mut disk = Forgetful::mount(place.path(), Image::new(0));
    let file = write(&path, &"a".repeat(40 * 4096));
    file.sync_all().unwrap();
    sync_folder(place.path());
    file.write_all_at(&vec![b'b'; 40 * 4096], 0).unwrap();
    drop(file);
    disk.cut(Loss::Some { seed: 7 });
    let bytes = fs::read(&path).unwrap();
    let pages: Vec<u8> = bytes.chunks(4096).map(|page| page[0]).collect();
    assert!(
        bytes
            .chunks(4096)
            .all(|page| page.iter().all(|byte| *byte == page[0]))
    );
    assert!(pages.contains(&b'a') && pages.contains(&b'b'), "{pages:?}");
}

#[test]
fn forgetful_disk_after_power_loss_has_a_renamed_folder_in_one_place() {
    if !require_forgetful() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    let mut disk = Forgetful::mount(root, Image::new(0));
    let (mut old, mut new) = (0, 0);
    for number in 0..16 {
        let [from, to, moved] =
            ["from", "to", "moved"].map(|name| root.join(format!("{name} {number}")));
        for folder in [&from, &to, &from.join("it")] {
            fs::create_dir(folder).unwrap();
        }
        write(&from.join("it/file"), "kept");
        assert!(disk.hears_syncfs());
        fs::rename(from.join("it"), to.join("it")).unwrap();
        sync_folder(&to);
        disk.cut(Loss::Some { seed: number });
        let places = [&from, &to].map(|folder| folder.join("it/file").exists());
        match places {
            [true, false] => old += 1,
            [false, true] => new += 1,
            _ => panic!("seed {number}: {places:?}"),
        }
        // In one folder it is renamed as a whole.
        fs::rename(&to, &moved).unwrap();
        disk.cut(Loss::Everything);
        assert!(to.exists() && !moved.exists());
    }
    assert!(old > 0 && new > 0, "old {old}, new {new}");
}
