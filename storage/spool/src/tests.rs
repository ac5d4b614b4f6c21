use std::{
    io::Read,
    path::{Path, PathBuf},
};

use facteur_disk::Disk;
use facteur_model::Guid;

use super::*;

fn entry(id: &str, recipients: u8, size: u64) -> Entry {
    let recipient = |n: u8| Recipient {
        forward_path: format!("r{n}@example.net"),
        original: format!("r{n}@example.net"),
        delivery: Guid::from_bytes([n; 16]),
        destination: Destination::Unresolved,
        state: RecipientState::Pending { last: None },
    };
    Entry {
        queue_id: QueueId::parse(id).unwrap(),
        reverse_path: "a@example.org".into(),
        accepted_at: 1_700_000_000,
        origin: Origin::default(),
        body_type: BodyType::SevenBit,
        size,
        prefix: "Received: x\r\n".into(),
        recipients: (0..recipients).map(recipient).collect(),
        next_attempt_at: 1_700_000_000,
        attempts: 0,
        held: false,
        delay_warned: false,
    }
}

fn spool(directory: &Path) -> Spool {
    Spool::open(Disk::real(), directory).unwrap()
}

fn body(spool: &Spool, id: &QueueId) -> Vec<u8> {
    let mut out = Vec::new();
    spool.body(id).unwrap().read_to_end(&mut out).unwrap();
    out
}

/// The only message file below `directory`.
fn file(directory: &Path) -> PathBuf {
    let shards = std::fs::read_dir(directory).unwrap();
    let mut files = shards
        .flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path());
    let found = files.next().unwrap();
    assert!(files.next().is_none());
    found
}

#[test]
fn entry_and_body_are_read_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for size in [0, 1, 65_535, 65_536, 200_000] {
        let content: Vec<u8> = (0..=255).cycle().take(size).collect();
        let entry = entry(&format!("0123456789{size}"), 3, size as u64);
        spool(dir.path())
            .add(&entry, &mut content.as_slice())
            .unwrap();
        let spool = spool(dir.path());
        assert_eq!(spool.entry(&entry.queue_id).unwrap(), entry);
        assert_eq!(body(&spool, &entry.queue_id), content);
    }
    assert_eq!(spool(dir.path()).entries().count(), 5);
}

#[test]
fn body_of_another_length_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let entry = entry("0123456789A", 1, 5);
    for (bytes, actual) in [(&b"four"[..], 4), (b"longer", 6)] {
        let error = spool.add(&entry, &mut &*bytes).unwrap_err();
        assert!(matches!(error, SpoolError::Length { expected: 5, actual: a } if a == actual));
    }
    assert!(matches!(
        spool.entry(&entry.queue_id),
        Err(SpoolError::Gone)
    ));
    assert_eq!(spool.entries().count(), 0);
}

#[test]
fn changes_are_kept_and_a_struck_recipient_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = entry("0123456789A", 3, 4);
    let id = expected.queue_id.clone();
    spool(dir.path()).add(&expected, &mut &b"body"[..]).unwrap();
    let late = RecipientState::Pending {
        last: Some(Status {
            enhanced: "4.4.1".into(),
            text: "timed out".into(),
            remote: None,
        }),
    };
    let changes = [
        Change::strike([Guid::from_bytes([1; 16])]),
        Change {
            recipients: vec![(Guid::from_bytes([2; 16]), late.clone())],
            schedule: Some(Schedule {
                next_attempt_at: 1_700_000_300,
                attempts: 1,
            }),
            ..Change::default()
        },
        Change {
            held: Some(true),
            delay_warned: Some(true),
            ..Change::default()
        },
    ];
    for change in &changes {
        spool(dir.path()).update(&id, change).unwrap();
    }
    expected.recipients.remove(1);
    expected.recipients[1].state = late;
    expected.next_attempt_at = 1_700_000_300;
    expected.attempts = 1;
    expected.held = true;
    expected.delay_warned = true;
    assert_eq!(spool(dir.path()).entry(&id).unwrap(), expected);
    assert_eq!(body(&spool(dir.path()), &id), b"body");
}

#[test]
fn resolved_recipient_gives_way_to_others_once() {
    let mut entry = entry("0123456789A", 2, 4);
    let child = |n: u8| Recipient {
        delivery: Guid::from_bytes([n; 16]),
        destination: Destination::Remote,
        ..entry.recipients[0].clone()
    };
    let change = Change {
        resolved: vec![(Guid::from_bytes([0; 16]), vec![child(8), child(9)])],
        ..Change::strike([Guid::from_bytes([8; 16])])
    };
    change.apply(&mut entry);
    change.apply(&mut entry);
    let left: Vec<_> = entry.recipients.iter().map(|r| r.delivery).collect();
    assert_eq!(left, [9, 1].map(|n| Guid::from_bytes([n; 16])));
}

#[test]
fn record_cut_short_is_ignored_and_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let original = entry("0123456789A", 3, 4);
    let id = &original.queue_id;
    let spool = spool(dir.path());
    spool.add(&original, &mut &b"body"[..]).unwrap();
    let path = file(dir.path());
    let before = std::fs::read(&path).unwrap();
    spool
        .update(id, &Change::strike([Guid::from_bytes([0; 16])]))
        .unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in before.len()..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(
            spool.entry(id).unwrap().recipients.len(),
            3,
            "cut at {length}"
        );
        spool
            .update(id, &Change::strike([Guid::from_bytes([1; 16])]))
            .unwrap();
        let left: Vec<_> = spool
            .entry(id)
            .unwrap()
            .recipients
            .into_iter()
            .map(|r| r.delivery)
            .collect();
        assert_eq!(
            left,
            [0, 2].map(|n| Guid::from_bytes([n; 16])),
            "cut at {length}"
        );
    }
}

#[test]
fn damaged_files_are_set_aside_and_the_others_listed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let good = entry("0123456789G", 1, 4);
    let bad = entry("0123456789B", 1, 4);
    spool.add(&bad, &mut &b"body"[..]).unwrap();
    let path = file(dir.path());
    let whole = std::fs::read(&path).unwrap();
    spool.add(&good, &mut &b"body"[..]).unwrap();
    for at in 0..whole.len() - 4 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let listed: Vec<_> = spool.entries().map(|entry| entry.queue_id).collect();
        assert_eq!(
            listed,
            std::slice::from_ref(&good.queue_id),
            "byte {at} changed"
        );
        assert!(
            !path.exists()
                && dir
                    .path()
                    .join("damaged")
                    .join(path.file_name().unwrap())
                    .exists()
        );
    }
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(spool.entries().count(), 1, "cut at {length}");
    }
}

#[test]
fn file_under_another_name_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    spool
        .add(&entry("0123456789A", 1, 4), &mut &b"body"[..])
        .unwrap();
    let path = file(dir.path());
    std::fs::rename(&path, path.with_file_name("0123456780A.msg")).unwrap();
    assert_eq!(spool.entries().count(), 0);
}

#[test]
fn removed_entry_is_gone_and_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let entry = entry("0123456789A", 1, 4);
    spool.add(&entry, &mut &b"body"[..]).unwrap();
    assert!(spool.remove(&entry.queue_id).unwrap());
    assert!(!spool.remove(&entry.queue_id).unwrap());
    let error = spool
        .update(&entry.queue_id, &Change::default())
        .unwrap_err();
    assert!(matches!(error, SpoolError::Gone));
    assert!(matches!(spool.body(&entry.queue_id), Err(SpoolError::Gone)));
}

#[test]
fn transaction_is_read_back_with_bodies_and_strikes_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let id = QueueId::parse("0123456789T").unwrap();
    let (mut first, mut second) = (&b"first"[..], &b"second body"[..]);
    spool(dir.path())
        .begin(&id, b"payload", &mut [(&mut first, 5), (&mut second, 11)])
        .unwrap();
    let copy = Guid::from_bytes([7; 16]);
    spool(dir.path()).strike(&id, copy).unwrap();
    let spool = spool(dir.path());
    let found: Vec<_> = spool.transactions().collect();
    assert_eq!(
        found,
        [Transaction {
            id: id.clone(),
            payload: b"payload".to_vec(),
            struck: vec![copy],
            bodies: 2
        }]
    );
    let mut text = String::new();
    spool
        .transaction_body(&id, 1)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "second body");
    assert!(spool.transaction_body(&id, 2).is_err());
    assert_eq!(spool.entries().count(), 0);
    assert!(spool.end(&id).unwrap());
    assert_eq!(spool.transactions().count(), 0);
}

/// Runs `work` with the process killed before each of its calls on the disk in turn, and `check`
/// on what a new process finds. `work` says whether it was acknowledged.
fn with_a_crash_at_each_call(
    work: impl Fn(&Spool) -> Result<(), SpoolError>,
    check: impl Fn(&Spool, bool),
) {
    for call in 0.. {
        let dir = tempfile::tempdir().unwrap();
        spool(dir.path())
            .add(&entry("0123456789A", 2, 4), &mut &b"body"[..])
            .unwrap();
        let (disk, faults) = Disk::crashing(call);
        let acknowledged = Spool::open(disk, dir.path()).is_ok_and(|spool| work(&spool).is_ok());
        check(&spool(dir.path()), acknowledged);
        if !faults.struck() {
            assert!(acknowledged);
            return;
        }
    }
}

#[test]
fn add_when_killed_anywhere_is_whole_or_not_there() {
    let new = entry("0123456789B", 2, 3);
    with_a_crash_at_each_call(
        |spool| spool.add(&new, &mut &b"new"[..]),
        |spool, acknowledged| {
            let found: Vec<_> = spool
                .entries()
                .filter(|e| e.queue_id == new.queue_id)
                .collect();
            assert!(found.len() == 1 || !acknowledged);
            for found in found {
                assert_eq!(found, new);
                assert_eq!(body(spool, &found.queue_id), b"new");
            }
        },
    );
}

#[test]
fn update_when_killed_anywhere_is_done_or_not_begun() {
    let id = QueueId::parse("0123456789A").unwrap();
    with_a_crash_at_each_call(
        |spool| spool.update(&id, &Change::strike([Guid::from_bytes([0; 16])])),
        |spool, acknowledged| {
            let left = spool.entry(&id).unwrap().recipients.len();
            assert!(left == 1 || (left == 2 && !acknowledged));
            assert_eq!(body(spool, &id), b"body");
        },
    );
}

#[test]
fn update_when_a_call_fails_leaves_a_file_that_can_be_changed() {
    let id = QueueId::parse("0123456789A").unwrap();
    for call in 0.. {
        let dir = tempfile::tempdir().unwrap();
        spool(dir.path())
            .add(&entry("0123456789A", 2, 4), &mut &b"body"[..])
            .unwrap();
        let (disk, faults) = Disk::failing(call, std::io::ErrorKind::StorageFull);
        let Ok(failing) = Spool::open(disk, dir.path()) else {
            continue;
        };
        let first = failing.update(&id, &Change::strike([Guid::from_bytes([0; 16])]));
        failing
            .update(
                &id,
                &Change {
                    held: Some(true),
                    ..Change::default()
                },
            )
            .unwrap_or_else(|_| {
                // The fault struck this second one.
                assert!(first.is_ok());
            });
        let left = spool(dir.path()).entry(&id).unwrap();
        assert_eq!(body(&spool(dir.path()), &id), b"body");
        assert!(left.recipients.len() == 1 || first.is_err());
        if !faults.struck() {
            assert!(left.held);
            return;
        }
    }
}

#[test]
fn add_syncs_the_file_before_and_the_directory_after_the_rename() {
    let dir = tempfile::tempdir().unwrap();
    spool(dir.path());
    let (disk, faults) = Disk::crashing(u64::MAX);
    let spool = Spool::open(disk, dir.path()).unwrap();
    let before = faults.log().len();
    spool
        .add(&entry("0123456789A", 1, 4), &mut &b"body"[..])
        .unwrap();
    assert_eq!(
        faults.log()[before..],
        ["create", "write", "sync_data", "rename", "sync_dir"]
    );
    let before = faults.log().len();
    spool
        .remove(&QueueId::parse("0123456789A").unwrap())
        .unwrap();
    assert_eq!(faults.log()[before..], ["unlink", "sync_dir"]);
}

#[test]
fn what_an_interrupted_write_left_is_removed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    spool(dir.path());
    let stale = Disk::temporary_path(&dir.path().join("00"));
    std::fs::write(&stale, "half").unwrap();
    spool(dir.path());
    assert!(!stale.exists());
}

#[test]
fn entries_as_of_now_leave_out_what_is_added_later() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let add = |id| spool.add(&entry(id, 1, 4), &mut &b"body"[..]).unwrap();
    add("0123456789A");
    let now = spool.entries().as_of_now();
    for later in ["0123456789B", "0123456789C", "0123456789D"] {
        add(later);
    }
    let ids: Vec<_> = now.map(|entry| entry.queue_id.to_string()).collect();
    assert_eq!(ids, ["0123456789A"]);
}
