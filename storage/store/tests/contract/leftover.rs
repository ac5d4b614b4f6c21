//! What an earlier process left in the journal when not all of it can be done again: a record that is
//! damaged, a home that is not there.

use std::{
    fs, io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    process::Command,
};

use bytes::Bytes;
use facteur_disk::Disk;
use facteur_journal::{Journal, Until};
use facteur_model::{Flag, FlagOperation};
use facteur_store::{Append, Body, Checkpoints, Options, Store};

use crate::{
    run::append,
    world::{World, batch, change, listed, name, text, uids},
};

/// Delivers a message that begins with its token.
fn deliver(world: &World, store: &Store, who: &str, token: &str) {
    store
        .commit(batch([append(world, who, "INBOX", token)]))
        .unwrap();
}

/// What a mailbox has: UID and token.
pub(crate) fn tokens(world: &World, store: &Store, who: &str, mailbox: &str) -> Vec<(u32, String)> {
    let mailbox = world.mailbox(store, who, mailbox);
    let token = |uid| {
        let text = String::from_utf8(text(&mailbox, uid)).unwrap();
        assert!(text.ends_with("\r\n\r\nbody\r\n"), "{text}");
        let first = text.lines().next().unwrap();
        first.trim_start_matches("T: ").to_owned()
    };
    let all = listed(&mailbox);
    all.into_iter().map(|uid| (uid, token(uid))).collect()
}

pub(crate) fn owned(list: &[(u32, &str)]) -> Vec<(u32, String)> {
    let list = list.iter();
    list.map(|(uid, token)| (*uid, (*token).to_owned()))
        .collect()
}

/// Ends a store as a kill does: nothing it would do at its end is done.
pub(crate) fn kill(store: Store, faults: &facteur_disk::Faults) {
    for call in ["create", "rename", "write", "unlink", "index begin"] {
        faults.break_point(call, io::ErrorKind::Other);
    }
    drop(store);
}

/// Changes one byte of the journal, in the middle of what `needle` names there.
fn damage_journal(world: &World, needle: &str) {
    let mut changed = 0;
    for entry in fs::read_dir(world.dir.path().join("state/journal")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let found = bytes
            .windows(needle.len())
            .position(|window| window == needle.as_bytes());
        if let Some(at) = found {
            bytes[at + needle.len() / 2] ^= 0x20;
            fs::write(&path, bytes).unwrap();
            changed += 1;
        }
    }
    assert_eq!(changed, 1, "{needle} is in one segment");
}

/// How often the store has found its journal damaged.
fn damages(world: &World) -> u64 {
    let text = fs::read_to_string(world.dir.path().join("state/run")).unwrap();
    text.split_ascii_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_record_damaged_in_the_journals_middle_is_told_and_passed_over_and_all_after_it_is_kept() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    deliver(&world, &store, "bob", "before");
    store.checkpoint().unwrap();
    for token in ["one", "damaged", "two"] {
        deliver(&world, &store, "bob", token);
    }
    deliver(&world, &store, "carol", "other");
    let flagged = change(FlagOperation::Add, &[Flag::Flagged], &[]);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox.store(&uids(&[1]), &flagged).unwrap();
    drop(inbox);
    // Carried to the disk with it.
    deliver(&world, &store, "bob", "three");
    kill(store, &faults);
    // The machine had none of it in its place.
    for file in world.files("bob", "INBOX").into_iter().skip(1) {
        fs::remove_file(file).unwrap();
    }
    damage_journal(&world, "T: damaged\r\n");

    let store = world.open();
    assert_eq!(damages(&world), 1);
    let expected = owned(&[(1, "before"), (2, "one"), (4, "two"), (5, "three")]);
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), expected);
    assert_eq!(
        tokens(&world, &store, "carol", "INBOX"),
        owned(&[(1, "other")])
    );
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let first = inbox.snapshot();
    assert!(first.iter().next().unwrap().flags.contains(Flag::Flagged));
    // The UID of what was lost is not given again.
    deliver(&world, &store, "bob", "next");
    let last = listed(&world.mailbox(&store, "bob", "INBOX")).pop();
    assert!(last > Some(5), "{last:?}");
}

/// A file system that failed, and was mounted anew without another boot of the machine, had lost a
/// message that only the journal had durable: the start left the empty file where it was.
#[test]
fn a_file_whose_bytes_are_lost_without_another_boot_is_written_anew() {
    let world = World::new();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let store = world.open_on(disk).unwrap();
    for token in ["one", "two", "three", "four", "five"] {
        deliver(&world, &store, "bob", token);
    }
    let account = world.account(&store, "bob");
    account.create(&name("Saved")).unwrap();
    drop(account);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let seen = inbox.snapshot().highest_modseq();
    inbox.copy(&uids(&[3]), &name("Saved")).unwrap();
    drop(inbox);
    kill(store, &faults);
    let files = world.files("bob", "INBOX");
    let length = fs::metadata(&files[0]).unwrap().len();
    let change = |file: &PathBuf| fs::File::options().write(true).open(file).unwrap();
    change(&files[1]).set_len(0).unwrap();
    change(&files[2]).set_len(length / 2).unwrap();
    change(&files[3]).write_all_at(&[0; 8], length / 2).unwrap();

    let store = world.open();
    let all = [
        (1, "one"),
        (2, "two"),
        (3, "three"),
        (4, "four"),
        (5, "five"),
    ];
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), owned(&all));
    assert_eq!(
        tokens(&world, &store, "bob", "Saved"),
        owned(&[(1, "three")])
    );
    // Flags that were not synced may have been lost too: their MODSEQs are not given again.
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let now = inbox.snapshot().highest_modseq();
    assert!(now.value() > seen.value() + 1000, "{now:?} after {seen:?}");
}

/// Where files cannot be linked they are copied, and the copy was not looked at.
#[test]
fn a_copy_whose_bytes_are_lost_without_another_boot_is_made_anew() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    faults.break_point("link", io::ErrorKind::PermissionDenied);
    deliver(&world, &store, "bob", "one");
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox.copy(&uids(&[1]), &name("Spam")).unwrap();
    drop(inbox);
    // Its file is copied from where it was written before its mailbox was there.
    let mut staging = store.stage();
    staging.write(b"T: large\r\n\r\nbody\r\n").unwrap();
    staging.write(&[b'x'; 8192]).unwrap();
    let large = Append {
        body: staging.finish().unwrap(),
        create: true,
        ..world.append("bob", "Made")
    };
    store.commit(batch([large])).unwrap();
    let before = text(&world.mailbox(&store, "bob", "Made"), 1);
    kill(store, &faults);
    for mailbox in ["Spam", "Made"] {
        let [file] = &world.files("bob", mailbox)[..] else {
            panic!("{mailbox}")
        };
        let file = fs::File::options().write(true).open(file).unwrap();
        file.set_len(0).unwrap();
    }

    let store = world.open();
    let spam = tokens(&world, &store, "bob", "Spam");
    assert_eq!(spam, owned(&[(1, "one")]));
    let after = text(&world.mailbox(&store, "bob", "Made"), 1);
    assert!(after == before);
}

/// After a crash and an upgrade records that the new version could not read were passed over, and the
/// messages in them lost.
#[test]
fn a_journal_of_another_version_is_refused_and_left_as_it_is() {
    // One that says its version, and one that makes no sense.
    refuses(b"\x01\0\0\0\x02");
    refuses(b"\x03\0\0\0\xff\xff\xff");
}

fn refuses(record: &[u8]) {
    let world = World::new();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let store = world.open_on(disk).unwrap();
    deliver(&world, &store, "bob", "one");
    kill(store, &faults);
    let dir = world.dir.path().join("state/journal");
    let (journal, _) =
        Journal::open(Disk::real(), facteur_journal::Options::new(dir.clone())).unwrap();
    let ticket = journal.append(&[record]).unwrap();
    journal.wait(ticket, Until::Durable).unwrap();
    drop(journal);
    let files = world.files("bob", "INBOX");
    assert_eq!(files.len(), 1);
    fs::remove_file(&files[0]).unwrap();

    for _ in 0..2 {
        let refused = world.open_on(Disk::real()).unwrap_err().to_string();
        assert!(refused.contains("another version"), "{refused}");
    }
    assert!(world.files("bob", "INBOX").is_empty());
    let segments = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let kept = segments.filter(|path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(8).any(|window| window == b"T: one\r\n")
    });
    assert_eq!(kept.count(), 1);
}

#[test]
fn a_kill_alone_leaves_every_file_as_it_is() {
    let world = World::new();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let store = world.open_on(disk).unwrap();
    for token in ["one", "two"] {
        deliver(&world, &store, "bob", token);
    }
    kill(store, &faults);
    let inode = |file: &PathBuf| fs::metadata(file).unwrap().ino();
    let before: Vec<u64> = world.files("bob", "INBOX").iter().map(inode).collect();
    let store = world.open();
    let expected = owned(&[(1, "one"), (2, "two")]);
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), expected);
    let after: Vec<u64> = world.files("bob", "INBOX").iter().map(inode).collect();
    assert_eq!(before, after);
}

/// Bob's home, and a copy of it with all that was done until now: what is on a disk that goes away.
fn keep_home(world: &World, store: &Store) -> (PathBuf, PathBuf) {
    store.checkpoint().unwrap();
    let (home, elsewhere) = (world.home("bob"), world.dir.path().join("unmounted"));
    copy_dir(&home, &elsewhere);
    (home, elsewhere)
}

#[test]
fn a_home_that_is_missing_at_a_start_keeps_its_changes_in_the_journal_until_it_is_back() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    deliver(&world, &store, "bob", "before");
    deliver(&world, &store, "carol", "before");
    let (home, elsewhere) = keep_home(&world, &store);
    for token in ["one", "two"] {
        deliver(&world, &store, "bob", token);
        deliver(&world, &store, "carol", token);
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox.expunge(&uids(&[1]), true).unwrap();
    drop(inbox);
    kill(store, &faults);
    fs::remove_dir_all(&home).unwrap();

    // Twice, with checkpoints that must not cut what is his, and changes of others in between.
    for (start, token) in ["three", "four"].into_iter().enumerate() {
        let store = world.open();
        assert!(store.account(&world.spec("bob")).is_err());
        let refused = store.commit(batch([append(&world, "bob", "INBOX", "refused")]));
        assert!(refused.is_err(), "{refused:?}");
        assert!(!home.exists(), "nothing is made in place of it");
        deliver(&world, &store, "carol", token);
        store.checkpoint().unwrap();
        if start == 0 {
            let _ = store.close();
        }
    }

    fs::rename(&elsewhere, &home).unwrap();
    let store = world.open();
    let kept = owned(&[(2, "one"), (3, "two")]);
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), kept);
    deliver(&world, &store, "bob", "next");
    let kept = owned(&[(2, "one"), (3, "two"), (4, "next")]);
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), kept);
    let others = ["before", "one", "two", "three", "four"];
    let others: Vec<_> = (1..).zip(others).collect();
    assert_eq!(tokens(&world, &store, "carol", "INBOX"), owned(&others));
    store.checkpoint().unwrap();
    store.close().unwrap();
    drop(store);
    let store = world.open();
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), kept);
}

#[test]
fn a_home_that_comes_back_while_the_server_runs_gets_its_changes_at_its_next_use() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    deliver(&world, &store, "bob", "before");
    let (home, elsewhere) = keep_home(&world, &store);
    deliver(&world, &store, "bob", "one");
    kill(store, &faults);
    fs::remove_dir_all(&home).unwrap();

    let store = world.open();
    assert!(store.account(&world.spec("bob")).is_err());
    fs::rename(&elsewhere, &home).unwrap();
    let kept = owned(&[(1, "before"), (2, "one")]);
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), kept);
}

/// Its changes were brought there after the file systems were synced and before the journal was cut.
#[test]
fn changes_done_in_the_middle_of_a_checkpoint_are_not_cut_before_they_are_durable() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    deliver(&world, &store, "bob", "before");
    deliver(&world, &store, "carol", "gone");
    let (home, elsewhere) = keep_home(&world, &store);
    deliver(&world, &store, "bob", "one");
    kill(store, &faults);
    fs::remove_dir_all(&home).unwrap();

    let (store, faults) = world.open_with_faults();
    let carols = world.mailbox(&store, "carol", "INBOX");
    carols.expunge(&uids(&[1]), true).unwrap();
    copy_dir(&elsewhere, &home);
    let before = faults.counts().get("unlink").copied().unwrap_or_default();
    faults.hold("unlink");
    std::thread::scope(|scope| {
        let made = scope.spawn(|| store.checkpoint().unwrap());
        // All is synced: it removes what was expunged.
        faults.await_calls("unlink", before + 1);
        let kept = owned(&[(1, "before"), (2, "one")]);
        assert_eq!(tokens(&world, &store, "bob", "INBOX"), kept);
        faults.release("unlink");
        made.join().unwrap();
    });
    drop(carols);
    kill(store, &faults);
    // The machine had nothing of it yet.
    fs::remove_dir_all(&home).unwrap();
    fs::rename(&elsewhere, &home).unwrap();

    let store = world.open();
    let kept = owned(&[(1, "before"), (2, "one")]);
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), kept);
}

/// A copy with times and links.
pub(crate) fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(done.unwrap().success());
}

/// What had been carried on was done again after what had followed it: an expunged message was back, and
/// the UIDs after it were given again.
#[test]
fn changes_that_a_kill_let_be_carried_on_only_in_part_are_done_in_their_order() {
    let world = World::in_memory();
    let options = || Options {
        checkpoints: Checkpoints {
            journal_size: 256 << 20,
            ..world.options().checkpoints
        },
        ..world.options()
    };
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let store = Store::open_on(disk, options()).unwrap();
    deliver(&world, &store, "bob", "before");
    let (home, elsewhere) = keep_home(&world, &store);
    // Together more than is written at once.
    for token in ["gone", "kept"] {
        let large = Bytes::from(vec![b'x'; 5 << 20]);
        let append = Append {
            body: Body::Memory(large),
            ..append(&world, "bob", "INBOX", token)
        };
        store.commit(batch([append])).unwrap();
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox.expunge(&uids(&[2]), true).unwrap();
    drop(inbox);
    kill(store, &faults);
    fs::remove_dir_all(&home).unwrap();
    let state = world.dir.path().join("state");
    let left = world.dir.path().join("left");
    copy_dir(&state, &left);

    let mut writes = 0;
    loop {
        // The start makes a checkpoint, which carries them on.
        let (disk, faults) = Disk::crashing_at("write", writes);
        drop(Store::open_on(disk, options()));
        if !faults.struck() {
            break;
        }
        writes += 1;
        copy_dir(&elsewhere, &home);
        let store = Store::open_on(Disk::real(), options()).unwrap();
        let inbox = world.mailbox(&store, "bob", "INBOX");
        assert_eq!(listed(&inbox), [1, 3], "killed at write {writes}");
        let next = world.deliver(&store, "bob", "INBOX");
        assert_eq!(next.value(), 4, "killed at write {writes}");
        drop((inbox, store));
        for dir in [&home, &state] {
            fs::remove_dir_all(dir).unwrap();
        }
        copy_dir(&left, &state);
    }
    assert!(writes > 3, "{writes}");
}

#[test]
fn a_journal_that_somebody_removed_is_told_and_what_is_in_the_files_is_shown_at_once() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    deliver(&world, &store, "bob", "before");
    store.checkpoint().unwrap();
    store.close().unwrap();
    drop((store, faults));
    let (store, faults) = world.open_with_faults();
    assert_eq!(damages(&world), 0);
    for token in ["one", "two"] {
        deliver(&world, &store, "bob", token);
    }
    kill(store, &faults);
    fs::remove_dir_all(world.dir.path().join("state/journal")).unwrap();
    let store = world.open();
    assert_eq!(damages(&world), 1);
    assert_eq!(tokens(&world, &store, "bob", "INBOX").len(), 3);
}
