//! What two threads do to one account at the same moment, one of them held between two calls.

use std::io;

use facteur_disk::Disk;
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
        let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
        let store = world.open_on(disk).unwrap();
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
