//! What an older version wrote is converted; what was expunged long ago is forgotten in bounds; what
//! is damaged or contradicts itself is said.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is surprised"
)]

use std::path::Path;

use facteur_disk::Disk;
use facteur_index::{Details, Index, IndexError, MailboxRow, MessageRow, Parts};
use facteur_model::{Flags, Guid, InternalDate, ModSeq, Uid, UidSet, UidValidity};

/// The tables of layout 1.
const LAYOUT_1: &str = "
PRAGMA journal_mode = WAL;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY, guid BLOB NOT NULL UNIQUE, uid_validity INTEGER NOT NULL,
    uid_next INTEGER NOT NULL, highest_modseq INTEGER NOT NULL, recent_from INTEGER NOT NULL,
    messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE message (
    id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, internal_date INTEGER NOT NULL,
    size INTEGER NOT NULL, keywords INTEGER NOT NULL, flags INTEGER NOT NULL
) STRICT;
CREATE TABLE detail (
    id INTEGER PRIMARY KEY, guid BLOB NOT NULL, envelope BLOB NOT NULL, body_structure BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE keyword_set (
    mailbox INTEGER NOT NULL, id INTEGER NOT NULL, keywords TEXT NOT NULL, PRIMARY KEY (mailbox, id)
) WITHOUT ROWID, STRICT;
CREATE TABLE expunged (id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL) STRICT;
CREATE TABLE delivery (
    guid BLOB PRIMARY KEY, message INTEGER NOT NULL, noted_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE memory (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE INDEX memory_expiry ON memory (expires_at);
PRAGMA user_version = 1;
INSERT INTO fact VALUES ('session', 'clean boot');
INSERT INTO mailbox VALUES (1, zeroblob(16), 7, 4001, 99, 1, 3000, 3000, 0, 6000),
                           (2, x'01010101010101010101010101010101', 8, 10, 5, 3, 0, 0, 0, 0);
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 4000)
INSERT INTO message SELECT (1 << 32) + x, x % 50, 1700000000 - x, 2, x % 3, 0 FROM n WHERE x % 4 <> 0;
INSERT INTO detail SELECT id, zeroblob(16), x'2829', x'2829', x'28' FROM message;
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000)
INSERT INTO expunged SELECT (1 << 32) + 4 * x, 10 + x % 5 FROM n;
INSERT INTO expunged VALUES ((2 << 32) + 1, 4), ((2 << 32) + 2, 4), ((2 << 32) + 3, 5);
INSERT INTO keyword_set VALUES (1, 1, 'a b');
INSERT INTO delivery VALUES (x'02020202020202020202020202020202', (1 << 32) + 5, 3);
INSERT INTO memory VALUES (zeroblob(32), 500);
";

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

fn set(uids: impl Iterator<Item = u32>) -> UidSet {
    uids.filter_map(Uid::new).collect()
}

fn open(path: &Path) -> Index {
    Index::open(&Disk::real(), path).unwrap()
}

fn check_converted(index: &Index) {
    let messages = index.messages(1).unwrap();
    let expected = (1..=4000u32).filter(|n| n % 4 != 0).map(|n| MessageRow {
        uid: uid(n),
        modseq: ModSeq::new(u64::from(n % 50)),
        internal_date: InternalDate::from_unix(1_700_000_000 - i64::from(n)),
        size: 2,
        keywords: n % 3,
        flags: Flags::EMPTY,
    });
    assert!(messages.into_iter().eq(expected));
    assert_eq!(index.messages(2).unwrap(), []);
    let since = |mailbox, since| {
        index
            .vanished(mailbox, ModSeq::new(since))
            .unwrap()
            .unwrap()
    };
    assert_eq!(since(1, 0), set((1..=1000).map(|n| 4 * n)));
    assert_eq!(
        since(1, 13),
        set((1..=1000).filter(|n| n % 5 == 4).map(|n| 4 * n))
    );
    assert_eq!(since(2, 0), set(1..=3));
    assert_eq!(since(2, 4), set(3..=3));
    assert_eq!(
        index.fact("session").unwrap().as_deref(),
        Some("clean boot")
    );
    assert_eq!(index.keyword_sets(1).unwrap(), [(1, "a b".to_owned())]);
    let delivered = index.delivery(Guid::from_bytes([2; 16])).unwrap();
    assert_eq!(delivered, Some((1, uid(5))));
    assert!(index.remembers(&[0; 32], 499).unwrap());
    let row = index.mailboxes().unwrap()[0];
    assert_eq!(
        (row.uid_next, row.messages, row.recent_from),
        (4001, 3000, 1)
    );
    let mut seen = 0;
    index
        .summaries(1, &set(1..=4), &mut |_, parts| {
            assert_eq!((parts.body_structure, parts.body), (&b"()"[..], &b"("[..]));
            seen += 1;
        })
        .unwrap();
    assert_eq!(seen, 3);
    assert_eq!(index.problems().unwrap(), Vec::<String>::new());
}

#[test]
fn layout_1_is_converted_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(LAYOUT_1).unwrap();
    drop(old);
    let index = open(&path);
    check_converted(&index);
    drop(index);
    let index = open(&path);
    check_converted(&index);
    drop(index);
    let raw = rusqlite::Connection::open(&path).unwrap();
    let (version, left): (i64, i64) = raw
        .query_row(
            "SELECT (SELECT user_version FROM pragma_user_version),
             (SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old%' OR name = 'message')",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((version, left), (2, 0));
}

#[test]
fn a_conversion_that_fails_leaves_layout_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(LAYOUT_1).unwrap();
    old.execute_batch("INSERT INTO message VALUES (3 << 32, 1, 1, 1, 1, 1)")
        .unwrap();
    drop(old);
    assert!(matches!(
        Index::open(&Disk::real(), &path),
        Err(IndexError::Damaged(_))
    ));
    let raw = rusqlite::Connection::open(&path).unwrap();
    let left: i64 = raw
        .query_row("SELECT count(*) FROM message", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 3001);
    raw.execute_batch("DELETE FROM message WHERE id = 3 << 32")
        .unwrap();
    drop(raw);
    check_converted(&open(&path));
}

fn mailbox() -> MailboxRow {
    MailboxRow::new(Guid::from_bytes([1; 16]), UidValidity::FIRST)
}

/// A mailbox with UIDs 1 to `count`.
fn filled(path: &Path, count: u32) -> Index {
    let mut index = open(path);
    index
        .transaction::<_, IndexError>(|t| {
            let mut row = mailbox();
            row.id = t.add_mailbox(&row)?;
            for n in 1..=count {
                let message = MessageRow {
                    uid: uid(n),
                    modseq: ModSeq::new(1),
                    internal_date: InternalDate::from_unix(0),
                    size: 1,
                    keywords: 0,
                    flags: Flags::EMPTY,
                };
                let details = Details {
                    guid: Guid::from_bytes([0; 16]),
                    parts: Parts::default(),
                };
                t.add_message(row.id, &message, &details)?;
            }
            (row.messages, row.unseen, row.bytes) = (count, count, count.into());
            row.uid_next = u64::from(count) + 1;
            t.set_mailbox(&row)
        })
        .unwrap();
    index
}

#[test]
fn what_was_expunged_first_is_forgotten_first_and_the_rest_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = filled(&dir.path().join("index.db"), 24_000);
    // 2000 ranges of one UID at each MODSEQ from 10 on.
    let at = |round: u32| set((0..2000).map(|n| round * 4000 + n * 2 + 1));
    for round in 0..6u32 {
        index
            .transaction(|t| t.expunge(1, &at(round), ModSeq::new(u64::from(round) + 10)))
            .unwrap();
        let floor = if round < 5 { 0 } else { 12 };
        for since in 0..18 {
            let expected = (0..=round)
                .filter(|round| u64::from(*round) + 10 > since)
                .flat_map(|round| at(round).iter().map(Uid::value).collect::<Vec<_>>());
            let expected = (since >= floor).then(|| set(expected));
            assert_eq!(
                index.vanished(1, ModSeq::new(since)).unwrap(),
                expected,
                "{round} {since}"
            );
        }
    }
    // One that has more ranges than are remembered at all is not remembered.
    let all = set((0..12_000).map(|n| n * 2 + 2));
    index
        .transaction(|t| t.expunge(1, &all, ModSeq::new(20)))
        .unwrap();
    assert_eq!(index.vanished(1, ModSeq::new(19)).unwrap(), None);
    assert_eq!(
        index.vanished(1, ModSeq::new(20)).unwrap(),
        Some(UidSet::new())
    );
    // Ranges that grow together at one MODSEQ are counted as they are.
    index
        .transaction::<_, IndexError>(|t| {
            for n in 0..100 {
                let details = Details {
                    guid: Guid::from_bytes([0; 16]),
                    parts: Parts::default(),
                };
                let row = MessageRow {
                    uid: uid(50_000 + n),
                    modseq: ModSeq::new(21),
                    internal_date: InternalDate::from_unix(0),
                    size: 1,
                    keywords: 0,
                    flags: Flags::EMPTY,
                };
                t.add_message(1, &row, &details)?;
            }
            for parity in 0..2 {
                t.expunge(
                    1,
                    &set((0..50).map(|n| 50_000 + 2 * n + parity)),
                    ModSeq::new(22),
                )?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(
        index.vanished(1, ModSeq::new(21)).unwrap(),
        Some(set(50_000..=50_099))
    );
}

#[test]
fn applied_is_what_was_noted_with_the_last_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut index = open(&path);
    assert_eq!(index.applied().unwrap(), None);
    index
        .transaction(|t| t.set_applied([0xab; 16], u64::MAX))
        .unwrap();
    let failed = index.transaction(|t| {
        t.set_applied([0xcd; 16], 3)?;
        Err::<(), _>(IndexError::NoSpace)
    });
    assert!(failed.is_err());
    drop(index);
    assert_eq!(open(&path).applied().unwrap(), Some(([0xab; 16], u64::MAX)));
}

#[test]
fn damage_and_contradictions_are_said() {
    let cases = [
        (
            "UPDATE mailbox SET unseen = 7",
            "says 7 unseen messages, but holds 600",
        ),
        (
            "UPDATE mailbox SET uid_next = 600",
            "has UID 600, but UIDNEXT is 600",
        ),
        (
            "UPDATE mailbox SET highest_modseq = 0",
            "has MODSEQ 1, but HIGHESTMODSEQ is 0",
        ),
        (
            "DELETE FROM detail WHERE id & 0xffffffff = 9",
            "has 1 messages without details",
        ),
        (
            "INSERT INTO detail VALUES ((1 << 32) + 700, x'', x'', x'', NULL)",
            "details of 1 messages it has not",
        ),
        (
            "INSERT INTO expunged VALUES (1, 5, 1, x'0900')",
            "has UID 9, which was expunged",
        ),
        (
            "INSERT INTO keyword_set VALUES (5, 1, 'x')",
            "1 rows of keyword_set belong to no mailbox",
        ),
        (
            "UPDATE run SET run = substr(run, 1, 50) WHERE id & 0xffffffff = 1",
            "run of messages from UID 1 makes no sense",
        ),
        (
            "UPDATE run SET id = id + 1 WHERE id & 0xffffffff = 257",
            "run of messages from UID 258 makes no sense",
        ),
        (
            "INSERT INTO run SELECT (2 << 32) + 1, run FROM run LIMIT 1",
            "1 rows of run belong to no mailbox",
        ),
    ];
    for (damage, said) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.db");
        let index = filled(&path, 600);
        assert_eq!(index.problems().unwrap(), Vec::<String>::new());
        drop(index);
        let raw = rusqlite::Connection::open(&path).unwrap();
        assert!(raw.execute(damage, []).unwrap() > 0, "{damage}");
        drop(raw);
        let index = open(&path);
        let problems = index.problems().unwrap();
        assert!(
            problems.iter().any(|problem| problem.contains(said)),
            "{damage}: {problems:?}"
        );
        if said.contains("makes no sense") {
            assert!(
                matches!(index.messages(1), Err(IndexError::Damaged(_))),
                "{damage}"
            );
            let saved = index.salvage_messages(1, 601).len();
            assert!((300..600).contains(&saved), "{damage}: {saved}");
        }
    }
}

#[test]
fn header_groups_make_room_for_those_wanted_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = filled(&dir.path().join("index.db"), 3);
    let fields = |from: u32, to: u32| (from..to).map(|n| format!("X-{n}")).collect::<Vec<_>>();
    let add = |index: &mut Index, fields: &[String], now| {
        index
            .transaction(|t| t.add_header_group(1, fields, now))
            .unwrap()
    };
    let one = add(&mut index, &fields(0, 20), 10).unwrap();
    let two = add(&mut index, &fields(20, 40), 20).unwrap();
    index
        .transaction::<_, IndexError>(|t| {
            assert!(t.set_header_value(one, uid(1), b"1")?);
            assert!(t.set_header_value(two, uid(1), b"2")?);
            assert!(!t.set_header_value(two, uid(2), &[0; 20_000])?);
            t.want_header_group(one, 30)
        })
        .unwrap();
    let three = add(&mut index, &fields(40, 60), 40).unwrap();
    let groups = index.header_groups(1).unwrap();
    let ids: Vec<u32> = groups.iter().map(|group| group.id).collect();
    assert_eq!(ids, [one, three]);
    assert_eq!(groups[0].fields, fields(0, 20));
    let values = |group| {
        let mut values = Vec::new();
        index
            .header_values(group, &set(1..=3), &mut |uid, value| {
                values.push((uid.value(), value.to_vec()))
            })
            .unwrap();
        values
    };
    assert_eq!(values(one), [(1, b"1".to_vec())]);
    assert_eq!(values(two), []);
    assert_eq!(add(&mut index, &fields(0, 99), 50), None);
    assert_eq!(add(&mut index, &["X Y".to_owned()], 50), None);
}
