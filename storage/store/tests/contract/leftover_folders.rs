//! What an earlier process left in the journal of folders that were copied, renamed or deleted since.

use std::{cell::Cell, fs, io, path::PathBuf};

use facteur_disk::Disk;
use facteur_model::{Flag, FlagOperation, MailFormat};

use crate::{
    leftover::{copy_dir, kill, owned, tokens},
    run::append,
    world::{World, batch, change, flags, name, uids},
};

/// Both had one GUID, and the journal's changes to one were done to the other, or to none; where the
/// copy's name came first, it was taken for the original.
#[test]
fn a_folder_that_was_copied_with_all_that_is_in_it_is_another_mailbox() {
    for copy in ["Second", "Earlier"] {
        // While nobody has the account, and while somebody has.
        copied(copy, false);
        copied(copy, true);
    }
}

fn copied(copy: &str, in_use: bool) {
    let world = World::new();
    let store = world.open();
    world.account(&store, "bob").create(&name("First")).unwrap();
    let to = |mailbox: &str, token: &str| batch([append(&world, "bob", mailbox, token)]);
    store.commit(to("First", "old")).unwrap();
    store.close().unwrap();
    drop(store);
    let validity = |mailbox: &str| world.status_at_start("bob", mailbox).uid_validity;
    let before = validity("First");
    let (store, faults) = world.open_with_faults();
    let account = in_use.then(|| world.account(&store, "bob"));
    copy_dir(&world.folder("bob", "First"), &world.folder("bob", copy));
    store.commit(to("First", "one")).unwrap();
    if !in_use {
        store.commit(to(copy, "two")).unwrap();
    }
    drop(account);
    kill(store, &faults);
    // The machine had none of it in its place.
    for mailbox in ["First", copy] {
        for new in world.files("bob", mailbox).get(1..).unwrap_or_default() {
            fs::remove_file(new).unwrap();
        }
    }
    let expected: [(_, &[&str]); 2] = match in_use {
        false => [("First", &["old", "one"]), (copy, &["old", "two"])],
        true => [("First", &["old", "one"]), (copy, &["old"])],
    };
    for _ in 0..2 {
        let store = world.open();
        for (mailbox, expected) in expected {
            let there = tokens(&world, &store, "bob", mailbox);
            let there: Vec<&str> = there.iter().map(|(_, token)| &**token).collect();
            assert_eq!(there, expected, "{mailbox} of {copy}, in use: {in_use}");
        }
        store.close().unwrap();
    }
    // One of the two may get the other's name.
    assert_eq!(validity("First"), before);
    assert_ne!(validity(copy), before);
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

/// Its original's mailbox was gone from the disk, and the copy was in the files alone: nobody saw it.
#[test]
fn a_copy_is_there_whose_original_went_with_its_mailbox_while_the_index_could_not_be_written() {
    for moved in [false, true] {
        let world = World::new();
        let (store, faults) = world.open_with_faults();
        let account = world.account(&store, "bob");
        account.create(&name("Made")).unwrap();
        let append = append(&world, "bob", "Made", "one");
        store.commit(batch([append])).unwrap();
        store.checkpoint().unwrap();
        let made = account.open(&name("Made")).unwrap();
        let flagged = change(FlagOperation::Add, &[Flag::Flagged], &[]);
        made.store(&uids(&[1]), &flagged).unwrap();
        faults.break_point("index begin", io::ErrorKind::StorageFull);
        match moved {
            true => made.move_to(&uids(&[1]), &name("INBOX")).unwrap(),
            false => made.copy(&uids(&[1]), &name("INBOX")).unwrap(),
        };
        drop(made);
        account.delete(&name("Made")).unwrap();
        drop(account);
        store.checkpoint().unwrap();
        assert!(!world.mails("bob", "Made").exists());
        kill(store, &faults);

        let store = world.open();
        let there = tokens(&world, &store, "bob", "INBOX");
        assert_eq!(there, owned(&[(1, "one")]), "moved: {moved}");
        let inbox = world.mailbox(&store, "bob", "INBOX");
        let has_flag = flags(&inbox, 1).0.contains(Flag::Flagged);
        assert!(has_flag, "moved: {moved}");
        let summaries = Cell::new(0);
        inbox
            .summaries(&uids(&[1]), &mut |_, summary| {
                assert!(!summary.envelope.is_empty());
                summaries.set(summaries.get() + 1);
            })
            .unwrap();
        assert_eq!(summaries.get(), 1, "moved: {moved}");
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
