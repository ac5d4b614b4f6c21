//! The index lost or damaged; another start.

use std::{fs, path::PathBuf};

use facteur_disk::Disk;
use facteur_index::Index;
use facteur_model::{AccountId, AccountSpec, Flag, FlagOperation, MailFormat, ModSeq, UidSet};
use facteur_store::{Mailbox, StoreError};

use crate::world::{World, change, listed, name, text, uids};

pub(crate) fn remove_index(world: &World, who: &str) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(world.home(who).join(format!("index.db{suffix}")));
    }
}

pub(crate) fn fill(world: &World) {
    let store = world.open();
    for _ in 0..3 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox.expunge(&uids(&[3]), true).unwrap();
    inbox.copy(&uids(&[2]), &name("Spam")).unwrap();
    drop(inbox);
    store.close().unwrap();
}

/// A world with mail: where INBOX's messages lie, and a place where somebody may put them meanwhile.
pub(crate) fn filled() -> (World, PathBuf, PathBuf) {
    let world = World::new();
    fill(&world);
    let mails = world.mails("bob", "INBOX");
    let away = world.dir.path().join("away");
    (world, mails, away)
}

pub(crate) fn expect_all(world: &World) {
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(listed(&inbox), [1, 2]);
    assert!(text(&inbox, 2).ends_with(b"body\r\n"));
    let state = *inbox.snapshot().by_sequence(1).unwrap();
    assert_eq!(state.internal_date.unix(), 1_600_000_000);
    assert_eq!(listed(&world.mailbox(&store, "bob", "Spam")), [1]);
    assert_eq!(world.account(&store, "bob").usage().unwrap().messages, 3);
    let next = world.deliver(&store, "bob", "INBOX").value();
    assert!(next > 3, "UID {next} was given before");
    let mut seen = Vec::new();
    inbox
        .summaries(&uids(&[1, 2, next]), &mut |uid, summary| {
            assert!(summary.envelope.windows(5).any(|w| w == b"hello"));
            seen.push(uid.value());
        })
        .unwrap();
    assert_eq!(seen, [1, 2, next]);
}

#[test]
fn a_lost_index_is_rebuilt_and_uids_stay() {
    let world = World::new();
    fill(&world);
    let before = world.status_at_start("bob", "INBOX");
    remove_index(&world, "bob");
    expect_all(&world);
    let after = world.status_at_start("bob", "INBOX");
    assert_eq!(before.uid_validity, after.uid_validity);
    assert!(after.highest_modseq > before.highest_modseq);
}

/// What the index at rest says was expunged from INBOX after `since`.
fn vanished(world: &World, since: ModSeq) -> Option<UidSet> {
    let path = world.home("bob").join("index.db");
    let index = Index::open(&Disk::real(), &path).unwrap();
    let guid = inbox_guid(world);
    let rows = index.mailboxes().unwrap();
    let inbox = rows.iter().find(|row| row.guid.to_string() == guid);
    index.vanished(inbox.unwrap().id, since).unwrap()
}

fn inbox_guid(world: &World) -> String {
    let mails = world.mails("bob", "INBOX");
    let folder = match crate::FORMAT {
        MailFormat::Sdbox => mails.parent().unwrap().join("uidvalidity"),
        MailFormat::Maildir => mails.join("uidvalidity"),
    };
    let text = fs::read_to_string(folder).unwrap();
    let guid = text.lines().find_map(|line| line.strip_prefix("guid "));
    guid.unwrap().to_owned()
}

#[test]
fn what_was_expunged_before_the_index_was_lost_is_said_to_be_unknown() {
    let world = World::new();
    fill(&world);
    let status = || {
        let store = world.open();
        let status = world.account(&store, "bob").status(&name("INBOX")).unwrap();
        store.close().unwrap();
        status
    };
    let before = status().highest_modseq;
    assert_eq!(vanished(&world, ModSeq::new(1)), Some(uids(&[3])));
    remove_index(&world, "bob");
    let after = status().highest_modseq;
    assert_eq!(vanished(&world, before), None);
    assert_eq!(vanished(&world, after), Some(UidSet::new()));
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox.expunge(&uids(&[1]), true).unwrap();
    drop(inbox);
    store.close().unwrap();
    assert_eq!(vanished(&world, after), Some(uids(&[1])));
    assert_eq!(vanished(&world, before), None);
}

#[test]
fn a_damaged_index_is_rebuilt() {
    for damage in [&b"not a database at all"[..], b"SQLite format 3\0garbage"] {
        let world = World::new();
        fill(&world);
        remove_index(&world, "bob");
        fs::write(world.home("bob").join("index.db"), damage).unwrap();
        expect_all(&world);
    }
}

#[test]
fn an_index_damaged_in_use_is_rebuilt_at_the_next_use() {
    let world = World::new();
    fill(&world);
    // A page of the middle is overwritten: opening succeeds, reading does not.
    let path = world.home("bob").join("index.db");
    let mut bytes = fs::read(&path).unwrap();
    for byte in &mut bytes[4096..] {
        *byte = 0xff;
    }
    fs::write(&path, bytes).unwrap();
    expect_all(&world);
}

#[test]
fn a_delivery_is_recognised_after_the_index_is_lost() {
    let world = World::new();
    let mut append = world.append("bob", "INBOX");
    let store = world.open();
    store.commit(crate::world::batch([append.clone()])).unwrap();
    append.repeated = true;
    drop(store);
    remove_index(&world, "bob");
    let store = world.open();
    store.commit(crate::world::batch([append])).unwrap();
    assert_eq!(listed(&world.mailbox(&store, "bob", "INBOX")), [1]);
}

#[test]
fn a_process_that_was_killed_leaves_flags_and_uids_in_place() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let seen = change(FlagOperation::Add, &[Flag::Seen], &[]);
    inbox.store(&uids(&[1]), &seen).unwrap();
    // Dropped without close: the account stays marked as in use.
    drop((inbox, store));
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert!(
        inbox
            .snapshot()
            .by_sequence(1)
            .unwrap()
            .flags
            .contains(Flag::Seen)
    );
    assert_eq!(
        world.deliver(&store, "bob", "INBOX").value(),
        2,
        "no UID is skipped"
    );
}

#[test]
fn two_processes_do_not_share_a_store() {
    let world = World::new();
    let _first = world.open();
    let second = world.open_on(facteur_disk::Disk::real());
    assert!(matches!(second, Err(StoreError::Cannot(_))));
}

#[test]
fn two_accounts_do_not_share_a_home() {
    let world = World::new();
    let store = world.open();
    let _bob = world.account(&store, "bob");
    let other = AccountSpec {
        id: AccountId::new("robert@example.test"),
        ..world.spec("bob")
    };
    assert!(store.account(&other).is_err());
}

#[test]
fn keywords_of_a_lost_index_are_not_taken_for_others() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let set = |inbox: &Mailbox, uid: u32, keyword: &str| {
        let change = change(FlagOperation::Replace, &[], &[keyword]);
        inbox.store(&uids(&[uid]), &change).unwrap();
    };
    let keywords = |inbox: &Mailbox, sequence: u32| {
        let snapshot = inbox.snapshot();
        let set = snapshot.by_sequence(sequence).unwrap().keywords;
        let keywords = snapshot.keywords(set).iter();
        keywords.map(|k| k.as_str().to_owned()).collect::<Vec<_>>()
    };
    for keyword in ["one", "two", "three"] {
        set(&inbox, 1, keyword);
    }
    store.checkpoint().unwrap();
    // What the number stands for is in the index alone, the message in the journal.
    world.deliver(&store, "bob", "INBOX");
    set(&inbox, 2, "three");
    assert_eq!(keywords(&inbox, 2), ["three"]);
    drop((inbox, store));
    remove_index(&world, "bob");
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    for keyword in ["other", "another", "fourth", "fifth"] {
        set(&inbox, 1, keyword);
        assert_eq!(keywords(&inbox, 1), [keyword]);
        assert!(keywords(&inbox, 2).is_empty(), "{:?}", keywords(&inbox, 2));
    }
    drop((inbox, store));
    let inbox = world.mailbox(&world.open(), "bob", "INBOX");
    assert_eq!(
        (keywords(&inbox, 2).len(), keywords(&inbox, 1)),
        (0, vec!["fifth".to_owned()])
    );
}

/// Each start took such an INBOX for missing and gave it a new UIDVALIDITY.
#[test]
fn messages_behind_a_link_keep_their_uidvalidity() {
    let (world, mails, away) = filled();
    let status = || {
        let store = world.open();
        let status = world.account(&store, "bob").status(&name("INBOX")).unwrap();
        store.close().unwrap();
        status.uid_validity
    };
    let before = status();
    fs::rename(&mails, &away).unwrap();
    std::os::unix::fs::symlink(&away, &mails).unwrap();
    assert_eq!(status(), before);
    expect_all(&world);
}
