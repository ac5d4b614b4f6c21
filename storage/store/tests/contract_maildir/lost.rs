//! What a Maildir's own files make up for when something of ours is lost.

use std::fs;

use crate::{
    rebuild::{expect_all, fill},
    world::World,
};

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
