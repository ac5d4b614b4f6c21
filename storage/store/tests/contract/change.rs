//! Flags, expunge, copy, move.

use std::io;

use facteur_model::{Flag, FlagOperation, Flags, ModSeq, QuotaLimits, Uid};
use facteur_store::{FlagChange, StoreError};

use crate::world::{World, bytes_of, change, flags, listed, name, text, uids};

#[test]
fn store_changes_flags_and_keywords_and_modseq() {
    let world = World::new();
    let store = world.open();
    for _ in 0..3 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let before = inbox.snapshot();
    let add = change(
        FlagOperation::Add,
        &[Flag::Seen, Flag::Flagged],
        &["Work", "later"],
    );
    let outcome = inbox.store(&uids(&[1, 3, 9]), &add).unwrap();
    assert_eq!(outcome.stored, uids(&[1, 3]));
    let after = inbox.snapshot();
    assert_eq!(before.changes_to(&after).changed, uids(&[1, 3]));
    assert!(after.highest_modseq() > before.highest_modseq());
    let seen = Flags::EMPTY.with(Flag::Seen).with(Flag::Flagged);
    assert_eq!(
        flags(&inbox, 1),
        (seen, vec!["later".into(), "Work".into()])
    );
    assert_eq!(flags(&inbox, 2), (Flags::EMPTY, vec![]));

    // The same again changes nothing, but is as asked.
    let again = inbox.store(&uids(&[1]), &add).unwrap();
    assert_eq!(again.stored, uids(&[1]));
    assert_eq!(inbox.snapshot().highest_modseq(), after.highest_modseq());

    inbox
        .store(
            &uids(&[3]),
            &change(FlagOperation::Remove, &[Flag::Seen], &["WORK"]),
        )
        .unwrap();
    assert_eq!(
        flags(&inbox, 3),
        (Flags::EMPTY.with(Flag::Flagged), vec!["later".into()])
    );
    inbox
        .store(
            &uids(&[3]),
            &change(FlagOperation::Replace, &[Flag::Draft], &[]),
        )
        .unwrap();
    assert_eq!(flags(&inbox, 3), (Flags::EMPTY.with(Flag::Draft), vec![]));

    let status = world.account(&store, "bob").status(&name("INBOX")).unwrap();
    assert_eq!((status.messages, status.unseen, status.deleted), (3, 2, 0));
}

/// The index is changed by runs of messages that become alike: with flags, keywords, gaps and
/// messages left alone mixed, another owner reads what this one showed.
#[test]
fn store_of_mixed_messages_is_in_the_index_as_shown() {
    let world = World::new();
    let store = world.open();
    for _ in 0..12 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let all: Vec<u32> = (1..=12).collect();
    let steps = [
        (&[3][..], FlagOperation::Add, Flag::Deleted, "gone"),
        (&[5, 6, 9], FlagOperation::Add, Flag::Seen, "Work"),
        (&[1, 2, 4, 5], FlagOperation::Add, Flag::Flagged, "later"),
        (&all, FlagOperation::Add, Flag::Seen, "Work"),
        (&[7, 8, 11], FlagOperation::Remove, Flag::Seen, "Work"),
        (&all, FlagOperation::Add, Flag::Flagged, "later"),
    ];
    inbox
        .store(
            &uids(&[3]),
            &change(FlagOperation::Add, &[Flag::Deleted], &[]),
        )
        .unwrap();
    inbox.expunge(&uids(&[3]), false).unwrap();
    for (messages, operation, flag, keyword) in steps {
        inbox
            .store(&uids(messages), &change(operation, &[flag], &[keyword]))
            .unwrap();
    }
    let shown: Vec<_> = inbox.snapshot().iter().copied().collect();
    let named: Vec<_> = (1..=12)
        .filter(|n| *n != 3)
        .map(|n| flags(&inbox, n))
        .collect();
    drop(inbox);
    store.close().unwrap();
    drop(store);
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let read: Vec<_> = inbox.snapshot().iter().copied().collect();
    assert_eq!(read, shown);
    let again: Vec<_> = (1..=12)
        .filter(|n| *n != 3)
        .map(|n| flags(&inbox, n))
        .collect();
    assert_eq!(again, named);
}

#[test]
fn messages_read_in_turn_are_whole_in_order_and_gone_where_expunged() {
    let world = World::new();
    let store = world.open();
    for _ in 0..100 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox.expunge(&uids(&[40]), true).unwrap();
    let asked: Vec<u32> = (1..=101).rev().collect();
    let in_turn = asked.iter().filter_map(|n| Uid::new(*n));
    let mut seen = Vec::new();
    for (uid, reader) in inbox.read_each(in_turn, 10) {
        seen.push(uid.value());
        match reader {
            Ok(reader) => {
                assert_eq!(reader.size(), text(&inbox, uid.value()).len() as u64);
                assert_eq!(bytes_of(&reader), text(&inbox, uid.value()));
            }
            Err(StoreError::Gone) => assert!([40, 101].contains(&uid.value())),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(seen, asked);
}

#[test]
fn store_unchangedsince_leaves_newer_messages_alone() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    world.deliver(&store, "bob", "INBOX");
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let first = inbox.snapshot().by_sequence(1).unwrap().modseq;
    let add = FlagChange {
        unchanged_since: Some(first),
        ..change(FlagOperation::Add, &[Flag::Deleted], &[])
    };
    let outcome = inbox.store(&uids(&[1, 2]), &add).unwrap();
    assert_eq!((outcome.stored, outcome.modified), (uids(&[1]), uids(&[2])));
}

#[test]
fn expunge_removes_only_what_is_deleted_unless_forced() {
    let world = World::new();
    let store = world.open();
    for _ in 0..4 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let before = inbox.snapshot();
    inbox
        .store(
            &uids(&[2, 4]),
            &change(FlagOperation::Add, &[Flag::Deleted], &[]),
        )
        .unwrap();
    assert_eq!(inbox.expunge(&uids(&[1, 2]), false).unwrap(), uids(&[2]));
    assert_eq!(inbox.expunge(&uids(&[1]), true).unwrap(), uids(&[1]));
    assert_eq!(listed(&inbox), [3, 4]);
    assert_eq!(before.changes_to(&inbox.snapshot()).expunged, [1, 2]);
    assert!(matches!(
        inbox.read(Uid::new(1).unwrap()),
        Err(StoreError::Gone)
    ));
    let status = world.account(&store, "bob").status(&name("INBOX")).unwrap();
    assert_eq!(
        (status.messages, status.deleted, status.uid_next),
        (2, 1, 5)
    );
    assert_eq!(world.account(&store, "bob").usage().unwrap().messages, 2);
}

#[test]
fn copy_keeps_flags_and_date_and_bytes() {
    let world = World::new();
    let store = world.open();
    for _ in 0..3 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox
        .store(
            &uids(&[2]),
            &change(FlagOperation::Add, &[Flag::Seen], &["Work"]),
        )
        .unwrap();
    assert!(matches!(
        inbox.copy(&uids(&[1]), &name("No")),
        Err(StoreError::NoMailbox(_))
    ));
    let outcome = inbox.copy(&uids(&[1, 2, 7]), &name("Spam")).unwrap();
    let pairs: Vec<_> = outcome
        .pairs
        .iter()
        .map(|(a, b)| (a.value(), b.value()))
        .collect();
    assert_eq!(pairs, [(1, 1), (2, 2)]);
    let spam = world.mailbox(&store, "bob", "Spam");
    assert_eq!(outcome.uid_validity, spam.uid_validity());
    assert_eq!(
        flags(&spam, 2),
        (Flags::EMPTY.with(Flag::Seen), vec!["Work".into()])
    );
    assert_eq!(text(&spam, 1), text(&inbox, 1));
    assert_eq!(
        spam.snapshot().by_sequence(1).unwrap().internal_date.unix(),
        1_600_000_000
    );
    // Into itself too.
    inbox.copy(&uids(&[3]), &name("INBOX")).unwrap();
    assert_eq!(listed(&inbox), [1, 2, 3, 4]);
    let mut summaries = 0;
    spam.summaries(&uids(&[1, 2]), &mut |_, summary| {
        assert!(!summary.envelope.is_empty());
        summaries += 1;
    })
    .unwrap();
    assert_eq!(summaries, 2);
}

/// Other file systems have none, and one whose kernel has lost count of a file's names says that it is
/// not there.
#[test]
fn copy_without_links_copies_the_bytes() {
    for kind in [io::ErrorKind::Unsupported, io::ErrorKind::NotFound] {
        let world = World::new();
        let (store, faults) = world.open_with_faults();
        world.deliver(&store, "bob", "INBOX");
        let inbox = world.mailbox(&store, "bob", "INBOX");
        faults.break_point("link", kind);
        inbox.copy(&uids(&[1]), &name("Spam")).unwrap();
        let spam = world.mailbox(&store, "bob", "Spam");
        assert_eq!(text(&spam, 1), text(&inbox, 1), "{kind:?}");
        assert_eq!(
            spam.snapshot().by_sequence(1).unwrap().internal_date.unix(),
            1_600_000_000
        );
    }
}

#[test]
fn copy_over_quota_copies_nothing() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    world.deliver(&store, "bob", "INBOX");
    let mut spec = world.spec("bob");
    spec.quota = QuotaLimits {
        messages: Some(3),
        ..QuotaLimits::default()
    };
    let account = store.account(&spec).unwrap();
    let inbox = account.open(&name("INBOX")).unwrap();
    assert!(matches!(
        inbox.copy(&uids(&[1, 2]), &name("Spam")),
        Err(StoreError::OverQuota)
    ));
    assert_eq!(account.status(&name("Spam")).unwrap().messages, 0);
    inbox.copy(&uids(&[1]), &name("Spam")).unwrap();
}

#[test]
fn move_takes_messages_from_one_to_the_other() {
    let world = World::new();
    let store = world.open();
    for _ in 0..3 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let trash = world.mailbox(&store, "bob", "Trash");
    inbox
        .store(
            &uids(&[1]),
            &change(FlagOperation::Add, &[Flag::Answered], &["k"]),
        )
        .unwrap();
    let bytes = text(&inbox, 1);
    inbox.move_to(&uids(&[1, 3]), &name("Trash")).unwrap();
    inbox.move_to(&uids(&[2]), &name("Trash")).unwrap();
    assert_eq!((listed(&inbox), listed(&trash)), (vec![], vec![1, 2, 3]));
    assert_eq!(text(&trash, 1), bytes);
    assert_eq!(
        flags(&trash, 1),
        (Flags::EMPTY.with(Flag::Answered), vec!["k".into()])
    );
    assert_eq!(world.account(&store, "bob").usage().unwrap().messages, 3);
    drop((inbox, trash));
    drop(store);
    let store = world.open();
    assert_eq!(listed(&world.mailbox(&store, "bob", "Trash")), [1, 2, 3]);
}

#[test]
fn recent_messages_are_claimed_once() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    let account = world.account(&store, "bob");
    assert_eq!(account.status(&name("INBOX")).unwrap().recent, 1);
    let inbox = account.open(&name("INBOX")).unwrap();
    assert_eq!(inbox.recent(false).unwrap(), uids(&[1]));
    assert_eq!(inbox.recent(true).unwrap(), uids(&[1]));
    assert_eq!(inbox.recent(true).unwrap(), uids(&[]));
    world.deliver(&store, "bob", "INBOX");
    assert_eq!(inbox.recent(false).unwrap(), uids(&[2]));
    assert_eq!(account.status(&name("INBOX")).unwrap().recent, 1);
}

#[test]
fn flags_and_modseq_outlive_the_process() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    let inbox = world.mailbox(&store, "bob", "INBOX");
    inbox
        .store(
            &uids(&[1]),
            &change(FlagOperation::Add, &[Flag::Seen], &["x"]),
        )
        .unwrap();
    let modseq: ModSeq = inbox.snapshot().highest_modseq();
    drop(inbox);
    store.close().unwrap();
    drop(store);
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(
        flags(&inbox, 1),
        (Flags::EMPTY.with(Flag::Seen), vec!["x".into()])
    );
    assert_eq!(inbox.snapshot().highest_modseq(), modseq);
}

/// MOVE was refused between file systems; Trash on a cheaper disk could take nothing.
#[test]
fn move_between_file_systems_copies() {
    let (world, other) = (World::new(), World::in_memory());
    let store = world.open();
    for _ in 0..3 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    // Its folder lies on another disk.
    let mails = world.mails("bob", "Trash");
    let mut copy = std::process::Command::new("cp");
    let copied = copy.arg("-a").arg(mails.join(".")).arg(other.dir.path());
    assert!(copied.status().unwrap().success());
    std::fs::remove_dir_all(&mails).unwrap();
    std::os::unix::fs::symlink(other.dir.path(), &mails).unwrap();
    let whole = text(&inbox, 3);
    let moved = inbox.move_to(&uids(&[1, 3]), &name("Trash")).unwrap();
    let pairs: Vec<_> = moved
        .pairs
        .iter()
        .map(|(a, b)| (a.value(), b.value()))
        .collect();
    let trash = world.mailbox(&store, "bob", "Trash");
    assert_eq!((listed(&inbox), listed(&trash).len()), (vec![2], 2));
    assert_eq!(text(&trash, pairs[1].1), whole);
    assert_eq!(world.account(&store, "bob").usage().unwrap().messages, 3);
}
