//! Folders and subscriptions.

use std::io;

use facteur_disk::Disk;
use facteur_model::SpecialUse;
use facteur_store::{Account, Append, StoreError};

use crate::{
    leftover::copy_dir,
    world::{World, batch, listed, name, text, uids},
};

fn names(account: &Account) -> Vec<String> {
    let folders = account.folders().unwrap();
    folders
        .iter()
        .map(|f| format!("{}{}", f.name, if f.selectable { "" } else { " (level)" }))
        .collect()
}

#[test]
fn a_new_account_has_its_folders_subscribed() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    assert_eq!(names(&account), ["INBOX", "Spam", "Trash"]);
    let folders = account.folders().unwrap();
    assert!(folders.iter().all(|f| f.subscribed && !f.has_children));
    assert_eq!(folders[1].special_use, Some(SpecialUse::Junk));
}

#[test]
fn create_makes_the_levels_above_and_they_outlive_the_process() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    account.create(&name("A/B & C/Été")).unwrap();
    assert!(matches!(
        account.create(&name("A/B & C/Été")),
        Err(StoreError::MailboxExists(_))
    ));
    let expected = [
        "INBOX",
        "A (level)",
        "A/B & C (level)",
        "A/B & C/Été",
        "Spam",
        "Trash",
    ];
    assert_eq!(names(&account), expected);
    account.create(&name("A")).unwrap();
    assert!(account.folders().unwrap()[1].has_children);
    drop((account, store));
    let store = world.open();
    let account = world.account(&store, "bob");
    assert_eq!(
        names(&account)[1..4],
        ["A", "A/B & C (level)", "A/B & C/Été"]
    );
}

/// The folder stayed where only its row of the index, or its sync, had failed: in a Maildir nobody could
/// make it any more.
#[test]
fn create_that_is_refused_leaves_nothing_behind() {
    for mailbox in ["Made", "New/Made", "Old"] {
        let mut refusals = 0;
        // The first call of a CREATE: those before come in the same order every time.
        let mut call = u64::MAX;
        loop {
            let world = World::in_memory();
            let store = world.open();
            let below = name("Old/Below");
            world.account(&store, "bob").create(&below).unwrap();
            store.close().unwrap();
            drop(store);
            let (disk, faults) = Disk::failing(call, io::ErrorKind::StorageFull);
            let store = world.open_on(disk).unwrap();
            let account = world.account(&store, "bob");
            let before = names(&account);
            if call == u64::MAX {
                call = faults.calls();
                continue;
            }
            let created = account.create(&name(mailbox));
            if !faults.struck() {
                break;
            }
            call += 1;
            if created.is_err() {
                refusals += 1;
                assert_eq!(names(&account), before, "{:?}", faults.log().last());
                let reopened = copy(&world);
                let account = reopened.account(&reopened.open(), "bob");
                assert_eq!(names(&account), before);
            }
            drop(account);
            let append = Append {
                create: true,
                ..world.append("bob", mailbox)
            };
            store.commit(batch([append])).unwrap();
            drop(store);
            let store = world.open();
            assert_eq!(listed(&world.mailbox(&store, "bob", mailbox)), [1]);
        }
        assert!(refusals > 3, "{mailbox}: {refusals}");
    }
}

/// Another world, as it is on disk.
fn copy(world: &World) -> World {
    let other = World::in_memory();
    for part in ["mail", "state"] {
        copy_dir(&world.dir.path().join(part), &other.dir.path().join(part));
    }
    other
}

#[test]
fn delete_keeps_what_lies_below() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    account.create(&name("A")).unwrap();
    account.create(&name("A/B")).unwrap();
    let open = account.open(&name("A")).unwrap();
    let validity = open.uid_validity();
    account.delete(&name("A")).unwrap();
    assert!(open.is_deleted());
    assert!(matches!(open.recent(true), Err(StoreError::NoMailbox(_))));
    assert_eq!(names(&account)[1..3], ["A (level)", "A/B"]);
    assert!(matches!(
        account.delete(&name("A")),
        Err(StoreError::Cannot(_))
    ));
    account.create(&name("A")).unwrap();
    let again = account.open(&name("A")).unwrap();
    assert!(
        again.uid_validity() > validity,
        "a new mailbox has a new UIDVALIDITY"
    );
    account.delete(&name("A/B")).unwrap();
    account.delete(&name("A")).unwrap();
    assert_eq!(names(&account), ["INBOX", "Spam", "Trash"]);
    assert!(matches!(
        account.delete(&name("A")),
        Err(StoreError::NoMailbox(_))
    ));
    assert!(matches!(
        account.delete(&name("INBOX")),
        Err(StoreError::Cannot(_))
    ));
}

#[test]
fn delete_gives_the_space_back() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "Spam");
    let account = world.account(&store, "bob");
    assert_eq!(account.usage().unwrap().messages, 1);
    account.delete(&name("Spam")).unwrap();
    assert_eq!(account.usage().unwrap().messages, 0);
}

#[test]
fn rename_takes_messages_and_children_along() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    account.create(&name("A/B/C")).unwrap();
    account.create(&name("A")).unwrap();
    world.deliver(&store, "bob", "A/B/C");
    let open = account.open(&name("A/B/C")).unwrap();
    let validity = open.uid_validity();
    assert!(matches!(
        account.rename(&name("A"), &name("A/X")),
        Err(StoreError::Cannot(_))
    ));
    assert!(matches!(
        account.rename(&name("A"), &name("Spam")),
        Err(StoreError::MailboxExists(_))
    ));
    assert!(matches!(
        account.rename(&name("No"), &name("Yes")),
        Err(StoreError::NoMailbox(_))
    ));
    account.rename(&name("A"), &name("New/Place")).unwrap();
    let expected = [
        "INBOX",
        "New (level)",
        "New/Place",
        "New/Place/B (level)",
        "New/Place/B/C",
        "Spam",
        "Trash",
    ];
    assert_eq!(names(&account), expected);
    assert_eq!(open.name(), name("New/Place/B/C"));
    assert_eq!(open.uid_validity(), validity);
    assert!(!text(&open, 1).is_empty());
    world.deliver(&store, "bob", "New/Place/B/C");
    assert_eq!(listed(&open), [1, 2]);
    drop((open, account, store));
    let store = world.open();
    let account = world.account(&store, "bob");
    assert_eq!(names(&account), expected);
    assert_eq!(
        account.status(&name("New/Place/B/C")).unwrap().uid_validity,
        validity
    );
    assert_eq!(account.status(&name("New/Place/B/C")).unwrap().messages, 2);
}

#[test]
fn rename_of_inbox_moves_its_messages() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    world.deliver(&store, "bob", "INBOX");
    let account = world.account(&store, "bob");
    let inbox = account.open(&name("INBOX")).unwrap();
    account.rename(&name("INBOX"), &name("Old")).unwrap();
    assert_eq!(listed(&inbox), [0u32; 0]);
    assert_eq!(listed(&account.open(&name("Old")).unwrap()), [1, 2]);
    assert_eq!(inbox.expunge(&uids(&[1]), true).unwrap(), uids(&[]));
}

#[test]
fn subscriptions_outlive_the_folder_and_the_process() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    account.set_subscribed(&name("Été/x"), true).unwrap();
    account.set_subscribed(&name("Spam"), false).unwrap();
    account.delete(&name("Trash")).unwrap();
    drop((account, store));
    let store = world.open();
    let subscribed = world.account(&store, "bob").subscriptions().unwrap();
    assert!(subscribed.contains(&name("Été/x")) && subscribed.contains(&name("INBOX")));
    assert!(!subscribed.contains(&name("Spam")));
}
