//! What a Maildir's own files make up for when something of ours is lost.

use std::fs;

use crate::{
    leftover::{kill, owned, tokens},
    rebuild::{expect_all, fill},
    run::append,
    world::{World, batch, name, uids},
};

/// Nobody could have the account any more.
#[test]
fn what_the_journal_has_is_done_again_where_a_folder_has_lost_its_subfolders() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    let account = world.account(&store, "bob");
    account.create(&name("Saved")).unwrap();
    for token in ["one", "two"] {
        let append = append(&world, "bob", "INBOX", token);
        store.commit(batch([append])).unwrap();
    }
    let inbox = account.open(&name("INBOX")).unwrap();
    inbox.copy(&uids(&[2]), &name("Saved")).unwrap();
    drop((inbox, account));
    kill(store, &faults);
    for sub in ["tmp", "new", "cur"] {
        fs::remove_dir_all(world.mails("bob", "Saved").join(sub)).unwrap();
    }
    fs::remove_dir_all(world.mails("bob", "INBOX").join("tmp")).unwrap();
    for file in world.files("bob", "INBOX") {
        fs::remove_file(file).unwrap();
    }
    let store = world.open();
    let inbox = tokens(&world, &store, "bob", "INBOX");
    assert_eq!(inbox, owned(&[(1, "one"), (2, "two")]));
    let saved = tokens(&world, &store, "bob", "Saved");
    assert_eq!(saved, owned(&[(1, "two")]));
}

#[test]
fn a_lost_uidvalidity_file_is_made_up_for_by_the_list_of_uids() {
    let world = World::new();
    fill(&world);
    let inbox = world.folder("bob", "INBOX");
    let before = world.status_at_start("bob", "INBOX");
    fs::remove_file(inbox.join("uidvalidity")).unwrap();
    let after = world.status_at_start("bob", "INBOX");
    assert_eq!(after.uid_validity, before.uid_validity);
    assert!(after.highest_modseq >= before.highest_modseq);
    // The next UID and MODSEQ that are given are written there again.
    expect_all(&world);
    // With both nobody knows the UIDs any more.
    fs::remove_file(inbox.join("uidvalidity")).unwrap();
    fs::remove_file(inbox.join("dovecot-uidlist")).unwrap();
    let after = world.status_at_start("bob", "INBOX");
    assert!(after.uid_validity > before.uid_validity);
    assert_eq!(after.messages, 3);
}
