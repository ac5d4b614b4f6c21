//! What the tests share: a small journal, and records that know who they are.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use facteur_disk::Disk;
use facteur_journal::{Clock, Journal, JournalError, Lsn, Options, Recovered};

/// Options for small segments, so that a test meets many.
pub(crate) fn options(dir: &Path) -> Options {
    Options {
        segment_size: 16 << 10,
        ..Options::new(dir)
    }
}

/// Opens a journal, on a disk without faults.
pub(crate) fn open(dir: &Path) -> (Journal, Recovered) {
    Journal::open(Disk::real().without_syncs(), options(dir)).unwrap()
}

/// All records with their positions, which grow.
pub(crate) fn records(recovered: &Recovered) -> Vec<(Lsn, Vec<u8>)> {
    let mut reader = recovered.records();
    let (mut found, mut last) = (Vec::new(), Lsn::default());
    while let Some((lsn, body)) = reader.read().unwrap() {
        assert!(lsn > last, "{lsn} after {last}");
        last = lsn;
        found.push((lsn, body.to_vec()));
    }
    found
}

/// All records.
pub(crate) fn bodies(recovered: &Recovered) -> Vec<Vec<u8>> {
    records(recovered)
        .into_iter()
        .map(|(_, body)| body)
        .collect()
}

/// What `visit` shows.
pub(crate) fn visited(journal: &Journal) -> Vec<(Lsn, Vec<u8>)> {
    let mut found = Vec::new();
    let done: Result<(), JournalError> = journal.visit(|lsn, body| {
        found.push((lsn, body.to_vec()));
        Ok(())
    });
    done.unwrap();
    found
}

/// Record `number` of writer `writer`: it says so, and its length differs from others'.
pub(crate) fn body(writer: u32, number: u32) -> Vec<u8> {
    let size = 8 + (number as usize * 37 + writer as usize * 11) % 700;
    let mut body = vec![(number % 251) as u8; size];
    body[..4].copy_from_slice(&writer.to_le_bytes());
    body[4..8].copy_from_slice(&number.to_le_bytes());
    body
}

/// Who a record is; its content must be the one it was made with.
pub(crate) fn who(found: &[u8]) -> (u32, u32) {
    let writer = u32::from_le_bytes(found[..4].try_into().unwrap());
    let number = u32::from_le_bytes(found[4..8].try_into().unwrap());
    assert_eq!(found, body(writer, number), "a record changed");
    (writer, number)
}

/// A clock that a test turns.
#[derive(Clone)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn new() -> (Self, Clock) {
        let hand = Self(Arc::default());
        let (shown, zero) = (hand.clone(), Instant::now());
        let clock =
            Clock::new(move || zero + Duration::from_millis(shown.0.load(Ordering::SeqCst)));
        (hand, clock)
    }

    pub(crate) fn turn(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}
