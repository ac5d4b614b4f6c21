//! What a checkpoint does when something of it cannot be done.

use std::{fs, io};

use facteur_disk::Disk;

use facteur_model::{Flag, FlagOperation};
use facteur_store::{Body, Checkpoints, Options, Store, StoreError};

use crate::world::{World, batch, change, name, uids};

#[test]
fn a_file_that_cannot_be_removed_goes_later_and_keeps_nothing_in_the_journal() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    world.deliver(&store, "bob", "INBOX");
    let mailbox = world.mailbox(&store, "bob", "INBOX");
    mailbox.expunge(&uids(&[1]), true).unwrap();
    let file = world.files("bob", "INBOX").remove(0);
    assert!(file.exists(), "a checkpoint removes it");
    let journal = || {
        let files = fs::read_dir(world.dir.path().join("state/journal")).unwrap();
        files.count()
    };
    // Her folders are there.
    world.deliver(&store, "carol", "INBOX");
    faults.break_point("unlink", io::ErrorKind::PermissionDenied);
    for _ in 0..8 {
        world.deliver(&store, "carol", "INBOX");
        store.checkpoint().unwrap();
    }
    assert!(file.exists());
    assert!(journal() < 8, "segments are given back");
    faults.heal();
    store.checkpoint().unwrap();
    assert!(!file.exists());
}

#[test]
fn an_account_whose_rows_cannot_be_written_loses_none_of_them() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    world.deliver(&store, "bob", "INBOX");
    store.checkpoint().unwrap();
    world.deliver(&store, "bob", "INBOX");
    world.deliver(&store, "bob", "INBOX");
    faults.break_point("index commit", io::ErrorKind::StorageFull);
    // Nobody holds the account, and its rows are only in memory and in the journal.
    let _ = store.sync_account(&world.spec("bob"));
    store.checkpoint().unwrap();
    faults.heal();
    world.deliver(&store, "bob", "INBOX");
    store.checkpoint().unwrap();
    drop(store);
    let store = world.open();
    let mailbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(crate::world::listed(&mailbox), [1, 2, 3, 4]);
}

#[test]
fn an_account_whose_rows_cannot_be_written_takes_no_messages_until_they_can() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    world.deliver(&store, "bob", "INBOX");
    let mailbox = world.mailbox(&store, "bob", "INBOX");
    faults.break_point("index commit", io::ErrorKind::StorageFull);
    world.deliver(&store, "bob", "INBOX");
    store.checkpoint().unwrap();
    let delivered = store.commit(batch([world.append("bob", "INBOX")]));
    assert!(matches!(delivered, Err(StoreError::NoSpace)));
    let copied = mailbox.copy(&uids(&[1]), &name("Spam"));
    assert!(matches!(copied, Err(StoreError::NoSpace)));
    let seen = change(FlagOperation::Add, &[Flag::Seen], &[]);
    mailbox.store(&uids(&[1]), &seen).unwrap();
    // With room again all is as before, at once.
    faults.heal();
    world.deliver(&store, "bob", "INBOX");
    mailbox.copy(&uids(&[1]), &name("Spam")).unwrap();
}

#[test]
fn a_start_without_room_says_so_to_who_comes_and_with_room_all_is_there() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    world.deliver(&store, "carol", "INBOX");
    store.checkpoint().unwrap();
    world.deliver(&store, "bob", "INBOX");
    // As at a kill: rows are in the journal alone.
    drop(store);
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    faults.break_point("index commit", io::ErrorKind::StorageFull);
    let store = world.open_on(disk).unwrap();
    for _ in 0..2 {
        let opened = store.account(&world.spec("bob"));
        assert!(matches!(opened, Err(StoreError::NoSpace)), "{opened:?}");
        let delivered = store.commit(batch([world.append("bob", "INBOX")]));
        assert!(
            matches!(delivered, Err(StoreError::NoSpace)),
            "{delivered:?}"
        );
    }
    faults.heal();
    world.deliver(&store, "bob", "INBOX");
    let mailbox = world.mailbox(&store, "bob", "INBOX");
    let there = crate::world::listed(&mailbox);
    assert_eq!(there.len(), 3, "{there:?}");
}

#[test]
fn a_home_that_is_missing_keeps_its_changes_and_takes_no_room_from_others() {
    let world = World::new();
    let options = |size: u64| Options {
        checkpoints: Checkpoints {
            journal_size: size,
            background: false,
            ..Checkpoints::default()
        },
        ..world.options()
    };
    let store = Store::open(options(64 << 20)).unwrap();
    let text = [b"Subject: kept\r\n\r\n".as_slice(), &[b'x'; 2000]].concat();
    let large = |who: &str| {
        let mut append = world.append(who, "INBOX");
        append.body = Body::Memory(text.clone().into());
        append
    };
    for _ in 0..100 {
        store.commit(batch([large("bob"), large("carol")])).unwrap();
    }
    drop(store);
    let (home, aside) = (world.home("bob"), world.dir.path().join("aside"));
    fs::rename(&home, &aside).unwrap();
    // What is kept for bob is more than the journal may have.
    let store = Store::open(options(128 << 10)).unwrap();
    for round in 0..40 {
        for _ in 0..10 {
            let delivered = store.commit(batch([large("carol")]));
            assert!(delivered.is_ok(), "round {round}: {delivered:?}");
        }
        store.checkpoint().unwrap();
    }
    assert!(!home.exists());
    drop(store);
    fs::rename(&aside, &home).unwrap();
    let store = world.open();
    for (who, count) in [("bob", 100), ("carol", 500)] {
        let there = crate::world::listed(&world.mailbox(&store, who, "INBOX"));
        assert_eq!(there.len(), count, "{who}");
    }
}

/// Each try put what must be carried on into the journal once more, with all that earlier tries had put
/// there.
#[test]
fn checkpoints_that_fail_do_not_fill_the_journal() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    world.deliver(&store, "bob", "INBOX");
    store.checkpoint().unwrap();
    world.deliver(&store, "bob", "INBOX");
    faults.break_point("index commit", io::ErrorKind::StorageFull);
    faults.break_point("sync_file_system", io::ErrorKind::Other);
    let size = || -> u64 {
        let files = fs::read_dir(world.dir.path().join("state/journal")).unwrap();
        files.map(|f| f.unwrap().metadata().unwrap().len()).sum()
    };
    let mut sizes = Vec::new();
    for _ in 0..16 {
        assert!(store.checkpoint().is_err());
        sizes.push(size());
    }
    assert_eq!(sizes.first(), sizes.last(), "{sizes:?}");
}
