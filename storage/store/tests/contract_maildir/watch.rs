//! How what other programs do is noticed: by what the kernel tells, without looks for our own doing.

use std::{
    fs, io,
    sync::{Arc, mpsc},
    time::Duration,
};

use facteur_disk::{Disk, Faults};
use facteur_model::{Flag, FlagOperation};
use facteur_store::{Checkpoints, Mailbox, Options, Store};

use crate::{
    outside::drop_in,
    world::{MAIL, World, change, listed, name, uids},
};

fn count(faults: &Faults, call: &str) -> usize {
    faults.log().iter().filter(|one| **one == call).count()
}

/// Changes the mailbox in every way a session or a delivery does.
fn work(world: &World, store: &Store, inbox: &Mailbox) {
    for _ in 0..4 {
        world.deliver(store, "bob", "INBOX");
        inbox.notice().unwrap();
    }
    let seen = change(FlagOperation::Add, &[Flag::Seen], &[]);
    inbox.store(&uids(&[1, 2]), &seen).unwrap();
    store.checkpoint().unwrap();
    inbox.notice().unwrap();
    inbox.copy(&uids(&[1]), &name("INBOX")).unwrap();
    inbox.move_to(&uids(&[2]), &name("Trash")).unwrap();
    let deleted = change(FlagOperation::Add, &[Flag::Deleted], &[]);
    inbox.store(&uids(&[3]), &deleted).unwrap();
    inbox.expunge(&uids(&[3]), true).unwrap();
    inbox.notice().unwrap();
    store.checkpoint().unwrap();
    inbox.notice().unwrap();
}

#[test]
fn our_own_changes_cost_no_look_at_the_folder() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox.notice().unwrap();
    let before = count(&faults, "read_dir");
    work(&world, &store, &inbox);
    assert_eq!(listed(&inbox), [1, 4, 5]);
    assert_eq!(count(&faults, "read_dir"), before);
    // And another's is noticed after them.
    drop_in(&world, "INBOX", "1000.M1.elsewhere");
    inbox.notice().unwrap();
    assert_eq!(listed(&inbox), [1, 4, 5, 6]);
    assert!(count(&faults, "read_dir") > before);
    let stats = count(&faults, "stat");
    inbox.notice().unwrap();
    assert_eq!(count(&faults, "stat"), stats, "nothing happened");
}

#[test]
fn a_message_that_is_removed_among_our_own_changes_is_noticed() {
    let world = World::new();
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    work(&world, &store, &inbox);
    let files = world.files("bob", "INBOX");
    world.deliver(&store, "bob", "INBOX");
    fs::remove_file(&files[1]).unwrap();
    world.deliver(&store, "bob", "INBOX");
    inbox.notice().unwrap();
    assert_eq!(listed(&inbox).len(), 4);
}

#[test]
fn several_folders_are_told_apart_and_a_renamed_one_is_still_told() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    account.create(&name("One")).unwrap();
    account.create(&name("Two")).unwrap();
    let (one, two) = (
        account.open(&name("One")).unwrap(),
        account.open(&name("Two")).unwrap(),
    );
    drop_in(&world, "One", "1000.M1.elsewhere");
    two.notice().unwrap();
    assert_eq!((listed(&one).len(), listed(&two).len()), (0, 0));
    one.notice().unwrap();
    assert_eq!((listed(&one).len(), listed(&two).len()), (1, 0));
    account.rename(&name("Two"), &name("Three")).unwrap();
    drop_in(&world, "Three", "1001.M1.elsewhere");
    two.notice().unwrap();
    assert_eq!(listed(&two).len(), 1);
    // Closed and opened again: told anew.
    drop(one);
    drop_in(&world, "One", "1002.M1.elsewhere");
    let one = account.open(&name("One")).unwrap();
    assert_eq!(listed(&one).len(), 2);
    drop_in(&world, "One", "1003.M1.elsewhere");
    one.notice().unwrap();
    assert_eq!(listed(&one).len(), 3);
}

#[test]
fn more_than_the_kernel_remembers_is_noticed_too() {
    let world = World::new();
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    world.deliver(&store, "bob", "INBOX");
    inbox.notice().unwrap();
    drop_in(&world, "INBOX", "1000.M1.elsewhere");
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let most: usize = most.trim().parse().unwrap();
    let new = world.mails("bob", "INBOX").join("new");
    let paths = [new.join("1001.M1.elsewhere"), new.join("1002.M1.elsewhere")];
    fs::write(&paths[0], MAIL).unwrap();
    for at in 0..=most / 2 {
        fs::rename(&paths[at % 2], &paths[(at + 1) % 2]).unwrap();
    }
    inbox.notice().unwrap();
    assert_eq!(listed(&inbox), [1, 2, 3]);
    drop_in(&world, "INBOX", "1003.M1.elsewhere");
    inbox.notice().unwrap();
    assert_eq!(listed(&inbox), [1, 2, 3, 4]);
}

#[test]
fn a_folder_that_cannot_be_watched_is_asked_for_its_times() {
    let world = World::new();
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    faults.break_point("watch", io::ErrorKind::StorageFull);
    let store = world.open_on(disk).unwrap();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    world.deliver(&store, "bob", "INBOX");
    drop_in(&world, "INBOX", "1000.M1.elsewhere");
    inbox.notice().unwrap();
    assert_eq!(listed(&inbox), [1, 2]);
}

/// The number of messages that sessions see, whenever they are woken.
fn wakes(inbox: &Mailbox) -> (facteur_store::Subscription, mpsc::Receiver<usize>) {
    let (tell, told) = mpsc::channel();
    let seen = inbox.clone();
    let watching = inbox.subscribe(Arc::new(move || {
        let _ = tell.send(seen.snapshot().iter().count());
    }));
    (watching, told)
}

#[test]
fn sessions_are_woken_though_nobody_asks() {
    for broken in [false, true] {
        let world = World::new();
        let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
        if broken {
            faults.break_point("watch", io::ErrorKind::StorageFull);
        }
        let options = Options {
            checkpoints: Checkpoints {
                background: true,
                ..world.options().checkpoints
            },
            ..world.options()
        };
        let store = Store::open_on(disk, options).unwrap();
        let inbox = world.mailbox(&store, "bob", "INBOX");
        let (_watching, told) = wakes(&inbox);
        drop_in(&world, "INBOX", "1000.M1.elsewhere");
        let patience = Duration::from_secs(30);
        assert_eq!(told.recv_timeout(patience), Ok(1), "broken: {broken}");
        fs::remove_file(&world.files("bob", "INBOX")[0]).unwrap();
        assert_eq!(told.recv_timeout(patience), Ok(0), "broken: {broken}");
    }
}
