//! The whole server crashes at calls to the kernel, and keeps its promises. The tool for thousands of
//! crashes is `tests/crash`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use facteur_tests::{Campaign, FaultPoint, Setup, require_forgetful, require_peer};

#[test]
fn server_on_a_disk_that_forgets_keeps_its_promises_through_crashes() {
    if !require_forgetful() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut campaign = Campaign::forgetful(Setup::new(), place.path(), 1, 24);
    for _ in 0..15 {
        campaign.crash();
    }
    println!("{campaign}");
}

#[test]
fn server_on_a_disk_that_forgets_and_never_syncs_breaks_its_promises() {
    if !require_forgetful() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut campaign = Campaign::forgetful(Setup::new(), place.path(), 1, 24);
    let syncs: Vec<FaultPoint> = campaign
        .points()
        .map(|(point, _)| point)
        .filter(FaultPoint::is_sync)
        .collect();
    assert!(!syncs.is_empty());
    campaign.leave_out(&syncs);
    let mut campaign = campaign.only(&[facteur_tests::Crash::Machine]);
    let is_broken = (0..10).any(|_| {
        let crash = AssertUnwindSafe(|| campaign.crash());
        catch_unwind(crash).is_err()
    });
    assert!(is_broken, "nobody misses any sync");
}

#[test]
fn server_killed_at_system_calls_keeps_its_promises() {
    let Some(strace) = require_peer("strace") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let mut campaign = Campaign::traced(&strace, Setup::new(), place.path(), 1, 24);
    for _ in 0..6 {
        campaign.crash();
    }
    println!("{campaign}");
}
