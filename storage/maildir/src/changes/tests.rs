//! Looks at real folders, and at what `readdir(3)` may show while others rename.

use std::fs;

use super::*;
use crate::{Letter, UidList};
use facteur_model::Flag;
use tempfile::TempDir;

struct Folder {
    dir: TempDir,
    files: Files,
    names: BaseNames,
}

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn values(uids: &[Uid]) -> Vec<u32> {
    uids.iter().map(|uid| uid.value()).collect()
}

impl Folder {
    /// With `bases` as messages 1, 2, …, which lie in `cur/` without flags.
    fn with(bases: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["new", "cur", "tmp"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        let mut folder = Self {
            dir,
            files: Files::default(),
            names: BaseNames::new("h"),
        };
        for (number, base) in (1..).zip(bases) {
            folder.write(&format!("cur/{base}:2,"));
            assert!(folder.files.push(uid(number), b"", base.as_bytes()));
        }
        let changes = folder.look();
        assert_eq!((changes.added, changes.gone), (Vec::new(), Vec::new()));
        folder
    }

    fn write(&self, path: &str) {
        fs::write(self.dir.path().join(path), path).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.dir.path().join(from), self.dir.path().join(to)).unwrap();
    }

    fn look(&mut self) -> Changes {
        let now = SystemTime::now();
        self.files
            .refresh(&Disk::real(), self.dir.path(), &self.names, now)
            .unwrap()
    }

    fn name(&self, number: u32) -> String {
        let file = self.files.get(uid(number)).unwrap();
        let path = file.path(self.dir.path());
        let path = path.strip_prefix(self.dir.path()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn added(changes: &Changes) -> Vec<&str> {
    let names = changes.added.iter().map(|added| &*added.name);
    names
        .map(|name| std::str::from_utf8(name).unwrap())
        .collect()
}

#[test]
fn an_unchanged_folder_has_no_changes() {
    let mut folder = Folder::with(&["1.h", "2.h"]);
    let changes = folder.look();
    assert_eq!((changes.added, changes.gone), (Vec::new(), Vec::new()));
    assert_eq!((changes.changed, changes.moved), (Vec::new(), Vec::new()));
}

#[test]
fn what_another_program_did_is_found() {
    let mut folder = Folder::with(&["1.h", "2.h", "3.h", "4.h", "5.h"]);
    folder.rename("cur/1.h:2,", "cur/1.h:2,Sa");
    folder.rename("cur/2.h:2,", "new/2.h");
    fs::remove_file(folder.dir.path().join("cur/3.h:2,")).unwrap();
    folder.rename("cur/4.h:2,", "cur/4.h:2,P");
    for name in ["new/30.M2.h", "cur/30.M1.h:2,S", "new/7.h,S=3"] {
        folder.write(name);
    }
    fs::create_dir(folder.dir.path().join("cur/folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.dir.path().join("new/link")).unwrap();
    folder.write("cur/.hidden");
    let changes = folder.look();
    assert_eq!(values(&changes.gone), [3]);
    assert_eq!(values(&changes.changed), [1]);
    assert_eq!(values(&changes.moved), [2]);
    assert_eq!(added(&changes), ["7.h,S=3", "30.M1.h:2,S", "30.M2.h"]);
    assert_eq!(changes.added[1].place, Place::Cur);
    assert_eq!(folder.name(1), "cur/1.h:2,Sa");
    assert_eq!(folder.name(2), "new/2.h");
    assert!(!folder.files.get(uid(3)).unwrap().is_present());
    assert_eq!(folder.name(4), "cur/4.h:2,P");
    let first = folder.files.get(uid(1)).unwrap();
    assert_eq!(first.flags(), Flags::EMPTY.with(Flag::Seen));
    assert_eq!(
        first.letters(),
        Letter::from_byte(b'a').into_iter().collect()
    );
}

#[test]
fn a_message_that_came_back_is_there_again() {
    let mut folder = Folder::with(&["1.h"]);
    folder.rename("cur/1.h:2,", "tmp/1.h");
    assert_eq!(values(&folder.look().gone), [1]);
    folder.rename("tmp/1.h", "cur/1.h:2,F");
    let changes = folder.look();
    assert_eq!((changes.gone, changes.changed), (Vec::new(), Vec::new()));
    assert_eq!(folder.name(1), "cur/1.h:2,F");
}

#[test]
fn two_files_with_one_base_are_two_messages() {
    let mut folder = Folder::with(&["1.h,S=5"]);
    folder.write("new/1.h,S=5");
    for name in ["new/2.h", "cur/2.h:2,S"] {
        folder.write(name);
    }
    let changes = folder.look();
    assert_eq!(changes.gone, []);
    // What was given a new name is told by its time, which is now.
    let bases = added(&changes);
    assert_eq!(bases.len(), 3);
    assert!(bases[0].starts_with("2.h"), "{bases:?}");
    assert!(
        bases[1..].iter().any(|base| base.ends_with(",S=5")),
        "{bases:?}"
    );
    let there = |sub| fs::read_dir(folder.dir.path().join(sub)).unwrap().count();
    assert_eq!(there("new") + there("cur"), 4);
    for (number, added) in (2..).zip(&changes.added) {
        let name = FileName::parse(&added.name).unwrap();
        assert!(folder.files.push(uid(number), b"", name.base()));
    }
    let again = folder.look();
    assert_eq!(
        (again.added, again.gone, again.changed),
        (Vec::new(), Vec::new(), Vec::new())
    );
}

#[test]
fn two_names_of_one_file_are_one_message() {
    let mut folder = Folder::with(&["1.h"]);
    let path = |name: &str| folder.dir.path().join(name);
    fs::hard_link(path("cur/1.h:2,"), path("cur/1.h:2,S")).unwrap();
    let changes = folder.look();
    assert_eq!((changes.added, changes.gone), (Vec::new(), Vec::new()));
    assert_eq!(
        fs::read_dir(folder.dir.path().join("cur")).unwrap().count(),
        2
    );
}

#[test]
fn names_that_cannot_be_listed_are_replaced() {
    let mut folder = Folder::with(&[]);
    for name in ["cur/:2,S", "new/a\nb"] {
        folder.write(name);
    }
    let changes = folder.look();
    assert_eq!(changes.added.len(), 2);
    assert!(changes.added.iter().all(|added| added.place == Place::New));
    assert_eq!(
        fs::read_dir(folder.dir.path().join("new")).unwrap().count(),
        2
    );
}

#[test]
fn missing_subfolders_are_empty() {
    let mut folder = Folder::with(&["1.h"]);
    fs::remove_dir_all(folder.dir.path().join("cur")).unwrap();
    fs::remove_dir_all(folder.dir.path().join("new")).unwrap();
    assert_eq!(values(&folder.look().gone), [1]);
}

#[test]
fn of_two_lines_for_one_file_the_later_one_counts() {
    let text = "3 V1 N3 G51e4ba119ec1006b706e00083ecc375f\n1 :a\n2 :a\n";
    let mut list = UidList::decode(text.as_bytes()).unwrap();
    let mut look = Look::new(&mut list.files);
    look.pass = 1;
    look.see(Place::Cur, b"a:2,S");
    let changes = look.finish(stamps());
    assert_eq!(values(&changes.gone), [1]);
    assert!(list.files.get(uid(2)).unwrap().is_present());
}

fn stamps() -> Stamps {
    let nowhere = Path::new("/nonexistent");
    Stamps::take(&Disk::real(), nowhere, SystemTime::UNIX_EPOCH).unwrap()
}

/// What `readdir(3)` shows, pass by pass.
fn shown(files: &mut Files, passes: &[&[(Place, &str)]]) -> (Changes, usize) {
    let mut look = Look::new(files);
    for pass in passes {
        look.pass += 1;
        look.twins.clear();
        for (place, name) in *pass {
            look.see(*place, name.as_bytes());
        }
    }
    let twins = look.twins.len();
    (look.finish(stamps()), twins)
}

#[test]
fn a_file_renamed_during_the_look_is_not_gone() {
    let mut folder = Folder::with(&["1.h", "2.h"]);
    let (cur, new) = (Place::Cur, Place::New);
    // Missed by the first pass.
    let passes: [&[_]; 2] = [&[(cur, "2.h:2,")], &[(cur, "1.h:2,S"), (cur, "2.h:2,")]];
    let (changes, _) = shown(&mut folder.files, &passes);
    assert_eq!(
        (values(&changes.gone), values(&changes.changed)),
        (vec![], vec![1])
    );
    // Missed by the second one.
    let passes: [&[_]; 2] = [&[(cur, "1.h:2,")], &[(cur, "2.h:2,")]];
    let (changes, _) = shown(&mut folder.files, &passes);
    assert_eq!(changes.gone, []);
    // Seen twice: `settle` finds out which name is right.
    let passes: [&[_]; 1] = [&[(new, "1.h"), (cur, "1.h:2,"), (cur, "2.h:2,")]];
    let (_, twins) = shown(&mut folder.files, &passes);
    assert_eq!(twins, 1);
    // In two passes it is no twin.
    let passes: [&[_]; 2] = [
        &[(new, "1.h"), (new, "9.h")],
        &[(cur, "1.h:2,"), (cur, "9.h:2,S")],
    ];
    let (changes, twins) = shown(&mut folder.files, &passes);
    assert_eq!((twins, added(&changes)), (0, vec!["9.h:2,S"]));
}

#[test]
fn of_two_names_seen_the_one_that_is_there_is_right() {
    let mut folder = Folder::with(&["1.h"]);
    folder.rename("cur/1.h:2,", "cur/1.h:2,S");
    folder.write("cur/5.h:2,S");
    let mut look = Look::new(&mut folder.files);
    look.pass = 1;
    for name in ["1.h:2,", "1.h:2,S", "5.h:2,", "5.h:2,S"] {
        look.see(Place::Cur, name.as_bytes());
    }
    let strays: Vec<Stray> = std::mem::take(&mut look.twins);
    assert_eq!(strays.len(), 2);
    for stray in strays {
        look.settle(&Disk::real(), folder.dir.path(), stray, || unreachable!())
            .unwrap();
    }
    let changes = look.finish(stamps());
    assert_eq!(
        (values(&changes.changed), added(&changes)),
        (vec![1], vec!["5.h:2,S"])
    );
    assert_eq!(folder.name(1), "cur/1.h:2,S");
}
