use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
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

fn add(spool: &Spool, entry: &Entry, body: &[u8]) -> Result<(), SpoolError> {
    let mut body = body;
    spool.stage(entry, &mut body, false)?.install()
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
        add(&spool(dir.path()), &entry, &content).unwrap();
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
        let error = add(&spool, &entry, bytes).unwrap_err();
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
    add(&spool(dir.path()), &expected, b"body").unwrap();
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
    add(&spool, &original, b"body").unwrap();
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
    add(&spool, &bad, b"body").unwrap();
    let path = file(dir.path());
    let whole = std::fs::read(&path).unwrap();
    add(&spool, &good, b"body").unwrap();
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
    add(&spool, &entry("0123456789A", 1, 4), b"body").unwrap();
    let path = file(dir.path());
    std::fs::rename(&path, path.with_file_name("0123456780A.msg")).unwrap();
    assert_eq!(spool.entries().count(), 0);
}

#[test]
fn removed_entry_is_gone_and_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let entry = entry("0123456789A", 1, 4);
    add(&spool, &entry, b"body").unwrap();
    assert!(spool.remove(&entry.queue_id).unwrap());
    assert!(!spool.remove(&entry.queue_id).unwrap());
    let error = spool
        .update(&entry.queue_id, &Change::default())
        .unwrap_err();
    assert!(matches!(error, SpoolError::Gone));
    assert!(matches!(spool.body(&entry.queue_id), Err(SpoolError::Gone)));
}

/// Runs `work` with the process killed before each of its calls on the disk in turn, and `check`
/// on what a new process finds. `work` says whether it was acknowledged.
fn with_a_crash_at_each_call(
    work: impl Fn(&Spool) -> Result<(), SpoolError>,
    check: impl Fn(&Spool, bool),
) {
    for call in 0.. {
        let dir = tempfile::tempdir().unwrap();
        add(&spool(dir.path()), &entry("0123456789A", 2, 4), b"body").unwrap();
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
        |spool| add(spool, &new, b"new"),
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
        add(&spool(dir.path()), &entry("0123456789A", 2, 4), b"body").unwrap();
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
fn a_large_entry_is_durable_under_its_temporary_name() {
    let dir = tempfile::tempdir().unwrap();
    spool(dir.path());
    let (disk, faults) = Disk::crashing(u64::MAX);
    let spool = Spool::open(disk, dir.path()).unwrap();
    let before = faults.log().len();
    let staged = spool
        .stage(&entry("0123456789A", 1, 4), &mut &b"body"[..], true)
        .unwrap();
    assert_eq!(
        faults.log()[before..],
        ["create", "write", "sync_data", "sync_dir"]
    );
    let name = staged.name().to_owned();
    std::mem::forget(staged);
    let id = QueueId::parse("0123456789A").unwrap();
    assert!(spool.staged_as(&id, "../escape").is_none());
    spool.staged_as(&id, &name).unwrap().install().unwrap();
    assert_eq!(body(&spool, &id), b"body");
}

#[test]
fn what_is_staged_and_not_installed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let entry = entry("0123456789A", 1, 4);
    drop(spool.stage(&entry, &mut &b"body"[..], false).unwrap());
    assert_eq!(spool.entries().count(), 0);
    let shard = spool.shard_path(&entry.queue_id);
    assert_eq!(std::fs::read_dir(shard).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_installed_is_still_there_to_be_installed_later() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = Disk::failing(u64::MAX, std::io::ErrorKind::Other);
    let spool = Spool::open(disk, dir.path()).unwrap();
    let entry = entry("0123456789A", 1, 4);
    let staged = spool.stage(&entry, &mut &b"body"[..], true).unwrap();
    let name = staged.name().to_owned();
    faults.break_point("rename", std::io::ErrorKind::Other);
    staged.install().unwrap_err();
    faults.heal();
    let again = spool.staged_as(&entry.queue_id, &name).unwrap();
    again.install().unwrap();
    assert_eq!(body(&spool, &entry.queue_id), b"body");
}

/// Notes what it is told, and makes it durable or not.
#[derive(Debug, Default)]
struct Notes {
    told: std::sync::Mutex<Vec<String>>,
    fails: bool,
}

impl Log for Notes {
    fn logged(
        &self,
        change: Logged<'_>,
        apply: &mut dyn FnMut() -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError> {
        if self.fails {
            return Err(SpoolError::TooLarge);
        }
        self.told.lock().unwrap().push(match change {
            Logged::Update(id, _) => format!("update {id}"),
            Logged::Remove(id) => format!("remove {id}"),
        });
        apply()
    }
}

#[test]
fn changes_are_logged_before_they_are_done_and_done_only_if_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let id = QueueId::parse("0123456789A").unwrap();
    add(&spool, &entry("0123456789A", 2, 4), b"body").unwrap();
    let strike = Change::strike([Guid::from_bytes([0; 16])]);
    let refusing = Notes {
        fails: true,
        ..Notes::default()
    };
    let log = Arc::new(Notes::default());
    let other = Spool::open(Disk::real(), dir.path()).unwrap();
    other.set_log(Arc::new(refusing));
    assert!(other.update(&id, &strike).is_err());
    assert!(other.remove(&id).is_err());
    assert_eq!(spool.entry(&id).unwrap().recipients.len(), 2);
    spool.set_log(Arc::clone(&log) as Arc<dyn Log>);
    spool.update(&id, &strike).unwrap();
    assert_eq!(spool.entry(&id).unwrap().recipients.len(), 1);
    assert!(spool.remove(&id).unwrap());
    assert!(!spool.remove(&id).unwrap());
    let told = log.told.lock().unwrap().clone();
    assert_eq!(told, ["update 0123456789A", "remove 0123456789A"]);
}

#[test]
fn what_an_interrupted_write_left_is_removed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    spool(dir.path());
    let stale = Disk::temporary_path(&dir.path().join("00"));
    std::fs::write(&stale, "half").unwrap();
    spool(dir.path()).remove_temporary().unwrap();
    assert!(!stale.exists());
}

#[test]
fn entries_as_of_now_leave_out_what_is_added_later() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let add = |id| add(&spool, &entry(id, 1, 4), b"body").unwrap();
    add("0123456789A");
    let now = spool.entries().as_of_now();
    for later in ["0123456789B", "0123456789C", "0123456789D"] {
        add(later);
    }
    let ids: Vec<_> = now.map(|entry| entry.queue_id.to_string()).collect();
    assert_eq!(ids, ["0123456789A"]);
}
