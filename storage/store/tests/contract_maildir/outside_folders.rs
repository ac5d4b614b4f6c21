//! Folders that other programs make and remove, and what no Maildir is.

use std::{fs, io};

use facteur_store::{Append, StoreError};

use crate::{
    outside::drop_in,
    world::{World, batch, listed, name, uids},
};

#[test]
fn a_home_with_the_other_format_is_refused() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    store.close().unwrap();
    drop(store);
    let store = world.open();
    let mut spec = world.spec("bob");
    spec.format = facteur_model::MailFormat::Sdbox;
    let refused = store.account(&spec).unwrap_err();
    assert!(
        refused.to_string().contains("holds maildir mail"),
        "{refused}"
    );
    spec.home = world.home("carol");
    store.account(&spec).unwrap();
    store.close().unwrap();
    drop(store);
    let refused = world.open().account(&world.spec("carol")).unwrap_err();
    assert!(
        refused.to_string().contains("holds sdbox mail"),
        "{refused}"
    );
}

#[test]
fn names_that_no_maildir_has_are_refused() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    for bad in ["a.b", "~x"] {
        let refused = account.create(&name(bad)).unwrap_err();
        assert!(matches!(refused, StoreError::Cannot(_)), "{refused}");
        assert!(account.set_subscribed(&name(bad), true).is_err());
        assert!(account.rename(&name("Spam"), &name(bad)).is_err());
    }
    assert!(account.has_mailbox(&name("Spam")).unwrap());
}

fn make_folder(world: &World, mailbox: &str) {
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(world.mails("bob", mailbox).join(sub)).unwrap();
    }
}

/// It had an identity then, and was taken for one that is not new: nobody saw it.
#[test]
fn a_folder_that_could_not_be_taken_over_is_so_later() {
    for call in ["index begin", "index commit", "rename", "sync_dir"] {
        let world = World::new();
        let (store, faults) = world.open_with_faults();
        let account = world.account(&store, "bob");
        make_folder(&world, "Other");
        faults.break_point(call, io::ErrorKind::StorageFull);
        assert!(account.has_mailbox(&name("Other")).is_err(), "{call}");
        faults.heal();
        assert!(account.has_mailbox(&name("Other")).unwrap(), "{call}");
    }
}

#[test]
fn folders_that_another_program_makes_are_mailboxes_at_once() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    let make = |mailbox: &str| make_folder(&world, mailbox);
    let listed_names = || -> Vec<String> {
        let folders = account.folders().unwrap().into_iter();
        folders
            .filter(|f| f.selectable)
            .map(|f| f.name.to_string())
            .collect()
    };
    make("Listed");
    drop_in(&world, "Listed", "1000.M1.elsewhere");
    assert!(listed_names().contains(&"Listed".to_owned()));
    let first = account.open(&name("Listed")).unwrap();
    assert_eq!(listed(&first), [1]);
    assert_eq!(listed_names().len(), 4);
    // Without a list before.
    make("Opened");
    drop_in(&world, "Opened", "1001.M1.elsewhere");
    let opened = account.open(&name("Opened")).unwrap();
    assert_eq!(listed(&opened), [1]);
    assert_ne!(opened.uid_validity(), first.uid_validity());
    make("Asked");
    assert_eq!(account.status(&name("Asked")).unwrap().messages, 0);
    // Made here and there at once.
    make("Made");
    drop_in(&world, "Made", "1002.M1.elsewhere");
    account.create(&name("Made")).unwrap();
    make("Delivered");
    let append = Append {
        create: true,
        ..world.append("bob", "Delivered")
    };
    store.commit(batch([append])).unwrap();
    let delivered = account.open(&name("Delivered")).unwrap();
    assert_eq!(listed(&delivered), [1]);
    let seen = |account: &facteur_store::Account| -> Vec<(u32, Vec<u32>)> {
        let names = ["Listed", "Opened", "Made", "Delivered"];
        let mailboxes = names.map(|mailbox| account.open(&name(mailbox)).unwrap());
        let seen = mailboxes.iter();
        seen.map(|one| (one.uid_validity().value(), listed(one)))
            .collect()
    };
    let before = seen(&account);
    drop((first, opened, delivered, account));
    store.close().unwrap();
    drop(store);
    let store = world.open();
    assert_eq!(seen(&world.account(&store, "bob")), before);
}

/// It was acknowledged, and had no place.
#[test]
fn a_delivery_to_a_folder_that_another_program_has_removed_is_refused_until_that_is_known() {
    for create in [false, true] {
        let world = World::new();
        let store = world.open();
        world.account(&store, "bob").create(&name("Made")).unwrap();
        world.deliver(&store, "bob", "Made");
        store.checkpoint().unwrap();
        fs::remove_dir_all(world.mails("bob", "Made")).unwrap();
        let append = Append {
            create,
            ..world.append("bob", "Made")
        };
        let deliver = || store.commit(batch([append.clone()]));
        let first = deliver();
        assert!(matches!(first, Err(StoreError::Io(_))), "{first:?}");
        assert_eq!(world.temporary("bob"), [""; 0]);
        match (create, deliver()) {
            (false, second) => assert!(matches!(second, Err(StoreError::NoMailbox(_)))),
            (true, second) => {
                second.unwrap();
                assert_eq!(listed(&world.mailbox(&store, "bob", "Made")), [1]);
            }
        }
        world.deliver(&store, "bob", "INBOX");
    }
}

/// It was refused for ever, as if the server had failed.
#[test]
fn messages_for_a_folder_that_another_program_has_removed_are_refused_and_then_it_is_known() {
    for moved in [false, true] {
        let world = World::new();
        let store = world.open();
        let account = world.account(&store, "bob");
        account.create(&name("Made")).unwrap();
        world.deliver(&store, "bob", "INBOX");
        store.checkpoint().unwrap();
        fs::remove_dir_all(world.mails("bob", "Made")).unwrap();
        drop(account);
        let take_there = || {
            let inbox = world.mailbox(&store, "bob", "INBOX");
            match moved {
                true => inbox.move_to(&uids(&[1]), &name("Made")),
                false => inbox.copy(&uids(&[1]), &name("Made")),
            }
        };
        let first = take_there();
        assert!(matches!(first, Err(StoreError::Io(_))), "{first:?}");
        let second = take_there();
        assert!(
            matches!(second, Err(StoreError::NoMailbox(_))),
            "{second:?}"
        );
        assert_eq!(listed(&world.mailbox(&store, "bob", "INBOX")), [1]);
    }
}

/// Each start gave both another identity, which they share.
#[test]
fn a_link_to_another_mailboxs_folder_is_no_mailbox_and_does_that_one_no_harm() {
    let (world, store) = World::with_mail(&["bob"]);
    world.deliver(&store, "bob", "Spam");
    store.close().unwrap();
    drop(store);
    let before = world.status_at_start("bob", "Spam");
    std::os::unix::fs::symlink(".Spam", world.mails("bob", "Junk")).unwrap();
    for _ in 0..2 {
        assert_eq!(world.status_at_start("bob", "Spam"), before);
        let account = world.account(&world.open(), "bob");
        assert!(!account.has_mailbox(&name("Junk")).unwrap());
    }
}
