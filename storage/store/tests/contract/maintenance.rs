//! `facteur account sync|check|rebuild|optimize`, beside sessions and without any.

use std::{
    collections::BTreeMap,
    fs::{self, File, FileTimes},
    path::{Path, PathBuf},
};

use facteur_disk::Disk;
use facteur_model::{Flag, FlagOperation};
use facteur_store::{Checked, FindingKind, Mailbox, Store, StoreError};

use crate::world::{MAIL, World, batch, change, listed, name, text, uids};

/// Three messages of bob's, one of them expunged, one answered, with a keyword, and copied.
fn fill(world: &World, store: &Store) -> Mailbox {
    for _ in 0..3 {
        world.deliver(store, "bob", "INBOX");
    }
    let inbox = world.mailbox(store, "bob", "INBOX");
    mark(&inbox, &[2]);
    inbox.expunge(&uids(&[3]), true).unwrap();
    inbox.copy(&uids(&[2]), &name("Spam")).unwrap();
    inbox
}

fn mark(mailbox: &Mailbox, which: &[u32]) {
    let change = change(FlagOperation::Add, &[Flag::Answered], &["$Important"]);
    mailbox.store(&uids(which), &change).unwrap();
}

/// Which messages are answered and carry the keyword.
fn marked(mailbox: &Mailbox) -> Vec<u32> {
    let snapshot = mailbox.snapshot();
    let marked = snapshot.iter().filter(|message| {
        let keywords = snapshot.keywords(message.keywords);
        message.flags.contains(Flag::Answered) && keywords.len() == 1
    });
    marked.map(|message| message.uid.value()).collect()
}

pub(crate) fn check(world: &World, store: &Store) -> Checked {
    store
        .check_account(&world.spec("bob"), &mut |_, _| {})
        .unwrap()
}

pub(crate) fn rebuild(world: &World, store: &Store) -> facteur_store::Rebuilt {
    store
        .rebuild_account(&world.spec("bob"), &mut |_, _| {})
        .unwrap()
}

/// A closed store with bob's mail in it.
pub(crate) fn at_rest() -> World {
    let world = World::new();
    let store = world.open();
    fill(&world, &store);
    // Into index.db itself.
    store.sync_account(&world.spec("bob")).unwrap();
    store.close().unwrap();
    world
}

/// What lies below a folder, with its content.
fn all_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_of(&path));
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            found.insert(path, bytes);
        }
    }
    found
}

#[test]
fn check_of_a_sound_account_finds_nothing_and_changes_nothing() {
    let world = World::new();
    let store = world.open();
    let inbox = fill(&world, &store);
    let in_use = check(&world, &store);
    assert!(in_use.findings.is_empty(), "{in_use:?}");
    assert_eq!((in_use.mailboxes, in_use.messages), (3, 3));
    assert_eq!(
        in_use.octets,
        world.account(&store, "bob").usage().unwrap().bytes
    );
    drop(inbox);
    store.close().unwrap();
    drop(store);

    let store = world.open();
    let before = all_of(&world.home("bob"));
    assert_eq!(check(&world, &store), in_use);
    assert_eq!(all_of(&world.home("bob")), before);
}

#[test]
fn check_of_an_account_in_use_keeps_nobody_waiting_while_it_reads() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    let inbox = fill(&world, &store);
    // What reads the index, whatever it takes.
    faults.hold("index open");
    let before = faults.counts().get("index open").copied().unwrap_or(0);
    std::thread::scope(|scope| {
        let checking = scope.spawn(|| check(&world, &store));
        faults.await_calls("index open", before + 1);
        world.deliver(&store, "bob", "INBOX");
        mark(&inbox, &[1]);
        store.checkpoint().unwrap();
        assert_eq!(world.account(&store, "bob").folders().unwrap().len(), 3);
        faults.release("index open");
        let checked = checking.join().unwrap();
        assert!(checked.findings.is_empty(), "{checked:?}");
    });
    let left = fs::read_dir(world.home("bob")).unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name());
    assert!(left.all(|name| !name.to_string_lossy().starts_with("temp.")));
}

#[test]
fn account_that_was_never_used_is_left_alone() {
    let world = World::new();
    let store = world.open();
    let spec = world.spec("carol");
    assert!(check_of(&store, "carol", &world).never_used);
    assert!(store.sync_account(&spec).unwrap().never_used);
    assert!(store.optimize_account(&spec).unwrap().never_used);
    assert!(
        store
            .rebuild_account(&spec, &mut |_, _| {})
            .unwrap()
            .never_used
    );
    assert!(!spec.home.exists());
}

fn check_of(store: &Store, who: &str, world: &World) -> Checked {
    store
        .check_account(&world.spec(who), &mut |_, _| {})
        .unwrap()
}

#[test]
fn rebuild_beside_a_session_keeps_flags_and_numbers_and_sends_the_session_away() {
    let world = World::new();
    let store = world.open();
    let inbox = fill(&world, &store);
    let before: Vec<_> = inbox.snapshot().iter().copied().collect();
    let status = world.account(&store, "bob").status(&name("INBOX")).unwrap();
    let rebuilt = rebuild(&world, &store);
    assert_eq!((rebuilt.messages, rebuilt.flags_kept), (3, 3));
    assert!(!rebuilt.was_damaged);
    assert!(inbox.is_deleted());
    assert!(inbox.expunge(&uids(&[1]), true).is_err());

    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(inbox.snapshot().iter().copied().collect::<Vec<_>>(), before);
    assert_eq!(marked(&inbox), [2]);
    assert_eq!(marked(&world.mailbox(&store, "bob", "Spam")), [1]);
    let after = world.account(&store, "bob").status(&name("INBOX")).unwrap();
    assert_eq!(after.uid_validity, status.uid_validity);
    assert!(world.deliver(&store, "bob", "INBOX").value() > 3);
}

#[test]
fn rebuild_corrects_what_the_index_says_of_messages() {
    let world = at_rest();
    // Restored from a backup under a UID that is known, with another text.
    let mut append = world.append("carol", "INBOX");
    append.body = facteur_store::Body::Memory(
        String::from_utf8(MAIL.to_vec())
            .unwrap()
            .replace("hello", "goodbye, and more")
            .into_bytes()
            .into(),
    );
    let store = world.open();
    store.commit(batch([append])).unwrap();
    store.close().unwrap();
    drop(store);
    let theirs = world.file("carol", "INBOX", 1);
    fs::copy(theirs, world.file("bob", "INBOX", 2)).unwrap();
    let store = world.open();
    assert!(check(&world, &store).findings.has(FindingKind::SizeDiffers));
    rebuild(&world, &store);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(marked(&inbox), [2]);
    let mut subject = false;
    inbox
        .summaries(&uids(&[2]), &mut |_, summary| {
            subject = summary.envelope.windows(7).any(|w| w == b"goodbye");
        })
        .unwrap();
    assert!(subject);
    assert!(text(&inbox, 2).windows(7).any(|w| w == b"goodbye"));
}

#[test]
fn account_under_rebuild_answers_at_once_and_others_work() {
    let world = World::new();
    let store = world.open();
    fill(&world, &store);
    let mut told = Vec::new();
    let mut tried = 0;
    store
        .rebuild_account(&world.spec("bob"), &mut |done, total| {
            told.push((done, total));
            world.deliver(&store, "alice", "INBOX");
            let refused = store.commit(batch([world.append("bob", "INBOX")]));
            assert!(matches!(refused, Err(StoreError::Index(_))), "{refused:?}");
            let twice = store.rebuild_account(&world.spec("bob"), &mut |_, _| {});
            assert!(matches!(twice, Err(StoreError::Index(_))), "{twice:?}");
            tried += 1;
        })
        .unwrap();
    assert!(tried >= 2, "{told:?}");
    assert_eq!(told.last(), Some(&(3, 3)));
    world.deliver(&store, "bob", "INBOX");
}

/// Enough messages for an index of many pages; every second one is marked.
fn many(world: &World) -> u32 {
    let store = world.open();
    let count = 600;
    for _ in 0..count / 100 {
        let appends = (0..100).map(|_| world.append("bob", "INBOX"));
        store.commit(batch(appends)).unwrap();
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let second: Vec<u32> = (1..=count).filter(|n| n % 2 == 0).collect();
    mark(&inbox, &second);
    drop(inbox);
    store.sync_account(&world.spec("bob")).unwrap();
    store.close().unwrap();
    count
}

#[test]
fn flags_are_kept_wherever_a_damaged_index_can_still_be_read() {
    let world = World::in_memory();
    let count = many(&world);
    let index = world.home("bob").join("index.db");
    let whole = fs::read(&index).unwrap();
    let page = 4096;
    let (mut kept_some, mut lost_some) = (false, false);
    for at in 1..whole.len() / page {
        let mut damaged = whole.clone();
        damaged[at * page..(at + 1) * page].fill(0xA5);
        fs::write(&index, &damaged).unwrap();
        let store = world.open();
        let rebuilt = rebuild(&world, &store);
        let inbox = world.mailbox(&store, "bob", "INBOX");
        assert_eq!(listed(&inbox), (1..=count).collect::<Vec<_>>());
        let answered: Vec<u32> = inbox
            .snapshot()
            .iter()
            .filter(|message| message.flags.contains(Flag::Answered))
            .map(|message| message.uid.value())
            .collect();
        assert!(answered.iter().all(|uid| uid % 2 == 0));
        // Each one whose row could be read has its flags.
        let kept = rebuilt.flags_kept;
        assert!(answered.len() as u64 + 1 >= kept / 2, "{rebuilt:?}");
        kept_some |= rebuilt.was_damaged && !marked(&inbox).is_empty();
        lost_some |= rebuilt.flags_kept < count.into();
        let found = check(&world, &store).findings;
        assert!(found.is_empty(), "page {at}: {found:?}");
        drop(inbox);
        store.close().unwrap();
    }
    assert!(kept_some, "no damage left anything");
    assert!(lost_some, "no damage did any");
}

/// Nor does it lose anything: neither of a sound index nor of a damaged one.
#[test]
fn rebuild_that_is_killed_anywhere_leaves_an_account_that_opens() {
    for damage in [false, true] {
        let mut killed = 0;
        for call in 0.. {
            let world = World::in_memory();
            {
                let store = world.open();
                fill(&world, &store);
                store.close().unwrap();
            }
            if damage {
                fs::write(world.home("bob").join("index.db"), "no index").unwrap();
            }
            let (disk, faults) = Disk::crashing(call);
            if let Ok(store) = world.open_on(disk) {
                let _ = store.rebuild_account(&world.spec("bob"), &mut |_, _| {});
            }
            let through = !faults.struck();
            let store = world.open();
            let inbox = world.mailbox(&store, "bob", "INBOX");
            assert_eq!(listed(&inbox), [1, 2], "call {call}");
            if !damage {
                assert_eq!(marked(&inbox), [2], "call {call}");
            }
            assert!(world.deliver(&store, "bob", "INBOX").value() > 3);
            if through {
                break;
            }
            killed += 1;
        }
        println!("killed at {killed} calls, index damaged: {damage}");
        assert!(killed > 10);
    }
}

#[test]
fn account_that_was_synced_can_be_copied_while_the_store_runs() {
    let world = World::new();
    let store = world.open();
    drop(fill(&world, &store));
    let synced = store.sync_account(&world.spec("bob")).unwrap();
    assert!(!synced.in_use);
    // What another machine gets: the main file holds everything.
    let log = world.home("bob").join("index.db-wal");
    assert_eq!(fs::metadata(log).map_or(0, |log| log.len()), 0);
    let elsewhere = World::new();
    copy_all(&world.home("bob"), &elsewhere.home("bob"));
    let other = elsewhere.open();
    let inbox = elsewhere.mailbox(&other, "bob", "INBOX");
    assert_eq!((listed(&inbox), marked(&inbox)), (vec![1, 2], vec![2]));
    // And here all goes on.
    world.deliver(&store, "bob", "INBOX");
}

#[test]
fn account_in_use_is_synced_and_stays_in_use() {
    let world = World::new();
    let store = world.open();
    let inbox = fill(&world, &store);
    assert!(store.sync_account(&world.spec("bob")).unwrap().in_use);
    let elsewhere = World::new();
    copy_all(&world.home("bob"), &elsewhere.home("bob"));
    let other = elsewhere.open();
    let copied = elsewhere.mailbox(&other, "bob", "INBOX");
    assert_eq!((listed(&copied), marked(&copied)), (vec![1, 2], vec![2]));
    mark(&inbox, &[1]);
    assert_eq!(marked(&inbox), [1, 2]);
}

#[test]
fn optimize_works_beside_a_session_and_without_one() {
    let world = World::in_memory();
    let count = many(&world);
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let all: Vec<u32> = (1..=count - 10).collect();
    inbox.expunge(&uids(&all), true).unwrap();
    let optimized = store.optimize_account(&world.spec("bob")).unwrap();
    assert!(optimized.after < optimized.before, "{optimized:?}");
    assert_eq!(listed(&inbox).len(), 10);
    mark(&inbox, &[count]);
    drop(inbox);
    store.close().unwrap();
    drop(store);
    let store = world.open();
    store.optimize_account(&world.spec("bob")).unwrap();
    assert_eq!(listed(&world.mailbox(&store, "bob", "INBOX")).len(), 10);
    assert!(check(&world, &store).findings.is_empty());
}

/// Copies what is below a folder, folders without files too: they are mailboxes.
fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
            continue;
        }
        fs::write(&target, fs::read(entry.path()).unwrap()).unwrap();
        let modified = entry.metadata().unwrap().modified().unwrap();
        let file = File::options().write(true).open(&target).unwrap();
        file.set_times(FileTimes::new().set_modified(modified))
            .unwrap();
    }
}

/// They worked on the new home, as if nobody else could have it.
#[test]
fn an_account_in_use_whose_home_has_changed_is_left_alone() {
    let (world, store) = World::with_mail(&["bob", "carol"]);
    let _used = [world.account(&store, "bob"), world.account(&store, "carol")];
    let mut moved = world.spec("bob");
    moved.home = world.home("carol");
    let quiet = &mut |_, _| {};
    let refused = [
        store.account(&moved).map(drop),
        store.sync_account(&moved).map(drop),
        store.check_account(&moved, quiet).map(drop),
        store.rebuild_account(&moved, quiet).map(drop),
        store.optimize_account(&moved).map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(StoreError::Cannot(_))), "{refused:?}");
    }
    // The home is carol's as before.
    moved.id = facteur_model::AccountId::new("dave@example.test");
    assert!(matches!(store.account(&moved), Err(StoreError::Cannot(_))));
    assert_eq!(listed(&world.mailbox(&store, "carol", "INBOX")), [1]);
}
