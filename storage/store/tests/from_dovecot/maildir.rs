//! A Maildir that Dovecot and our store use in turn: both see the same, always.

use std::collections::BTreeMap;

use facteur_model::{Flag, FlagOperation, Keyword, MailFormat, MailboxName, Uid, UidSet};
use facteur_store::{Account, Append, Batch, Body, CopyOutcome, FlagChange, QuotaCheck, Store};

use crate::doveadm::{Dovecot, ShownMailbox, ours};

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn uids(list: impl IntoIterator<Item = u32>) -> UidSet {
    list.into_iter().filter_map(Uid::new).collect()
}

fn flags(operation: FlagOperation, flags: &[Flag], keywords: &[&str]) -> FlagChange {
    FlagChange {
        operation,
        flags: flags.iter().copied().collect(),
        keywords: keywords.iter().filter_map(|k| Keyword::parse(k)).collect(),
        unchanged_since: None,
    }
}

/// A message's text and its GUID, by UID.
fn contents(dovecot: &Dovecot, mailbox: &str) -> BTreeMap<u32, (Vec<u8>, String)> {
    let shown = dovecot.shown(&dovecot.location(), mailbox);
    let guid = |uid: &str| {
        let query = [
            "-f", "flow", "fetch", "guid", "mailbox", mailbox, "uid", uid,
        ];
        String::from_utf8(dovecot.doveadm(&query, b"")).unwrap()
    };
    let uids = shown.messages.keys();
    uids.map(|uid| (*uid, (dovecot.text(mailbox, *uid), guid(&uid.to_string()))))
        .collect()
}

fn text(account: &Account, mailbox: &str, uid: u32) -> Vec<u8> {
    let mailbox = account.open(&name(mailbox)).unwrap();
    let reader = mailbox.read(Uid::new(uid).unwrap()).unwrap();
    let mut text = vec![0; usize::try_from(reader.size()).unwrap()];
    reader.read_exact_at(&mut text, 0).unwrap();
    text
}

/// What both show of every folder.
fn compare(dovecot: &Dovecot, mailboxes: &[&str], when: &str) -> Vec<ShownMailbox> {
    let shown = mailboxes.iter();
    let shown: Vec<_> = shown
        .map(|mailbox| dovecot.shown(&dovecot.location(), mailbox))
        .collect();
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    for (mailbox, shown) in mailboxes.iter().zip(&shown) {
        assert_eq!(
            ours(&account, &dovecot.home, mailbox),
            *shown,
            "{when}: {mailbox}"
        );
    }
    drop(account);
    store.close().unwrap();
    shown
}

fn deliver(dovecot: &Dovecot, store: &Store, mailbox: &str, flags: &[Flag], keywords: &[&str]) {
    let append = Append {
        account: dovecot.spec(),
        mailbox: name(mailbox),
        create: true,
        prefix: bytes::Bytes::from_static(b"Return-Path: <>\r\n"),
        body: Body::Memory(bytes::Bytes::from_static(b"Subject: new\r\n\r\nbody\r\n")),
        flags: flags.iter().copied().collect(),
        keywords: keywords.iter().filter_map(|k| Keyword::parse(k)).collect(),
        internal_date: facteur_model::InternalDate::from_unix(1_400_000_000),
        delivery: facteur_model::Guid::random().unwrap(),
        repeated: false,
        quota: QuotaCheck::Ignore,
    };
    store
        .commit(Batch {
            appends: vec![append],
            ..Batch::default()
        })
        .unwrap();
}

/// The folders after [`change_everything`].
const NAMES: [&str; 7] = [
    "INBOX",
    "Renamed/below",
    "Archive",
    "dot",
    "Never/used",
    "Made/by us",
    "Empty",
];

/// Delivers, sets flags, copies, moves, expunges, makes and renames folders. Says what was copied, and
/// what our sessions see.
fn change_everything(
    dovecot: &Dovecot,
    before: &BTreeMap<u32, (Vec<u8>, String)>,
) -> (CopyOutcome, Vec<ShownMailbox>) {
    let folders = dovecot.folders();
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    assert_eq!(account.subscriptions().unwrap().len(), 2);
    for (uid, (expected, _)) in before {
        assert_eq!(text(&account, "INBOX", *uid), *expected, "UID {uid}");
    }
    deliver(dovecot, &store, "INBOX", &[], &[]);
    deliver(dovecot, &store, "INBOX", &[Flag::Seen], &["work", "fresh"]);
    deliver(dovecot, &store, "Made/by us", &[Flag::Flagged], &["one"]);
    let inbox = account.open(&name("INBOX")).unwrap();
    let add = flags(
        FlagOperation::Add,
        &[Flag::Answered],
        &["other", "$Forwarded"],
    );
    inbox.store(&uids([2, 3]), &add).unwrap();
    let remove = flags(FlagOperation::Remove, &[Flag::Seen], &["work"]);
    inbox.store(&uids([1]), &remove).unwrap();
    let copied = inbox.copy(&uids([1, 2]), &name(folders[1])).unwrap();
    inbox.move_to(&uids([3]), &name(folders[2])).unwrap();
    let archive = account.open(&name(folders[2])).unwrap();
    archive.expunge(&uids(20..40), true).unwrap();
    account.create(&name("Empty")).unwrap();
    account.rename(&name(folders[1]), &name(NAMES[1])).unwrap();
    account.set_subscribed(&name("Made/by us"), true).unwrap();
    let shown = NAMES.iter();
    let shown = shown
        .map(|mailbox| ours(&account, &dovecot.home, mailbox))
        .collect();
    drop((inbox, archive, account));
    store.close().unwrap();
    (copied, shown)
}

#[test]
fn a_maildir_goes_from_dovecot_to_us_and_back_and_both_see_the_same() {
    let Some(dovecot) = Dovecot::with(MailFormat::Maildir, "") else {
        return;
    };
    dovecot.live(300);
    let folders = dovecot.folders();
    let before = contents(&dovecot, "INBOX");
    let first = compare(&dovecot, &folders, "at first");
    assert!(first[2].messages.len() > 250);
    let flagged = |shown: &ShownMailbox, flag: &str| {
        let messages = shown.messages.values();
        messages
            .filter(|(flags, ..)| flags.iter().any(|f| f == flag))
            .count()
    };
    assert!(flagged(&first[0], "$Forwarded") == 3 && flagged(&first[1], "NonJunk") == 2);

    let (copied, shown) = change_everything(&dovecot, &before);
    let names = NAMES;
    for (mailbox, ours) in names.iter().zip(&shown) {
        let theirs = dovecot.shown(&dovecot.location(), mailbox);
        assert_eq!(theirs, *ours, "{mailbox}");
    }
    let after = contents(&dovecot, "INBOX");
    assert_eq!(
        (after.len(), after.get(&1)),
        (before.len() + 1, before.get(&1))
    );
    // A copy has the GUID of its original.
    let copies = contents(&dovecot, "Renamed/below");
    for (from, to) in copied.pairs {
        assert_eq!(copies[&to.value()], before[&from.value()], "{to}");
    }
    let subscribed = dovecot.doveadm(&["mailbox", "list", "-s"], b"");
    let subscribed = String::from_utf8(subscribed).unwrap();
    assert!(
        subscribed.lines().any(|line| line == "Made/by us"),
        "{subscribed}"
    );

    // Dovecot goes on, and we after it.
    dovecot.doveadm(
        &[
            "flags",
            "add",
            "\\Flagged late",
            "mailbox",
            "INBOX",
            "uid",
            "1:2",
        ],
        b"",
    );
    dovecot.doveadm(&["copy", "INBOX", "mailbox", "Made/by us", "all"], b"");
    dovecot.doveadm(&["expunge", "mailbox", folders[2], "uid", "50:60"], b"");
    dovecot.doveadm(&["mailbox", "delete", "Empty"], b"");
    let last = compare(&dovecot, &names[..6], "in the end");
    assert_eq!(flagged(&last[0], "late"), 2);
    compare(&dovecot, &names[..6], "once more");
}

#[test]
fn an_index_that_is_lost_costs_a_maildir_nothing() {
    let Some(dovecot) = Dovecot::with(MailFormat::Maildir, "") else {
        return;
    };
    dovecot.live(20);
    let folders = dovecot.folders();
    let before = compare(&dovecot, &folders, "at first");
    std::fs::remove_file(dovecot.home.join("index.db")).unwrap();
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    for (mailbox, before) in folders.iter().zip(before) {
        let after = ours(&account, &dovecot.home, mailbox);
        // Numbers that may have been given are not given again.
        assert!(after.uid_next >= before.uid_next);
        let after = ShownMailbox {
            uid_next: before.uid_next,
            ..after
        };
        assert_eq!(after, before, "{mailbox}");
    }
}
