//! The process killed before any one call to the disk, or that call failing: what was acknowledged
//! is there once, what was not is there whole or not at all.

use std::{fs, io, sync::Arc};

use facteur_disk::{Disk, Faults};
use facteur_store::{Store, StoreError};

use crate::{
    points::Struck,
    run::{Run, STEPS, append},
    world::{World, batch, text},
};

/// Runs with a fault at every call until none strikes; prints how often each point was struck.
fn every_call(
    name: &str,
    disk: impl Fn(u64) -> (Disk, Arc<Faults>),
    after: impl Fn(&mut Run, Store, &Faults),
) {
    let mut struck = Struck::default();
    for call in 0.. {
        let mut run = Run::new();
        let (disk, faults) = disk(call);
        let opened = run.world.open_on(disk);
        if let Ok(store) = opened {
            run.perform(&store);
            after(&mut run, store, &faults);
        }
        if !faults.struck() {
            assert_eq!(run.acknowledged.len(), STEPS, "{:?}", run.failures);
            assert!(call > 100, "{call}");
            struck.print(name);
            struck.assert_none_missing(run.world.dir.path(), &faults);
            return;
        }
        let step = struck.count(run.world.dir.path(), &faults, call);
        let shown = format!(
            "fault at call {call} ({step}), acknowledged {:?}",
            run.acknowledged
        );
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let store = run.world.open();
            run.check(&store);
        }));
        assert!(checked.is_ok(), "{shown}");
    }
}

#[test]
fn killed_before_any_call_nothing_is_lost_or_twice() {
    every_call("kill", Disk::crashing, |_, store, _| drop(store));
}

#[test]
fn killed_before_any_call_with_the_index_lost_nothing_is_lost_or_twice() {
    every_call("kill, index lost", Disk::crashing, |run, store, _| {
        drop(store);
        run.index_lost = true;
        for who in ["bob", "carol"] {
            for suffix in ["", "-wal"] {
                let _ = fs::remove_file(run.world.home(who).join(format!("index.db{suffix}")));
            }
        }
    });
}

#[test]
fn any_call_failing_nothing_is_lost_or_twice() {
    every_call(
        "failure",
        |call| Disk::failing(call, io::ErrorKind::Other),
        |_, store, _| drop(store),
    );
}

#[test]
fn a_disk_that_is_full_is_said_and_the_store_works_on() {
    every_call(
        "full",
        |call| Disk::failing(call, io::ErrorKind::StorageFull),
        |run, store, faults| {
            let full = |error: &StoreError| {
                matches!(
                    error,
                    StoreError::NoSpace | StoreError::Gone | StoreError::NoMailbox(_)
                )
            };
            assert!(run.failures.iter().all(full), "{:?}", run.failures);
            // In the same process: whatever failed, the next works.
            if faults.struck() {
                run.check_later(&store);
            }
        },
    );
}

/// How many calls opening an empty store makes, and opening and working together.
fn calls() -> (u64, u64) {
    let mut run = Run::new();
    let (disk, faults) = Disk::crashing(u64::MAX);
    let store = run.world.open_on(disk).unwrap();
    let opening = faults.calls();
    run.perform(&store);
    (opening, faults.calls())
}

/// Killed in the middle, and killed again while the next start puts that right.
#[test]
fn killed_again_while_recovering_nothing_is_lost_or_twice() {
    let mut struck = Struck::default();
    let (opening, all) = calls();
    for call in (opening..all).step_by(5) {
        for again in (opening - 20..).step_by(11) {
            let mut run = Run::new();
            let (disk, faults) = Disk::crashing(call);
            if let Ok(store) = run.world.open_on(disk) {
                run.perform(&store);
            }
            // Open folders are looked at now and then: the last calls need not come.
            if !faults.struck() {
                break;
            }
            let again = again + call % 11;
            let (disk, faults) = Disk::crashing(again);
            drop(run.world.open_on(disk));
            let shown = format!("killed at {call}, and again at {}", faults.calls());
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                run.check(&run.world.open());
            }));
            assert!(checked.is_ok(), "{shown}");
            if !faults.struck() {
                break;
            }
            struck.count(run.world.dir.path(), &faults, again);
        }
    }
    struck.print("killed again while recovering");
    assert!(struck.sum() > 30, "{}", struck.sum());
}

/// The system says it once, and may have dropped what it could not write: what the journal has is
/// written anew at the next start, and not given up before.
#[test]
fn a_file_system_that_failed_to_sync_is_not_believed_again() {
    let world = World::in_memory();
    let (store, faults) = world.open_with_faults();
    let deliver = || {
        store
            .commit(batch([append(&world, "bob", "INBOX", "kept")]))
            .unwrap()
    };
    deliver();
    faults.break_point("sync_file_system", io::ErrorKind::Other);
    store.checkpoint().unwrap_err();
    faults.heal();
    store.checkpoint().unwrap_err();
    // It works on.
    deliver();
    store.close().unwrap_err();
    drop(store);
    // What the system dropped.
    fs::write(&world.files("bob", "INBOX")[0], "").unwrap();
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    for uid in [1, 2] {
        assert!(text(&inbox, uid).starts_with(b"T: kept"));
    }
    store.checkpoint().unwrap();
}
