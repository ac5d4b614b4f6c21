//! What two threads do to one account at the same moment, one of them held between two calls.

use std::{io, thread};

use facteur_store::{Body, Store};

use crate::world::{World, batch, name, text};

/// A message that is too large for the journal.
fn large(store: &Store) -> Body {
    let mut staging = store.stage();
    let line = "From: large@example.test\r\n";
    staging.write(line.repeat(1000).as_bytes()).unwrap();
    staging.write(b"\r\nlarge\r\n").unwrap();
    staging.finish().unwrap()
}

#[test]
fn a_large_message_is_kept_when_its_folder_is_renamed_or_deleted_while_it_is_written() {
    type Meanwhile = fn(&facteur_store::Account);
    let meanwhile: [Meanwhile; 3] = [
        |account| account.rename(&name("Made"), &name("Other")).unwrap(),
        |account| account.delete(&name("Made")).unwrap(),
        |account| {
            account.rename(&name("Made"), &name("Other")).unwrap();
            account.create(&name("Made")).unwrap();
        },
    ];
    for meanwhile in meanwhile {
        let world = World::new();
        let (store, faults) = world.open_with_faults();
        let account = world.account(&store, "bob");
        account.create(&name("Made")).unwrap();
        let mut append = world.append("bob", "Made");
        append.create = true;
        append.body = large(&store);
        let before = faults.counts().get("copy").copied().unwrap_or_default();
        faults.hold("copy");
        let done = std::thread::scope(|scope| {
            let delivering = scope.spawn(|| store.commit(batch([append])));
            faults.await_calls("copy", before + 1);
            meanwhile(&account);
            faults.release("copy");
            delivering.join().unwrap().unwrap()
        });
        drop(account);
        let uid = done.appended[0].uid.value();
        let bytes = text(&world.mailbox(&store, "bob", "Made"), uid);
        assert!(bytes.ends_with(b"\r\nlarge\r\n"));
    }
}

#[test]
fn a_change_planned_while_the_journal_failed_for_another_leaves_right_counts() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    world.deliver(&store, "bob", "INBOX");
    let made = |name| faults.counts().get(name).copied().unwrap_or_default();
    let (syncs, renames) = (made("sync_data"), made("rename"));
    let deliver = |mailboxes: &'static [&str]| {
        let appends = mailboxes.iter().map(|name| world.append("bob", name));
        store.commit(batch(appends))
    };
    thread::scope(|scope| {
        faults.hold("sync_data");
        let first = scope.spawn(|| deliver(&["INBOX"]));
        faults.await_calls("sync_data", syncs + 1);
        // The second one reserves numbers of a mailbox that never had any: the account is locked, the
        // first counted.
        faults.hold("rename");
        let second = scope.spawn(|| deliver(&["INBOX", "Spam"]));
        faults.await_calls("rename", renames + 1);
        faults.break_point("sync_data", io::ErrorKind::Other);
        faults.release("sync_data");
        while !faults.struck() {
            thread::yield_now();
        }
        faults.heal();
        // Most likely the journal knows that it has failed now.
        (0..10_000).for_each(|_| thread::yield_now());
        faults.release("rename");
        assert!(first.join().unwrap().is_err());
        second.join().unwrap().unwrap();
    });
    let account = world.account(&store, "bob");
    let status = account.status(&name("INBOX")).unwrap();
    assert_eq!(status.messages, 2);
    let mailbox = account.open(&name("INBOX")).unwrap();
    assert_eq!(mailbox.snapshot().len(), 2);
    assert_eq!(account.usage().unwrap().messages, 3);
}
