//! What Dovecot's index knows is taken over, once.

use std::path::Path;

use facteur_model::{AccountSpec, FlagOperation, Flags, MailboxName, Uid, UidSet};
use facteur_store::{FlagChange, Store};

use crate::doveadm::{Dovecot, FOLDERS, ShownMailbox, ours};

/// Never compacted: everything is in the log.
const ONLY_LOGS: &str =
    "mail_index_rewrite_min_log_bytes = 100M\nmail_index_rewrite_max_log_bytes = 200M";
/// Compacted and rotated all the time.
const COMPACTED: &str = "mail_index_rewrite_min_log_bytes = 1k\nmail_index_rewrite_max_log_bytes = 4k\n\
     mail_index_log_rotate_min_size = 2k\nmail_index_log_rotate_max_size = 4k\nmail_index_log_rotate_min_age = 0";

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn expected(dovecot: &Dovecot, mailbox: &str) -> ShownMailbox {
    dovecot.shown(&dovecot.location(), mailbox)
}

fn taken_over(settings: &'static str) {
    let Some(dovecot) = Dovecot::new(settings) else {
        return;
    };
    dovecot.live(2500);
    let expected = FOLDERS.map(|mailbox| expected(&dovecot, mailbox));
    assert!(expected[2].messages.len() > 2500);
    let texts: Vec<Vec<u8>> = (1..=5).map(|uid| dovecot.text(FOLDERS[1], uid)).collect();
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    for (mailbox, expected) in FOLDERS.iter().zip(&expected) {
        assert_eq!(
            ours(&account, &dovecot.home, mailbox),
            *expected,
            "{mailbox}"
        );
    }
    let subscribed = account.subscriptions().unwrap();
    assert_eq!(subscribed.len(), 2);
    assert!(subscribed.contains(&name(FOLDERS[1])) && subscribed.contains(&name(FOLDERS[2])));
    let mailbox = account.open(&name(FOLDERS[1])).unwrap();
    for (state, expected) in mailbox.snapshot().iter().zip(texts) {
        let reader = mailbox.read(state.uid).unwrap();
        let mut text = vec![0; usize::try_from(reader.size()).unwrap()];
        reader.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(text, expected, "UID {}", state.uid);
    }
    drop((account, mailbox));
    store.close().unwrap();
    drop(store);
    // A second start finds the same.
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    for (mailbox, expected) in FOLDERS.iter().zip(&expected) {
        assert_eq!(
            ours(&account, &dovecot.home, mailbox),
            *expected,
            "{mailbox}"
        );
    }
}

#[test]
fn a_tree_whose_indexes_are_logs_only_is_taken_over() {
    taken_over(ONLY_LOGS);
}

#[test]
fn a_tree_whose_indexes_were_compacted_and_rotated_is_taken_over() {
    taken_over(COMPACTED);
}

/// Our index is lost later: Dovecot's is older than what was changed since.
#[test]
fn an_index_that_is_lost_later_is_not_replaced_by_dovecots() {
    let Some(dovecot) = Dovecot::new("") else {
        return;
    };
    dovecot.live(8);
    let before = expected(&dovecot, "INBOX");
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    let mailbox = account.open(&name("INBOX")).unwrap();
    let all: UidSet = mailbox.snapshot().iter().map(|state| state.uid).collect();
    let change = FlagChange {
        operation: FlagOperation::Replace,
        flags: Flags::EMPTY,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    mailbox.store(&all, &change).unwrap();
    drop((account, mailbox));
    store.close().unwrap();
    drop(store);
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = std::fs::remove_file(dovecot.home.join(file));
    }
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    let after = ours(&account, &dovecot.home, "INBOX");
    assert_eq!(after.uid_validity, before.uid_validity);
    assert_eq!(after.messages.len(), before.messages.len());
    assert!(
        after
            .messages
            .values()
            .all(|(flags, _, _)| flags.is_empty())
    );
    drop(account);
    store.close().unwrap();
    drop(store);
    // The other way round: our index says that the mailbox is ours. UIDs may have been given since, so
    // that it is another one to clients now.
    let identity = dovecot.home.join("mailboxes/INBOX/uidvalidity");
    std::fs::remove_file(identity).unwrap();
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    let after = ours(&account, &dovecot.home, "INBOX");
    assert_ne!(after.uid_validity, before.uid_validity);
    assert_ne!(after.guid, before.guid);
    assert_eq!(after.messages.len(), before.messages.len());
}

/// Killed at any call while it takes over: the next start finds what Dovecot knew all the same.
#[test]
fn a_tree_is_taken_over_whenever_the_process_is_killed() {
    killed_at_every_call(false);
}

/// The account was ours before Dovecot's folders came into it.
#[test]
fn folders_are_taken_over_whenever_the_process_is_killed() {
    killed_at_every_call(true);
}

fn killed_at_every_call(was_ours: bool) {
    let Some(dovecot) = Dovecot::new("") else {
        return;
    };
    dovecot.doveadm(&["save", "-m", "INBOX"], b"Subject: one\r\n\r\none\r\n");
    let flags = ["flags", "add", "\\Seen $Label1", "mailbox", "INBOX", "all"];
    dovecot.doveadm(&flags, b"");
    dovecot.doveadm(&["mailbox", "create", "A/b"], b"");
    dovecot.doveadm(&["copy", "A/b", "mailbox", "INBOX", "all"], b"");
    let folders: &[&str] = if was_ours {
        &["A/b"]
    } else {
        &["INBOX", "A/b"]
    };
    let expected: Vec<_> = folders.iter().map(|f| expected(&dovecot, f)).collect();
    let mut calls = 0;
    loop {
        let home = dovecot.dir().join(format!("killed{calls}"));
        let spec = AccountSpec {
            home: home.clone(),
            ..dovecot.spec()
        };
        if was_ours {
            let store = dovecot.store();
            drop(store.account(&spec).unwrap());
            store.close().unwrap();
            copy(&dovecot.home.join("mailboxes/A"), &home.join("mailboxes/A"));
        } else {
            copy(&dovecot.home, &home);
        }
        let (disk, faults) = facteur_disk::Disk::crashing(calls);
        let done = Store::open_on(disk, dovecot.options())
            .and_then(|store| store.account(&spec).map(drop))
            .is_ok();
        let struck = faults.struck();
        let store = dovecot.store();
        let account = store.account(&spec).unwrap();
        for (mailbox, expected) in folders.iter().zip(&expected) {
            let ours = ours(&account, &home, mailbox);
            assert_eq!(ours, *expected, "{mailbox}, call {calls}");
        }
        drop(account);
        store.close().unwrap();
        std::fs::remove_dir_all(&home).unwrap();
        if done && !struck {
            break;
        }
        calls += 1;
    }
    assert!(calls > 40, "{calls} calls only");
}

fn copy(from: &Path, to: &Path) {
    let mut copy = std::process::Command::new("cp");
    let copied = copy.arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[test]
fn messages_that_only_one_of_the_two_knows_are_those_of_the_folder() {
    let Some(dovecot) = Dovecot::new("") else {
        return;
    };
    dovecot.live(8);
    let expected = expected(&dovecot, "INBOX");
    let mails = dovecot.home.join("mailboxes/INBOX/dbox-Mails");
    std::fs::copy(mails.join("u.2"), mails.join("u.99")).unwrap();
    std::fs::remove_file(mails.join("u.1")).unwrap();
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    let mut shown = ours(&account, &dovecot.home, "INBOX");
    assert_eq!(shown.uid_next, 100);
    let (flags, _, _) = shown.messages.remove(&99).unwrap();
    assert!(flags.is_empty());
    let mut left = expected.messages;
    left.remove(&1);
    assert_eq!(shown.messages, left);
    assert_eq!(shown.uid_validity, expected.uid_validity);
    let status = account.status(&name("INBOX")).unwrap();
    let unseen = shown
        .messages
        .values()
        .filter(|(flags, _, _)| !flags.iter().any(|f| f == "\\Seen"));
    assert_eq!(status.unseen as usize, unseen.count() + 1);
    assert_eq!(status.messages as usize, shown.messages.len() + 1);
}

/// What cannot be read is passed over, and the mail is there all the same.
#[test]
fn a_damaged_index_costs_the_flags_only() {
    let Some(dovecot) = Dovecot::new(ONLY_LOGS) else {
        return;
    };
    dovecot.live(8);
    let expected = expected(&dovecot, "INBOX");
    let mails = dovecot.home.join("mailboxes/INBOX/dbox-Mails");
    let log = std::fs::read(mails.join("dovecot.index.log")).unwrap();
    std::fs::write(
        mails.join("dovecot.index.log"),
        [&[9][..], &log[1..]].concat(),
    )
    .unwrap();
    let other = dovecot
        .home
        .join("mailboxes/Archive/dbox-Mails/dovecot.index.log");
    let log = std::fs::read(&other).unwrap();
    std::fs::write(&other, &log[..log.len() - 6]).unwrap();
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    let shown = ours(&account, &dovecot.home, "INBOX");
    assert_ne!(shown.uid_validity, 0);
    let uids = |messages: &std::collections::BTreeMap<u32, _>| {
        messages.keys().copied().collect::<Vec<_>>()
    };
    assert_eq!(uids(&shown.messages), uids(&expected.messages));
    assert!(
        shown
            .messages
            .values()
            .all(|(flags, _, _)| flags.is_empty())
    );
    // A log that is cut gives what stands before.
    let shown = ours(&account, &dovecot.home, "Archive");
    assert!(
        shown
            .messages
            .values()
            .any(|(flags, _, _)| !flags.is_empty())
    );
    let mailbox = account.open(&name("Archive")).unwrap();
    assert!(mailbox.read(Uid::new(1).unwrap()).is_ok());
}
