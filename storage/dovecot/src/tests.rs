//! What is written is read again; what is damaged is refused or cut, and never a panic.

use facteur_model::{Flags, Guid, ModSeq, Uid, UidValidity};
use proptest::prelude::*;

use crate::{
    Files, MailboxImage, MessageImage, Remark, Unreadable,
    log::{kind, packed_size},
    read, write,
};

fn image(keywords: usize, messages: &[(u32, u8, u32, u64)]) -> MailboxImage {
    let all: Vec<u16> = (0..u16::try_from(keywords).unwrap()).collect();
    let sets = std::iter::once(Vec::new())
        .chain(all.iter().map(|keyword| vec![*keyword]))
        .chain((keywords > 1).then(|| all.clone()));
    let sets: Vec<Vec<u16>> = sets.collect();
    let (mut uid, mut used) = (0, vec![Vec::new()]);
    let messages = messages.iter().map(|(step, flags, set, modseq)| {
        uid += step;
        let set = &sets[*set as usize % sets.len()];
        let found = used.iter().position(|known| known == set);
        let keywords = found.unwrap_or_else(|| {
            used.push(set.clone());
            used.len() - 1
        });
        MessageImage {
            uid: Uid::new(uid).unwrap(),
            flags: Flags::from_bits(*flags),
            keywords: u32::try_from(keywords).unwrap(),
            modseq: ModSeq::new(*modseq),
        }
    });
    let messages: Vec<MessageImage> = messages.collect();
    MailboxImage {
        uid_validity: UidValidity::new(77).unwrap(),
        next_uid: u64::from(uid) + 5,
        highest_modseq: ModSeq::new(1 << 40),
        guid: Some(Guid::from_bytes([7; 16])),
        first_recent_uid: uid + 1,
        keywords: (0..keywords).map(|at| format!("keyword{at}")).collect(),
        keyword_sets: used,
        messages,
    }
}

fn small() -> MailboxImage {
    image(
        3,
        &[(1, 0, 0, 5), (1, 8, 1, 6), (3, 31, 4, 7), (1, 2, 2, 8)],
    )
}

fn files<'a>(index: &'a [u8], log: &'a [u8]) -> Files<'a> {
    Files {
        index: Some(index),
        log: Some(log),
        ..Files::default()
    }
}

/// A record of a log.
fn record(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = packed_size(u32::try_from(data.len()).unwrap() + 8).to_vec();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(data);
    out
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// What `small` becomes by these records.
fn after(records: &[Vec<u8>]) -> crate::Reading {
    let mut written = write(&small(), 1000);
    records.iter().for_each(|record| written.log.extend(record));
    read(&files(&written.index, &written.log)).unwrap()
}

fn uids(image: &MailboxImage) -> Vec<u32> {
    image.messages.iter().map(|m| m.uid.value()).collect()
}

#[test]
fn expunges_count_when_they_have_happened() {
    let expunge = kind::EXPUNGE | kind::EXPUNGE_GUARD;
    let asked = after(&[record(expunge, &words(&[1, 2]))]);
    assert_eq!(uids(&asked.image), [1, 2, 5, 6]);
    let happened = after(&[record(expunge | kind::EXTERNAL, &words(&[6, 9, 1, 2]))]);
    assert_eq!(uids(&happened.image), [5]);
    assert_eq!(happened.image.messages[0].flags, Flags::ALL);
    assert_eq!(happened.image.keyword_names(1).count(), 3);
    assert_eq!(happened.image.next_uid, 11);
    let unguarded = after(&[record(kind::EXPUNGE | kind::EXTERNAL, &words(&[1, 2]))]);
    assert_eq!(uids(&unguarded.image), [1, 2, 5, 6]);
    assert_eq!(unguarded.remarks, [Remark::Skipped(1)]);
    let guid = kind::EXPUNGE_GUID | kind::EXPUNGE_GUARD | kind::EXTERNAL;
    let by_guid = after(&[record(guid, &words(&[5, 0, 0, 0, 0]))]);
    assert_eq!(uids(&by_guid.image), [1, 2, 6]);
}

#[test]
fn changes_raise_modseqs_as_dovecot_counts_them() {
    let flags = |add: u32| record(kind::FLAGS, &words(&[2, 5, add, 0]));
    let reading = after(&[
        record(kind::APPEND, &words(&[11, 8, 12, 0])),
        flags(4),
        // Only Dovecot itself sees this one.
        flags(0x40),
        record(
            kind::KEYWORDS,
            &[&[0, 0, 3, 0][..], b"NEW\0", &words(&[12, 12])].concat(),
        ),
        record(
            kind::KEYWORDS,
            &[&[1, 0, 8, 0][..], b"KEYWORD0", &words(&[1, 12])].concat(),
        ),
        record(kind::MODSEQ, &words(&[1, 0, 1 << 9])),
    ]);
    assert_eq!(reading.remarks, []);
    let image = reading.image;
    let base = 1_u64 << 40;
    let modseqs: Vec<u64> = image.messages.iter().map(|m| m.modseq.value()).collect();
    let (all, own) = (base + 4, 1 << 41);
    assert_eq!(modseqs, [own, all, all, all, all, all]);
    assert_eq!(image.highest_modseq.value(), own);
    assert_eq!(image.next_uid, 13);
    assert_eq!(image.messages[1].flags.bits(), 12);
    let names = |at: usize| {
        let names = image.keyword_names(image.messages[at].keywords);
        names.collect::<Vec<_>>().join(" ")
    };
    let all: Vec<String> = (0..6).map(names).collect();
    assert_eq!(all, ["", "", "keyword1 keyword2", "keyword1", "", "NEW"]);
}

#[test]
fn a_mailbox_that_has_only_a_log_is_read_from_it() {
    let mut log = write(&small(), 1000).log;
    log[12..20].fill(0);
    let intro = [
        &words(&[u32::MAX, 0, 24, 0])[..],
        &[0, 0, 8, 0],
        b"dbox-hdr",
    ]
    .concat();
    let guid = [&[4, 0, 16, 0][..], &[9; 16]].concat();
    let validity = [&[24, 0, 4, 0][..], &words(&[4711])].concat();
    for one in [
        record(kind::EXT_INTRO, &intro),
        record(kind::EXT_HEADER, &guid),
        record(kind::HEADER | kind::EXTERNAL, &validity),
        record(kind::APPEND, &words(&[3, 8])),
    ] {
        log.extend(one);
    }
    let only = Files {
        log: Some(&log),
        ..Files::default()
    };
    let reading = read(&only).unwrap();
    assert_eq!(reading.remarks, []);
    assert_eq!(reading.image.uid_validity.value(), 4711);
    assert_eq!(reading.image.guid, Some(Guid::from_bytes([9; 16])));
    assert_eq!(uids(&reading.image), [3]);
    // An older index makes way for a log that begins anew.
    let written = write(&small(), 1000);
    let reading = read(&files(&written.index, &log)).unwrap();
    assert_eq!(reading.image.uid_validity.value(), 4711);
    log[12] = 1;
    assert_eq!(read(&only_log(&log)), Err(Unreadable::NoBeginning));
}

fn only_log(log: &[u8]) -> Files<'_> {
    Files {
        log: Some(log),
        ..Files::default()
    }
}

#[test]
fn a_log_is_cut_where_its_last_record_is_not_whole() {
    let append = record(kind::APPEND, &words(&[11, 0]));
    let whole = [write(&small(), 1000).log, append].concat();
    let index = write(&small(), 1000).index;
    for cut in 40..whole.len() {
        let reading = read(&files(&index, &whole[..cut])).unwrap();
        assert_eq!(reading.image, small(), "{cut}");
        let expected: &[Remark] = if cut == 40 { &[] } else { &[Remark::CutLog] };
        assert_eq!(reading.remarks, expected, "{cut}");
    }
    // What a boundary announces counts only when all of it is there.
    let boundary = record(kind::BOUNDARY | kind::EXTERNAL, &words(&[1000]));
    let append = record(kind::APPEND, &words(&[11, 0]));
    let reading = after(&[boundary, append]);
    assert_eq!(reading.image, small());
    assert_eq!(reading.remarks, [Remark::CutLog]);
}

#[test]
fn what_is_not_understood_is_refused() {
    let written = write(&small(), 1000);
    let with = |at: usize, value: u8| {
        let mut index = written.index.clone();
        index[at] = value;
        read(&Files {
            index: Some(&index),
            log: Some(&written.log),
            ..Files::default()
        })
    };
    // Without the index the log does not suffice; with a log from the beginning it would.
    for (at, value) in [(0, 8), (12, 0), (2, 119), (4, 255), (8, 7)] {
        assert_eq!(with(at, value), Err(Unreadable::NoBeginning), "{at}");
    }
    let mut other = written.index.clone();
    other[0] = 6;
    let reading = read(&Files {
        index: Some(&other),
        log: Some(&written.log),
        backup: Some(&written.index),
        log2: None,
    });
    let reading = reading.unwrap();
    assert_eq!(reading.image, small());
    let version = Unreadable::Version {
        what: "index",
        version: 6,
    };
    assert_eq!(reading.remarks, [Remark::Index(version)]);
    assert_eq!(read(&Files::default()), Err(Unreadable::Missing));
}

#[test]
fn a_log_of_another_index_is_left_alone() {
    let written = write(&small(), 1000);
    let mut log = write(&small(), 1001).log;
    log.extend(record(kind::APPEND, &words(&[11, 0])));
    let reading = read(&files(&written.index, &log)).unwrap();
    assert_eq!(reading.image, small());
    assert!(matches!(reading.remarks[..], [Remark::Log(_)]));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        keywords in 0usize..80,
        messages in prop::collection::vec((1u32..4, 0u8..32, 0u32..90, 1u64..1 << 39), 0..50),
    ) {
        let image = image(keywords, &messages);
        let written = write(&image, 1000);
        let reading = read(&files(&written.index, &written.log)).unwrap();
        prop_assert_eq!(reading.image, image);
        prop_assert_eq!(reading.remarks, vec![]);
    }

    #[test]
    fn an_index_is_cut_at_a_record(cut in 0usize..1000) {
        let written = write(&small(), 1000);
        let index = &written.index[..cut.min(written.index.len())];
        match read(&files(index, &written.log)) {
            Err(error) => prop_assert_eq!(error, Unreadable::NoBeginning),
            Ok(reading) => {
                let left = reading.image.messages.len();
                prop_assert_eq!(&reading.image.messages[..], &small().messages[..left]);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        kinds in prop::collection::vec((0u32..22, any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut written = write(&small(), 1000);
        for (bit, external, mut data) in kinds {
            data.resize(data.len().next_multiple_of(4), 0);
            let kind = 1 << bit | u32::from(external) << 28;
            let guard = if bit == 0 || bit == 13 { kind::EXPUNGE_GUARD } else { 0 };
            written.log.extend(record(kind | guard, &data));
        }
        for (at, byte) in changes {
            let len = written.index.len();
            let at = at.index(len + written.log.len());
            match at.checked_sub(len) {
                None => written.index[at] = byte,
                Some(at) => written.log[at] = byte,
            }
        }
        let _ = read(&files(&written.index, &written.log));
        let _ = read(&Files { log2: Some(&written.index), ..only_log(&written.log) });
    }
}
