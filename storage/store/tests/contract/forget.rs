//! Accounts whose homes are gone for good.

use std::fs;

use facteur_store::Forgotten;

use crate::{
    leftover::kill,
    world::{World, listed, uids},
};

#[test]
fn what_the_journal_keeps_of_a_home_that_is_gone_goes_when_it_is_given_up() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    for who in ["bob", "carol", "bob"] {
        world.deliver(&store, who, "INBOX");
    }
    let (bob, carol) = (world.spec("bob"), world.spec("carol"));
    // Whose home is there loses nothing.
    store.forget_account(&carol.id).unwrap_err();
    kill(store, &faults);
    fs::remove_dir_all(&bob.home).unwrap();
    let store = world.open();
    store.account(&bob).unwrap_err();
    // The check does not take it for one that was never used.
    store.check_account(&bob, &mut |_, _| ()).unwrap_err();
    assert_eq!(
        store.forget_account(&bob.id).unwrap(),
        Forgotten {
            changes: 2,
            messages: 2
        }
    );
    let nothing = Forgotten::default();
    assert_eq!(store.forget_account(&bob.id).unwrap(), nothing);
    drop(store);
    let store = world.open();
    assert_eq!(store.forget_account(&bob.id).unwrap(), nothing);
    assert_eq!(listed(&world.mailbox(&store, "carol", "INBOX")), [1]);
    // It begins anew.
    world.deliver(&store, "bob", "INBOX");
    assert_eq!(listed(&world.mailbox(&store, "bob", "INBOX")).len(), 1);
}

#[test]
fn account_in_use_whose_home_goes_is_given_up_too() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    let (bob, inbox) = (world.spec("bob"), world.mailbox(&store, "bob", "INBOX"));
    fs::remove_dir_all(&bob.home).unwrap();
    let forgotten = store.forget_account(&bob.id).unwrap();
    assert_eq!(forgotten.messages, 1);
    // Its sessions are sent away.
    inbox.expunge(&uids(&[1]), true).unwrap_err();
    store.checkpoint().unwrap();
    assert!(!bob.home.exists());
    world.deliver(&store, "bob", "INBOX");
    assert_eq!(listed(&world.mailbox(&store, "bob", "INBOX")).len(), 1);
    store.close().unwrap();
}
