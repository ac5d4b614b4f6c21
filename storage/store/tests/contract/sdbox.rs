//! Files of sdbox that are not as this server left them. What is found in a Maildir is what counts
//! there: `contract_maildir` has tests of that.

use std::fs;

use facteur_model::Uid;
use facteur_store::StoreError;

use crate::{
    rebuild::{expect_all, fill, filled, remove_index},
    world::{World, bytes_of, listed, name, text, uids},
};

/// They were deleted: whoever lost a disk for one start lost its mail when it came back.
#[test]
fn files_that_come_back_after_a_start_without_them_have_their_uids() {
    let (world, mails, away) = filled();
    let start = || {
        let store = world.open();
        let inbox = world.mailbox(&store, "bob", "INBOX");
        let seen = listed(&inbox);
        let read = |uid: &u32| Some(bytes_of(&inbox.read(Uid::new(*uid)?).ok()?));
        let texts: Vec<_> = seen.iter().map(read).collect();
        // Not closed after a change.
        world.deliver(&store, "bob", "Spam");
        (seen, texts)
    };
    let (before, texts) = start();
    assert_eq!(before, [1, 2]);
    fs::rename(&mails, &away).unwrap();
    fs::create_dir(&mails).unwrap();
    // A disk that is not mounted: nothing is forgotten.
    assert_eq!(start(), (before.clone(), vec![None, None]));
    fs::remove_dir(&mails).unwrap();
    fs::rename(&away, &mails).unwrap();
    let (after, same) = start();
    assert_eq!(same, texts);
    assert_eq!(after, before);
    assert_eq!(start().0, after);
}

/// One folder named like a message kept the whole account from being opened.
#[test]
fn what_is_no_message_file_does_not_hide_the_others() {
    let world = World::new();
    fill(&world);
    remove_index(&world, "bob");
    let mails = world.mails("bob", "INBOX");
    fs::create_dir(mails.join("u.7")).unwrap();
    std::os::unix::fs::symlink("/nowhere", mails.join("u.8")).unwrap();
    fs::write(mails.join("u.9"), b"").unwrap();
    fs::write(mails.join("u.10"), b"\0garbage").unwrap();
    let first = fs::read(mails.join("u.1")).unwrap();
    fs::write(mails.join("u.11"), &first[..first.len() - 9]).unwrap();
    fs::write(mails.join("u.12"), &first[..40]).unwrap();
    expect_all(&world);
    for left in ["u.7", "u.8", "u.9", "u.10", "u.11", "u.12"] {
        assert!(mails.join(left).symlink_metadata().is_ok(), "{left}");
    }
}

#[test]
fn a_lost_uidvalidity_file_gives_a_new_uidvalidity_and_keeps_the_messages() {
    let world = World::new();
    fill(&world);
    let before = world.status_at_start("bob", "INBOX");
    fs::remove_file(world.home("bob").join("mailboxes/INBOX/uidvalidity")).unwrap();
    let store = world.open();
    let after = world.account(&store, "bob").status(&name("INBOX")).unwrap();
    assert!(after.uid_validity > before.uid_validity);
    assert_eq!(listed(&world.mailbox(&store, "bob", "INBOX")), [1, 2]);
}

#[test]
fn messages_that_dovecot_wrote_are_taken_over_with_crlf() {
    let world = World::new();
    let mails = world.mails("bob", "INBOX");
    fs::create_dir_all(&mails).unwrap();
    let stored = "2 M1e C6b00c19e\n\x01\x02N          000000000000001A\nFrom: a\nSubject: hi\n\nbody\n\n\x01\x03\nR6b00c19e\nV1e\nG51e4ba119ec1006b706e00083ecc375f\n\n";
    fs::write(mails.join("u.17"), stored).unwrap();
    fs::write(mails.join("dovecot.index.log"), "x").unwrap();
    fs::write(mails.join("u.18"), "damaged").unwrap();
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(listed(&inbox), [17]);
    assert_eq!(text(&inbox, 17), b"From: a\r\nSubject: hi\r\n\r\nbody\r\n");
    assert_eq!(
        inbox
            .snapshot()
            .by_sequence(1)
            .unwrap()
            .internal_date
            .unix(),
        0x6b00_c19e
    );
    assert!(
        world.deliver(&store, "bob", "INBOX").value() > 18,
        "no file is written over"
    );
    assert_eq!(fs::read(mails.join("u.18")).unwrap(), b"damaged");
}

/// COPY and MOVE were acknowledged, and what was there was another message: MOVE removed the original.
#[test]
fn a_copy_is_not_taken_for_what_another_program_has_put_into_its_place() {
    for moved in [false, true] {
        let (world, store) = World::with_mail(&["bob", "bob"]);
        let foreign = world.file("bob", "Spam", 1);
        fs::copy(world.file("bob", "INBOX", 2), &foreign).unwrap();
        let before = fs::read(&foreign).unwrap();
        let take_there = || {
            let inbox = world.mailbox(&store, "bob", "INBOX");
            match moved {
                true => inbox.move_to(&uids(&[1]), &name("Spam")),
                false => inbox.copy(&uids(&[1]), &name("Spam")),
            }
        };
        // The first runs into it; the account is reopened and takes it over.
        assert!(take_there().is_err(), "moved: {moved}");
        let (_, there) = take_there().unwrap().pairs[0];
        assert_eq!(fs::read(&foreign).unwrap(), before, "moved: {moved}");
        let spam = world.mailbox(&store, "bob", "Spam");
        assert_eq!(listed(&spam), [1, there.value()], "moved: {moved}");
    }
}

#[test]
fn a_message_that_another_program_put_there_is_never_written_over() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    let mails = world.mails("bob", "INBOX");
    fs::copy(mails.join("u.1"), mails.join("u.2")).unwrap();
    let before = fs::read(mails.join("u.2")).unwrap();
    let open = world.mailbox(&store, "bob", "INBOX");
    // The first delivery runs into it; the account is reopened and takes it over.
    assert!(
        store
            .commit(crate::world::batch([world.append("bob", "INBOX")]))
            .is_err()
    );
    assert!(open.is_deleted());
    let next = world.deliver(&store, "bob", "INBOX").value();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(listed(&inbox), [1, 2, next]);
    assert_eq!(fs::read(mails.join("u.2")).unwrap(), before);
}

#[test]
fn files_under_construction_go_after_an_unclean_end() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    world
        .account(&store, "bob")
        .put_script("a", b"keep;")
        .unwrap();
    world
        .account(&store, "bob")
        .create(&name("temp.mailbox"))
        .unwrap();
    drop(store);
    let home = world.home("bob");
    let left = [
        "mailboxes/INBOX/dbox-Mails/temp.1",
        "mailboxes/INBOX/temp.2",
        "sieve/temp.3",
        "temp.4",
    ];
    for path in left {
        fs::write(home.join(path), "x").unwrap();
    }
    let store = world.open();
    assert!(
        world
            .account(&store, "bob")
            .has_mailbox(&name("temp.mailbox"))
            .unwrap()
    );
    for path in left {
        assert!(!home.join(path).exists(), "{path}");
    }
}

/// Its client was told that all was well, and got nothing.
#[test]
fn a_message_whose_file_somebody_removed_is_no_expunged_one() {
    let world = World::new();
    fill(&world);
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let path = world.mails("bob", "INBOX").join("u.1");
    fs::remove_file(&path).unwrap();
    let error = inbox.read(Uid::new(1).unwrap()).unwrap_err();
    let path = path.display().to_string();
    assert!(matches!(error, StoreError::Io(_)), "{error}");
    assert!(error.to_string().contains(&path), "{error}");
    inbox.read(Uid::new(2).unwrap()).unwrap();
}
