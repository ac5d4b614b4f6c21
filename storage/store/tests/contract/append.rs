//! Appends, quota, delivery GUIDs, batches.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use facteur_disk::Disk;
use facteur_model::{Flag, Flags, Guid, Keyword, QuotaLimits, Usage};
use facteur_store::{Batch, Body, MemoryEntry, QuotaCheck, StoreError};

use crate::world::{MAIL, World, batch, entry, listed, name, text, uid_of};

fn whole() -> Vec<u8> {
    [&b"Return-Path: <>\r\n"[..], MAIL].concat()
}

#[test]
fn append_is_read_back_byte_for_byte() {
    let world = World::new();
    let store = world.open();
    let mut append = world.append("bob", "INBOX");
    append.flags = Flags::EMPTY.with(Flag::Seen);
    append.keywords = vec![Keyword::parse("$Work").unwrap()];
    let committed = store.commit(batch([append])).unwrap();
    assert_eq!(committed.appended[0].size, whole().len() as u64);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(committed.appended[0].uid_validity, inbox.uid_validity());
    let snapshot = inbox.snapshot();
    let message = snapshot.by_sequence(1).unwrap();
    assert!(message.flags.contains(Flag::Seen));
    assert_eq!(snapshot.keywords(message.keywords)[0].as_str(), "$Work");
    assert_eq!(message.internal_date.unix(), 1_600_000_000);
    assert_eq!(message.size, whole().len() as u64);
    assert_eq!(text(&inbox, 1), whole());
    let mut seen = 0;
    inbox
        .summaries(&crate::world::uids(&[1]), &mut |uid, summary| {
            assert_eq!(uid.value(), 1);
            let envelope = String::from_utf8(summary.envelope.clone()).unwrap();
            assert!(envelope.contains("hello"), "{envelope}");
            assert!(
                summary.body_structure.starts_with(b"(\"text\" \"plain\"")
                    || summary.body_structure.starts_with(b"(\"TEXT\" \"PLAIN\"")
            );
            seen += 1;
        })
        .unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn append_into_an_open_mailbox_wakes_its_watchers() {
    let world = World::new();
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let before = inbox.snapshot();
    let woken = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&woken);
    let watching = inbox.subscribe(Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    world.deliver(&store, "bob", "INBOX");
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    let changes = before.changes_to(&inbox.snapshot());
    assert_eq!((changes.added, changes.expunged.len()), (1, 0));
    drop(watching);
    world.deliver(&store, "bob", "INBOX");
    assert_eq!(
        woken.load(Ordering::SeqCst),
        1,
        "dropped watchers are not woken"
    );
}

#[test]
fn append_into_a_missing_mailbox_is_refused_or_makes_it() {
    let world = World::new();
    let store = world.open();
    let mut append = world.append("bob", "Lists/rust");
    let refused = store.commit(batch([append.clone()])).unwrap_err();
    assert!(matches!(refused, StoreError::NoMailbox(_)), "{refused}");
    append.create = true;
    store.commit(batch([append])).unwrap();
    let account = world.account(&store, "bob");
    assert!(account.has_mailbox(&name("Lists/rust")).unwrap());
    assert!(
        account
            .subscriptions()
            .unwrap()
            .contains(&name("Lists/rust"))
    );
}

#[test]
fn usage_is_at_hand_of_an_account_in_use_only() {
    let world = World::new();
    let store = world.open();
    let id = world.spec("bob").id;
    assert_eq!(store.usage_at_hand(&id), None);
    world.deliver(&store, "bob", "INBOX");
    let usage = world.account(&store, "bob").usage().unwrap();
    assert_eq!(store.usage_at_hand(&id), Some(usage));
    assert_eq!(usage.messages, 1);
}

#[test]
fn a_delivery_committed_twice_is_there_once() {
    let world = World::new();
    let store = world.open();
    let mut append = world.append("bob", "INBOX");
    let first = store.commit(batch([append.clone()])).unwrap();
    append.repeated = true;
    let second = store.commit(batch([append.clone()])).unwrap();
    assert_eq!(first.appended, second.appended);
    let twins = store.commit(batch([append.clone(), append])).unwrap();
    assert_eq!(uid_of(&twins, 0), 1);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(listed(&inbox), [1]);
    // Expunged, it still was delivered.
    inbox.expunge(&crate::world::uids(&[1]), true).unwrap();
    assert_eq!(
        world.account(&store, "bob").usage().unwrap(),
        Usage::default()
    );
}

#[test]
fn quota_when_strict_is_kept_to_the_byte() {
    let world = World::new();
    let store = world.open();
    let size = whole().len() as u64;
    let mut append = world.append("bob", "INBOX");
    append.quota = QuotaCheck::Strict;
    append.account.quota = QuotaLimits {
        bytes: Some(2 * size - 1),
        ..QuotaLimits::default()
    };
    store.commit(batch([append.clone()])).unwrap();
    append.delivery = Guid::random().unwrap();
    let refused = store.commit(batch([append.clone()])).unwrap_err();
    assert!(matches!(refused, StoreError::OverQuota), "{refused}");
    append.account.quota.bytes = Some(2 * size);
    store.commit(batch([append.clone()])).unwrap();
    append.account.quota = QuotaLimits {
        messages: Some(2),
        ..QuotaLimits::default()
    };
    append.delivery = Guid::random().unwrap();
    assert!(matches!(
        store.commit(batch([append.clone()])),
        Err(StoreError::OverQuota)
    ));
    append.quota = QuotaCheck::Ignore;
    store.commit(batch([append])).unwrap();
    let usage = world.account(&store, "bob").usage().unwrap();
    assert_eq!(
        usage,
        Usage {
            bytes: 3 * size,
            messages: 3
        }
    );
}

#[test]
fn a_batch_is_done_whole() {
    let world = World::new();
    let store = world.open();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (spooled, usage) = (Arc::clone(&told), Arc::clone(&told));
    store.on_spooled(Arc::new(move |entries| {
        spooled
            .lock()
            .unwrap()
            .push(format!("spooled {}", entries.len()));
    }));
    store.on_usage_changed(Arc::new(move |change| {
        // When it is opened it tells what it holds, which is nothing.
        if change.now != change.before {
            let line = format!("{} {}", change.account.id, change.now.messages);
            usage.lock().unwrap().push(line);
        }
    }));
    let body = Body::Memory(MAIL.into());
    let remote = entry("far@remote.test");
    let key = [7; 32];
    let done = Batch {
        appends: vec![
            world.append("carol", "INBOX"),
            world.append("bob", "INBOX"),
            world.append("bob", "Spam"),
            world.append("bob", "INBOX"),
        ],
        memory: vec![MemoryEntry {
            account: world.spec("bob"),
            key,
            expires_at: i64::MAX,
        }],
        spool: vec![(remote.clone(), body)],
        updates: Vec::new(),
    };
    let committed = store.commit(done).unwrap();
    assert_eq!(
        (0..4).map(|n| uid_of(&committed, n)).collect::<Vec<_>>(),
        [1, 1, 1, 2]
    );
    assert!(world.account(&store, "bob").remembers(&key, 5).unwrap());
    assert!(!world.account(&store, "carol").remembers(&key, 5).unwrap());
    assert_eq!(
        store.spool().entry(&remote.queue_id).unwrap().recipients,
        remote.recipients
    );
    assert_eq!(
        *told.lock().unwrap(),
        ["bob@example.test 3", "carol@example.test 1", "spooled 1"]
    );
}

#[test]
fn a_batch_that_cannot_be_done_whole_leaves_nothing() {
    let world = World::new();
    let store = world.open();
    let remote = entry("far@remote.test");
    let failed = Batch {
        appends: vec![
            world.append("bob", "INBOX"),
            world.append("carol", "Missing"),
        ],
        spool: vec![(remote.clone(), Body::Memory(MAIL.into()))],
        ..Batch::default()
    };
    assert!(matches!(
        store.commit(failed),
        Err(StoreError::NoMailbox(_))
    ));
    assert_eq!(listed(&world.mailbox(&store, "bob", "INBOX")), [0u32; 0]);
    assert!(store.spool().entry(&remote.queue_id).is_err());
}

#[test]
fn a_large_body_is_staged_in_a_file_and_stored_from_there() {
    let world = World::new();
    let store = world.open();
    let mut staging = store.stage();
    let mut expected = b"Subject: large\r\n\r\n".to_vec();
    for number in 0..20_000 {
        writeln!(expected, "line {number}\r").unwrap();
    }
    for chunk in expected.chunks(1000) {
        staging.write(chunk).unwrap();
    }
    let body = staging.finish().unwrap();
    assert!(matches!(body, Body::File(_)));
    let mut appends = vec![world.append("bob", "INBOX"), world.append("carol", "INBOX")];
    for append in &mut appends {
        append.body = body.clone();
        append.prefix = "X: y\r\n".into();
    }
    store.commit(batch(appends)).unwrap();
    for who in ["bob", "carol"] {
        let inbox = world.mailbox(&store, who, "INBOX");
        assert_eq!(text(&inbox, 1), [b"X: y\r\n", &expected[..]].concat());
    }
}

#[test]
fn deliveries_at_once_all_arrive_once() {
    let world = World::new();
    let store = world.open();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (world, store) = (&world, store.clone());
            scope.spawn(move || {
                for _ in 0..10 {
                    let who = ["alice", "bob"][thread % 2];
                    let both = [world.append(who, "INBOX"), world.append("carol", "INBOX")];
                    if thread < 4 {
                        store.commit(batch(both)).unwrap();
                    } else {
                        world.deliver(&store, who, "INBOX");
                    }
                }
            });
        }
    });
    for (who, count) in [("alice", 40), ("bob", 40), ("carol", 40)] {
        let inbox = world.mailbox(&store, who, "INBOX");
        assert_eq!(listed(&inbox), (1..=count).collect::<Vec<_>>());
        assert_eq!(
            world.account(&store, who).usage().unwrap().messages,
            u64::from(count)
        );
    }
}

#[test]
fn a_batch_for_many_gives_each_what_is_its_own() {
    let world = World::in_memory();
    let store = world.open_on(Disk::real().without_syncs()).unwrap();
    let names: Vec<String> = (0..120).map(|at| format!("user{at}")).collect();
    let mut appends = Vec::new();
    // What each gets does not stand together.
    for mailbox in ["INBOX", "Spam", "INBOX"] {
        for (at, who) in names.iter().enumerate() {
            let mut append = world.append(who, mailbox);
            append.create = true;
            append.prefix = format!("T: {at}\r\n").into();
            append.keywords = vec![Keyword::parse(&format!("k{at}")).unwrap()];
            appends.push(append);
        }
    }
    let key = |at: usize| [u8::try_from(at).unwrap(); 32];
    let memory = names.iter().enumerate().map(|(at, who)| MemoryEntry {
        account: world.spec(who),
        key: key(at),
        expires_at: 2_000_000_000,
    });
    let committed = store
        .commit(Batch {
            appends,
            memory: memory.collect(),
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(uid_of(&committed, 239), 1);
    assert_eq!(uid_of(&committed, 240), 2);
    for (at, who) in names.iter().enumerate() {
        for (mailbox, count) in [("INBOX", 2), ("Spam", 1)] {
            let mailbox = world.mailbox(&store, who, mailbox);
            assert_eq!(listed(&mailbox), (1..=count).collect::<Vec<_>>());
            assert!(text(&mailbox, count).starts_with(format!("T: {at}\r\n").as_bytes()));
            let snapshot = mailbox.snapshot();
            let state = snapshot.by_sequence(count).unwrap();
            let keywords = snapshot.keywords(state.keywords);
            assert_eq!(keywords[0].as_str(), format!("k{at}"));
        }
        let account = world.account(&store, who);
        assert!(account.remembers(&key(at), 1_900_000_000).unwrap());
        assert!(
            !account
                .remembers(&key((at + 1) % 120), 1_900_000_000)
                .unwrap()
        );
    }
}
