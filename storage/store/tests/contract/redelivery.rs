//! A message that waited in the spool is delivered and struck off: whatever fails or is killed, it
//! is in the mailbox or still waits.

use std::{io, sync::Arc};

use facteur_disk::{Disk, Faults};
use facteur_spool::Change;
use facteur_store::{Batch, Body, Store};

use crate::world::{MAIL, World, entry, listed};

/// Delivers a waiting message with a fault at every call, with or without something that a script
/// sends because of it, and checks what is left.
fn at_every_call(disk: impl Fn(u64) -> (Disk, Arc<Faults>), killed: bool, forwards: bool) {
    let body = || Body::Memory(MAIL.into());
    for call in 0.. {
        let world = World::in_memory();
        let (waiting, sent_on) = (entry("bob@example.test"), entry("far@remote.test"));
        let store = world.open();
        let spooled = Batch {
            spool: vec![(waiting.clone(), body())],
            ..Batch::default()
        };
        store.commit(spooled).unwrap();
        store.close().unwrap();
        drop(store);

        let mut append = world.append("bob", "INBOX");
        append.delivery = waiting.recipients[0].delivery;
        append.repeated = true;
        let mut delivery = Batch {
            updates: vec![(waiting.queue_id.clone(), Change::strike([append.delivery]))],
            appends: vec![append],
            ..Batch::default()
        };
        if forwards {
            delivery.spool.push((sent_on.clone(), body()));
        }
        let census = |store: &Store| {
            let kept = listed(&world.mailbox(store, "bob", "INBOX")).len();
            let waits = store.spool().entry(&waiting.queue_id).unwrap();
            let on = store.spool().entry(&sent_on.queue_id).is_ok();
            (kept, waits.recipients.len(), on)
        };
        let (disk, faults) = disk(call);
        let acknowledged = world.open_on(disk).is_ok_and(|store| {
            let acknowledged = store.commit(delivery).is_ok();
            // A process that lives on sees the same.
            if !killed && faults.struck() {
                let (kept, waits, _) = census(&store);
                assert!(kept + waits >= 1, "fault at {call}");
            }
            acknowledged
        });
        let shown = format!(
            "fault at {call}, {:?}",
            faults.log().get(usize::try_from(call).unwrap())
        );
        let (kept, waits, on) = census(&world.open());
        assert!(kept <= 1 && kept + waits >= 1, "{shown}");
        if forwards {
            assert_eq!((kept + waits, on), (1, kept == 1), "{shown}");
        }
        assert!(
            !acknowledged || (kept, waits, on) == (1, 0, forwards),
            "{shown}"
        );
        if !faults.struck() {
            assert!(acknowledged);
            return;
        }
    }
}

#[test]
fn waiting_message_is_kept_or_waits_when_any_call_fails() {
    for forwards in [false, true] {
        at_every_call(
            |call| Disk::failing(call, io::ErrorKind::Other),
            false,
            forwards,
        );
    }
}

#[test]
fn waiting_message_is_kept_or_waits_when_killed_anywhere() {
    for forwards in [false, true] {
        at_every_call(Disk::crashing, true, forwards);
    }
}
