//! Which calls to the disk make each piece of work durable, and in which order.

use facteur_model::MailFormat;
use facteur_store::{Batch, Body, Store};

use crate::{
    run::append,
    world::{World, batch, entry, name, uids},
};

/// The calls that make things durable or name them, in order, of one piece of work.
fn order(prepare: impl FnOnce(&Store, &World), work: impl FnOnce(&Store, &World)) -> String {
    let world = World::in_memory();
    let (store, faults) = world.open_with_faults();
    prepare(&store, &world);
    let before = faults.log().len();
    work(&store, &world);
    let telling = |call: &&str| {
        let quiet = [
            "read",
            "open",
            "write",
            "stat",
            "set_modified",
            "index begin",
            "read_dir",
            "watch",
        ];
        !quiet.contains(call)
    };
    let log = faults.log();
    let calls: Vec<&str> = log[before..].iter().copied().filter(telling).collect();
    calls.join(", ")
}

#[test]
fn a_delivery_returns_after_the_journal_is_synced_and_is_named_after() {
    let first = |store: &Store, world: &World| {
        world.deliver(store, "bob", "INBOX");
    };
    let delivery = order(first, first);
    assert_eq!(delivery, "create, sync_data, rename");
    // The first one reserves UIDs, and makes the mailbox's folder and those above it durable.
    let account = |store: &Store, world: &World| drop(world.account(store, "bob"));
    let folders = match crate::FORMAT {
        MailFormat::Sdbox => "sync_dir, sync_dir, sync_dir",
        // INBOX is the home.
        MailFormat::Maildir => "sync_dir",
    };
    assert_eq!(
        order(account, first),
        format!("create, create, sync_all, rename, {folders}, sync_data, rename")
    );
}

#[test]
fn a_large_message_is_synced_under_its_temporary_name_before_the_journal_is() {
    let first = |store: &Store, world: &World| {
        world.deliver(store, "bob", "INBOX");
    };
    let large = |store: &Store, world: &World| {
        let mut staging = store.stage();
        staging.write(&[b'x'; 5000]).unwrap();
        let mut append = world.append("bob", "INBOX");
        append.body = staging.finish().unwrap();
        store.commit(batch([append])).unwrap();
    };
    // Between two folders a rename could be lost in one of them.
    let named = match crate::FORMAT {
        MailFormat::Sdbox => "rename",
        MailFormat::Maildir => "link",
    };
    assert_eq!(
        order(first, large),
        format!("create, create, copy, sync_all, sync_dir, sync_data, {named}")
    );
}

#[test]
fn a_batch_is_one_sync() {
    let ready = |store: &Store, world: &World| {
        world.deliver(store, "bob", "INBOX");
        world.deliver(store, "bob", "Spam");
    };
    let three = |store: &Store, world: &World| {
        let both = [
            append(world, "bob", "INBOX", "x"),
            append(world, "bob", "Spam", "x"),
        ];
        let body = Body::Memory(crate::world::MAIL.into());
        let spool = vec![(entry("far@remote.test"), body)];
        store
            .commit(Batch {
                spool,
                ..batch(both)
            })
            .unwrap();
    };
    assert_eq!(
        order(ready, three),
        "create, create, create, sync_data, rename, rename, rename"
    );
}

#[test]
fn copies_moves_and_expunges_are_one_sync_and_nothing_is_removed() {
    let ready = |store: &Store, world: &World| {
        for mailbox in ["INBOX", "INBOX", "Spam"] {
            world.deliver(store, "bob", mailbox);
        }
        drop(world.mailbox(store, "bob", "INBOX"));
    };
    let inbox = |store: &Store, world: &World| world.mailbox(store, "bob", "INBOX");
    let copy = order(ready, |store, world| {
        inbox(store, world)
            .copy(&uids(&[1]), &name("Spam"))
            .unwrap();
    });
    assert_eq!(copy, "link, sync_data, rename");
    let moved = order(ready, |store, world| {
        inbox(store, world)
            .move_to(&uids(&[1]), &name("Spam"))
            .unwrap();
    });
    assert_eq!(moved, "link, sync_data, rename");
    let expunged = order(ready, |store, world| {
        inbox(store, world).expunge(&uids(&[1, 2]), true).unwrap();
    });
    assert_eq!(expunged, "sync_data");
}

#[test]
fn a_checkpoint_syncs_before_it_removes_and_removes_before_it_cuts() {
    let ready = |store: &Store, world: &World| {
        for _ in 0..2 {
            world.deliver(store, "bob", "INBOX");
        }
        let inbox = world.mailbox(store, "bob", "INBOX");
        inbox.expunge(&uids(&[1, 2]), true).unwrap();
    };
    let checkpoint = order(ready, |store, _| store.checkpoint().unwrap());
    let after = checkpoint
        .split_once("index commit, ")
        .unwrap_or_else(|| panic!("{checkpoint}"))
        .1;
    assert!(
        after.starts_with("sync_file_system, unlink, unlink, sync_dir"),
        "{checkpoint}"
    );
}
