//! The index by itself: what is written is read, a failed change leaves nothing, damage is said.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use facteur_disk::Disk;
use facteur_index::{Details, Index, IndexError, MailboxRow, MessageRow, Parts};
use facteur_model::{Flags, Guid, InternalDate, ModSeq, Uid, UidSet, UidValidity};

fn mailbox(guid: u8) -> MailboxRow {
    MailboxRow::new(Guid::from_bytes([guid; 16]), UidValidity::new(7).unwrap())
}

fn message(uid: u32) -> MessageRow {
    MessageRow {
        uid: Uid::new(uid).unwrap(),
        modseq: ModSeq::new(uid.into()),
        internal_date: InternalDate::from_unix(-5),
        size: 1 << 40,
        keywords: 3,
        flags: Flags::ALL,
    }
}

const DETAILS: Details<'_> = Details {
    guid: Guid::from_bytes([9; 16]),
    parts: Parts {
        envelope: b"(e)",
        body_structure: b"(s)",
        body: b"",
    },
};

fn uids(list: &[u32]) -> UidSet {
    list.iter().filter_map(|n| Uid::new(*n)).collect()
}

#[test]
fn messages_are_kept_apart_by_mailbox_and_in_uid_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut index = Index::open(&Disk::real(), &path).unwrap();
    let [one, two] = index
        .transaction::<_, IndexError>(|t| {
            let ids = [t.add_mailbox(&mailbox(1))?, t.add_mailbox(&mailbox(2))?];
            for uid in [u32::MAX, 1, 70_000] {
                t.add_message(ids[0], &message(uid), &DETAILS)?;
            }
            t.add_message(ids[1], &message(1), &DETAILS)?;
            t.add_delivery(Guid::from_bytes([4; 16]), ids[1], Uid::FIRST, 0)?;
            Ok(ids)
        })
        .unwrap();
    drop(index);
    let mut index = Index::open(&Disk::real(), &path).unwrap();
    let expected = [message(1), message(70_000), message(u32::MAX)];
    assert_eq!(index.messages(one).unwrap(), expected);
    assert_eq!(index.messages(two).unwrap(), [message(1)]);
    assert_eq!(
        index.delivery(Guid::from_bytes([4; 16])).unwrap(),
        Some((two, Uid::FIRST))
    );
    let all = uids(&[1, 70_000]);
    index
        .transaction::<_, IndexError>(|t| t.expunge(one, &all, ModSeq::new(9)))
        .unwrap();
    assert_eq!(index.messages(one).unwrap(), [message(u32::MAX)]);
    assert_eq!(index.messages(two).unwrap(), [message(1)]);
    assert_eq!(index.expunged(one, ModSeq::new(8)).unwrap(), all);
    assert!(index.expunged(one, ModSeq::new(9)).unwrap().is_empty());
    let mut seen = Vec::new();
    index
        .summaries(one, &uids(&[1, u32::MAX]), &mut |uid, parts| {
            assert_eq!(
                (parts.envelope, parts.body_structure, parts.body),
                (&b"(e)"[..], &b"(s)"[..], &b""[..])
            );
            seen.push(uid.value());
        })
        .unwrap();
    assert_eq!(seen, [u32::MAX]);
    index.check().unwrap();
}

#[test]
fn a_change_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::open(&Disk::real(), &dir.path().join("index.db")).unwrap();
    let failed = index.transaction(|t| {
        t.add_mailbox(&mailbox(1))?;
        Err::<(), _>(IndexError::NoSpace)
    });
    assert!(matches!(failed, Err(IndexError::NoSpace)));
    assert_eq!(index.mailboxes().unwrap(), []);
    index
        .transaction(|t| t.add_mailbox(&mailbox(1)).map(|_| ()))
        .unwrap();
    assert_eq!(
        index.mailboxes().unwrap(),
        [MailboxRow {
            id: 1,
            ..mailbox(1)
        }]
    );
}

#[test]
fn memory_expires() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::open(&Disk::real(), &dir.path().join("index.db")).unwrap();
    let remember = |index: &mut Index, key, until, now| {
        index
            .transaction::<_, IndexError>(|t| t.remember(&[key; 32], until, now))
            .unwrap();
    };
    remember(&mut index, 1, 100, 0);
    remember(&mut index, 1, 50, 0);
    assert!(
        index.remembers(&[1; 32], 99).unwrap(),
        "the later end stands"
    );
    assert!(!index.remembers(&[1; 32], 100).unwrap());
    remember(&mut index, 2, 300, 200);
    assert!(!index.remembers(&[1; 32], 50).unwrap(), "it was forgotten");
}

#[test]
fn what_is_no_index_of_ours_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let open = |path: &std::path::Path| Index::open(&Disk::real(), path).map(|_| ());
    std::fs::write(
        &path,
        "no database, but long enough to be looked at".repeat(100),
    )
    .unwrap();
    assert!(matches!(open(&path), Err(IndexError::Damaged(_))));
    Index::remove(&Disk::real(), &path).unwrap();
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE mailbox (x)").unwrap();
    drop(foreign);
    assert!(matches!(open(&path), Err(IndexError::Damaged(_))));
    Index::remove(&Disk::real(), &path).unwrap();
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    assert!(matches!(open(&path), Err(IndexError::TooNew(99))));
}

#[test]
fn two_owners_of_one_index_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut first = Index::open(&Disk::real(), &path).unwrap();
    first
        .transaction(|t| t.add_mailbox(&mailbox(1)).map(|_| ()))
        .unwrap();
    assert!(matches!(
        Index::open(&Disk::real(), &path),
        Err(IndexError::InUse)
    ));
}
