//! What an earlier process left in the journal when not all of it can be done again: a record that is
//! damaged, a home that is not there, a folder that has another name now.

use std::{
    fs, io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    process::Command,
};

use bytes::Bytes;
use facteur_disk::Disk;
use facteur_journal::{Journal, Until};
use facteur_model::{Flag, FlagOperation, MailFormat};
use facteur_store::{Append, Body, Checkpoints, Options, Store};

use crate::{
    crash::append,
    world::{World, batch, change, listed, name, text, uids},
};

/// Delivers a message that begins with its token.
fn deliver(world: &World, store: &Store, who: &str, token: &str) {
    store
        .commit(batch([append(world, who, "INBOX", token)]))
        .unwrap();
}

/// What a mailbox has: UID and token.
fn tokens(world: &World, store: &Store, who: &str, mailbox: &str) -> Vec<(u32, String)> {
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

fn owned(list: &[(u32, &str)]) -> Vec<(u32, String)> {
    let list = list.iter();
    list.map(|(uid, token)| (*uid, (*token).to_owned()))
        .collect()
}

/// Ends a store as a kill does: nothing it would do at its end is done.
fn kill(store: Store, faults: &facteur_disk::Faults) {
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

/// After a crash and an upgrade records that the new version could not read were passed over, and the
/// messages in them lost.
#[test]
fn a_journal_of_another_version_is_refused_and_left_as_it_is() {
    let world = World::new();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let store = world.open_on(disk).unwrap();
    deliver(&world, &store, "bob", "one");
    kill(store, &faults);
    let dir = world.dir.path().join("state/journal");
    let (journal, _) =
        Journal::open(Disk::real(), facteur_journal::Options::new(dir.clone())).unwrap();
    let ticket = journal.append(&[b"\x03\0\0\0\xff\xff\xff"]).unwrap();
    journal.wait(ticket, Until::Durable).unwrap();
    drop(journal);
    let [file] = &world.files("bob", "INBOX")[..] else {
        panic!("one message");
    };
    fs::remove_file(file).unwrap();

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

#[test]
fn a_home_that_is_missing_at_a_start_keeps_its_changes_in_the_journal_until_it_is_back() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    deliver(&world, &store, "bob", "before");
    deliver(&world, &store, "carol", "before");
    store.checkpoint().unwrap();
    let (home, elsewhere) = (world.home("bob"), world.dir.path().join("unmounted"));
    // What is on the disk that goes away.
    copy_dir(&home, &elsewhere);
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
    store.checkpoint().unwrap();
    let (home, elsewhere) = (world.home("bob"), world.dir.path().join("unmounted"));
    copy_dir(&home, &elsewhere);
    deliver(&world, &store, "bob", "one");
    kill(store, &faults);
    fs::remove_dir_all(&home).unwrap();

    let store = world.open();
    assert!(store.account(&world.spec("bob")).is_err());
    fs::rename(&elsewhere, &home).unwrap();
    let kept = owned(&[(1, "before"), (2, "one")]);
    assert_eq!(tokens(&world, &store, "bob", "INBOX"), kept);
}

/// A copy with times and links.
fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
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
    store.checkpoint().unwrap();
    let (home, elsewhere) = (world.home("bob"), world.dir.path().join("unmounted"));
    copy_dir(&home, &elsewhere);
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

/// Both had one GUID, and the journal's changes to one were done to the other, or to none.
#[test]
fn a_folder_that_was_copied_with_all_that_is_in_it_is_another_mailbox() {
    // While nobody has the account, and while somebody has.
    for in_use in [false, true] {
        let world = World::new();
        let store = world.open();
        world.account(&store, "bob").create(&name("First")).unwrap();
        let to = |mailbox: &str, token: &str| batch([append(&world, "bob", mailbox, token)]);
        store.commit(to("First", "old")).unwrap();
        store.close().unwrap();
        drop(store);
        let folder = |mailbox: &str| {
            let mails = world.mails("bob", mailbox);
            match crate::FORMAT {
                MailFormat::Sdbox => mails.parent().unwrap().to_owned(),
                MailFormat::Maildir => mails,
            }
        };
        let (store, faults) = world.open_with_faults();
        let account = in_use.then(|| world.account(&store, "bob"));
        copy_dir(&folder("First"), &folder("Second"));
        store.commit(to("First", "one")).unwrap();
        if !in_use {
            store.commit(to("Second", "two")).unwrap();
        }
        drop(account);
        kill(store, &faults);
        // The machine had none of it in its place.
        for mailbox in ["First", "Second"] {
            for new in world.files("bob", mailbox).get(1..).unwrap_or_default() {
                fs::remove_file(new).unwrap();
            }
        }
        let expected: [(_, &[&str]); 2] = match in_use {
            false => [("First", &["old", "one"]), ("Second", &["old", "two"])],
            true => [("First", &["old", "one"]), ("Second", &["old"])],
        };
        for _ in 0..2 {
            let store = world.open();
            for (mailbox, expected) in expected {
                let there = tokens(&world, &store, "bob", mailbox);
                let there: Vec<&str> = there.iter().map(|(_, token)| &**token).collect();
                assert_eq!(there, expected, "{mailbox}, in use: {in_use}");
            }
            store.close().unwrap();
        }
    }
}

#[test]
fn files_of_expunged_messages_go_when_their_folder_got_another_name_before_the_checkpoint() {
    for restart in [false, true] {
        let world = World::new();
        let (store, faults) = world.open_with_faults();
        let account = world.account(&store, "bob");
        account.create(&name("Made")).unwrap();
        for token in ["gone", "kept", "moved"] {
            let append = append(&world, "bob", "Made", token);
            store.commit(batch([append])).unwrap();
        }
        let made = account.open(&name("Made")).unwrap();
        made.expunge(&uids(&[1]), true).unwrap();
        made.move_to(&uids(&[3]), &name("INBOX")).unwrap();
        drop(made);
        account.rename(&name("Made"), &name("Other/Place")).unwrap();
        // Another one takes its name, with a message of the same UID that must stay.
        account.create(&name("Made")).unwrap();
        let fresh = append(&world, "bob", "Made", "fresh");
        store.commit(batch([fresh])).unwrap();
        drop(account);
        let files = |mailbox: &str| -> Vec<PathBuf> { world.files("bob", mailbox) };
        assert_eq!(files("Other/Place").len(), 3, "nothing is removed before");
        let store = if restart {
            kill(store, &faults);
            world.open()
        } else {
            store
        };
        store.checkpoint().unwrap();
        assert_eq!(files("Other/Place").len(), 1);
        assert_eq!(files("Made").len(), 1);
        let held = |mailbox: &str| tokens(&world, &store, "bob", mailbox);
        assert_eq!(held("Other/Place"), owned(&[(2, "kept")]));
        assert_eq!(held("Made"), owned(&[(1, "fresh")]));
        assert_eq!(held("INBOX"), owned(&[(1, "moved")]));
        if crate::FORMAT == MailFormat::Sdbox {
            let names: Vec<_> = files("Other/Place");
            assert!(names[0].ends_with("u.2"), "{names:?}");
        }
    }
}

/// The journal remembered the file by a path that had become another message's.
#[test]
fn a_file_that_could_not_be_removed_takes_no_message_along_that_has_its_path_now() {
    for renamed in [false, true] {
        let world = World::new();
        let (store, faults) = world.open_with_faults();
        let account = world.account(&store, "bob");
        let deliver = |token| {
            let append = append(&world, "bob", "Made", token);
            store.commit(batch([append])).unwrap();
        };
        deliver("gone");
        let made = account.open(&name("Made")).unwrap();
        made.expunge(&uids(&[1]), true).unwrap();
        drop(made);
        faults.break_point("unlink", io::ErrorKind::PermissionDenied);
        store.checkpoint().unwrap();
        faults.heal();
        match renamed {
            true => account.rename(&name("Made"), &name("Other")).unwrap(),
            false => account.delete(&name("Made")).unwrap(),
        }
        account.create(&name("Made")).unwrap();
        deliver("fresh");
        drop(account);
        kill(store, &faults);
        let store = world.open();
        assert_eq!(
            tokens(&world, &store, "bob", "Made"),
            owned(&[(1, "fresh")]),
            "renamed: {renamed}"
        );
    }
}

/// The deletion was durable, what the index said of it was not.
#[test]
fn a_uidvalidity_is_not_given_again_when_the_machine_lost_what_the_index_knew_of_it() {
    for level in [false, true] {
        let world = World::in_memory();
        let index = |suffix: &str| world.home("bob").join(format!("index.db{suffix}"));
        let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
        let store = world.open_on(disk).unwrap();
        let account = world.account(&store, "bob");
        // From here on numbers are ahead of the clock.
        for number in 0..100 {
            account.create(&name(&format!("Before {number}"))).unwrap();
        }
        if level {
            account.create(&name("Again/Below")).unwrap();
        }
        store.checkpoint().unwrap();
        let kept = [("", "kept"), ("-wal", "kept-wal")];
        for (suffix, kept) in kept {
            let _ = fs::copy(index(suffix), world.dir.path().join(kept));
        }
        account.create(&name("Again")).unwrap();
        world.deliver(&store, "bob", "Again");
        let given = account.status(&name("Again")).unwrap().uid_validity;
        account.delete(&name("Again")).unwrap();
        drop(account);
        kill(store, &faults);
        for (suffix, kept) in kept {
            fs::remove_file(index(suffix)).ok();
            let _ = fs::copy(world.dir.path().join(kept), index(suffix));
        }

        // Once to look through what was left, with a checkpoint; then there is no trace of it.
        for _ in 0..2 {
            let store = world.open();
            let account = world.account(&store, "bob");
            assert!(account.status(&name("Again")).is_err());
            drop(account);
            store.checkpoint().unwrap();
        }
        let store = world.open();
        let account = world.account(&store, "bob");
        account.create(&name("Again")).unwrap();
        let now = account.status(&name("Again")).unwrap().uid_validity;
        assert!(now > given, "level {level}: {now:?} after {given:?}");
    }
}
