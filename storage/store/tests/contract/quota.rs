//! Quota by folder, and exact whoever changes what at once.

use std::sync::{Arc, Mutex};

use facteur_model::{AccountSpec, Guid, QuotaLimits, QuotaRules, Uid, UidSet, Usage};
use facteur_store::{QuotaCheck, Store, StoreError};

use crate::world::{World, batch, name, uids};

/// Bob with these rules.
fn bob(world: &World, rules: &[&str]) -> AccountSpec {
    let mut all = QuotaRules::default();
    for rule in rules {
        all.add(rule).unwrap();
    }
    AccountSpec {
        quota: all.limits(),
        ..world.spec("bob")
    }
}

fn append(
    world: &World,
    store: &Store,
    spec: &AccountSpec,
    mailbox: &str,
) -> Result<Uid, StoreError> {
    let mut append = world.append("bob", mailbox);
    append.account = spec.clone();
    append.quota = QuotaCheck::Strict;
    append.delivery = Guid::random().unwrap();
    let committed = store.commit(batch([append]))?;
    Ok(committed.appended.first().unwrap().uid)
}

fn is_full<T>(result: Result<T, StoreError>) -> bool {
    let full = matches!(result, Err(StoreError::OverQuota));
    if !full {
        result.map(drop).unwrap();
    }
    full
}

#[test]
fn folder_with_more_takes_what_others_refuse() {
    let world = World::new();
    let store = world.open();
    let spec = bob(&world, &["*:messages=2", "Trash:messages=+2"]);
    append(&world, &store, &spec, "INBOX").unwrap();
    append(&world, &store, &spec, "INBOX").unwrap();
    assert!(is_full(append(&world, &store, &spec, "INBOX")));
    append(&world, &store, &spec, "Trash").unwrap();
    let inbox = store.account(&spec).unwrap().open(&name("INBOX")).unwrap();
    assert!(is_full(inbox.copy(&uids(&[1]), &name("Spam"))));
    inbox.copy(&uids(&[1]), &name("Trash")).unwrap();
    assert!(is_full(inbox.copy(&uids(&[1]), &name("Trash"))));
    // A full account can always be cleared out.
    inbox.move_to(&uids(&[1, 2]), &name("Trash")).unwrap();
}

#[test]
fn ignored_folder_is_not_counted_and_the_way_out_of_it_is_limited() {
    let world = World::new();
    let store = world.open();
    let spec = bob(&world, &["*:messages=2", "Spam:ignore"]);
    for _ in 0..5 {
        append(&world, &store, &spec, "Spam").unwrap();
    }
    let account = store.account(&spec).unwrap();
    assert_eq!(account.usage().unwrap(), Usage::default());
    let spam = account.open(&name("Spam")).unwrap();
    assert!(is_full(spam.move_to(&uids(&[1, 2, 3]), &name("INBOX"))));
    assert!(is_full(spam.copy(&uids(&[1, 2, 3]), &name("INBOX"))));
    spam.move_to(&uids(&[1, 2]), &name("INBOX")).unwrap();
    assert_eq!(account.usage().unwrap().messages, 2);
    assert_eq!(store.usage_at_hand(&spec.id).unwrap().messages, 2);
}

#[test]
fn each_change_is_told_with_what_was_before() {
    let world = World::new();
    let store = world.open();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    store.on_usage_changed(Arc::new(move |change| {
        let line = (change.before.messages, change.now.messages);
        telling.lock().unwrap().push(line);
    }));
    let spec = bob(&world, &["Spam*:ignore"]);
    append(&world, &store, &spec, "INBOX").unwrap();
    append(&world, &store, &spec, "Spam").unwrap();
    let account = store.account(&spec).unwrap();
    let inbox = account.open(&name("INBOX")).unwrap();
    inbox.copy(&uids(&[1]), &name("Trash")).unwrap();
    inbox.move_to(&uids(&[1]), &name("Spam")).unwrap();
    account.rename(&name("Trash"), &name("Spam/old")).unwrap();
    account.rename(&name("Spam/old"), &name("Kept")).unwrap();
    account.delete(&name("Kept")).unwrap();
    let spam = account.open(&name("Spam")).unwrap();
    spam.expunge(&uids(&[1]), true).unwrap();
    // First what it held when it was opened.
    let expected = [(0, 0), (0, 1), (1, 2), (2, 1), (1, 0), (0, 1), (1, 0)];
    assert_eq!(*told.lock().unwrap(), expected);
    // Other rules count other folders: that is no change, and what comes next begins from there.
    told.lock().unwrap().clear();
    let spec = bob(&world, &["INBOX:ignore"]);
    append(&world, &store, &spec, "Spam").unwrap();
    append(&world, &store, &spec, "Spam").unwrap();
    assert_eq!(*told.lock().unwrap(), [(2, 3)]);
}

#[test]
fn recount_finds_what_is_there_and_tells_it() {
    let world = World::new();
    let store = world.open();
    let spec = bob(&world, &["Spam:ignore"]);
    for mailbox in ["INBOX", "INBOX", "Spam", "Trash"] {
        append(&world, &store, &spec, mailbox).unwrap();
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    store.on_usage_changed(Arc::new(move |change| {
        telling.lock().unwrap().push(change.now.messages);
    }));
    let account = store.account(&spec).unwrap();
    let usage = account.usage().unwrap();
    let recount = account.recount().unwrap();
    assert_eq!(
        (recount.before, recount.now, recount.corrected),
        (usage, usage, 0)
    );
    assert_eq!(usage.messages, 3);
    assert_eq!(*told.lock().unwrap(), [3]);
}

/// Many at the limit at once: deliveries, copies, moves and expunges.
#[test]
fn limit_holds_whoever_changes_what_at_once() {
    const MESSAGES: u64 = 20;
    let world = World::in_memory();
    let store = world.open();
    let spec = bob(&world, &["*:messages=20", "Trash:messages=+5"]);
    let most = Arc::new(Mutex::new(Usage::default()));
    let last = Arc::new(Mutex::new(Usage::default()));
    let (telling, latest) = (Arc::clone(&most), Arc::clone(&last));
    store.on_usage_changed(Arc::new(move |change| {
        let mut latest = latest.lock().unwrap();
        assert_eq!(*latest, change.before, "told in order");
        *latest = change.now;
        let mut most = telling.lock().unwrap();
        most.messages = most.messages.max(change.now.messages);
    }));
    let every = |mailbox: &facteur_store::Mailbox| -> UidSet {
        mailbox
            .snapshot()
            .iter()
            .map(|message| message.uid)
            .collect()
    };
    let (world, spec, store) = (&world, &spec, &store);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..50 {
                    is_full(append(world, store, spec, "INBOX"));
                }
            });
        }
        for to in ["Spam", "Trash"] {
            scope.spawn(move || {
                let inbox = store.account(spec).unwrap().open(&name("INBOX")).unwrap();
                for _ in 0..50 {
                    match inbox.copy(&every(&inbox), &name(to)) {
                        Ok(_) | Err(StoreError::OverQuota | StoreError::Gone) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        for from in ["INBOX", "Spam", "Trash"] {
            scope.spawn(move || {
                let mailbox = store.account(spec).unwrap().open(&name(from)).unwrap();
                for _ in 0..40 {
                    mailbox.expunge(&every(&mailbox), true).unwrap();
                }
            });
        }
    });
    while !is_full(append(world, store, spec, "INBOX")) {}
    let account = store.account(spec).unwrap();
    let usage = account.usage().unwrap();
    assert!(usage.messages >= MESSAGES);
    assert_eq!(*last.lock().unwrap(), usage);
    let most = most.lock().unwrap().messages;
    assert!((MESSAGES..=MESSAGES + 5).contains(&most), "{most}");
    let recount = account.recount().unwrap();
    assert_eq!(
        (recount.before, recount.now, recount.corrected),
        (usage, usage, 0)
    );
    let limits: &QuotaLimits = &spec.quota;
    assert!(!limits.is_unlimited());
}
