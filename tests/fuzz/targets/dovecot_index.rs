//! A mailbox's index files, however damaged, make a mailbox that can be written and read again, or
//! are refused.
#![no_main]
use facteur_dovecot::{Files, Remark, read, write};
use libfuzzer_sys::fuzz_target;

/// Index, log and older log, each behind its length in two bytes.
fn parts(mut bytes: &[u8]) -> [Option<&[u8]>; 3] {
    [(); 3].map(|()| {
        let (len, rest) = bytes.split_at_checked(2)?;
        let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
        let (part, rest) = rest.split_at(len.min(rest.len()));
        bytes = rest;
        (!part.is_empty()).then_some(part)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let [index, log, log2] = parts(bytes);
    let files = Files {
        index,
        log,
        log2,
        backup: None,
    };
    let Ok(reading) = read(&files) else { return };
    let image = reading.image;
    assert!(image.messages.is_sorted_by(|a, b| a.uid < b.uid));
    let past_last = image
        .messages
        .last()
        .map_or(1, |m| u64::from(m.uid.value()) + 1);
    assert!(image.next_uid >= past_last);
    // The format has no UID 2^32 to give next.
    if image.next_uid > u64::from(u32::MAX) || image.keywords.iter().any(|k| k.contains('\0')) {
        return;
    }
    let written = write(&image, 1);
    let again = read(&Files {
        index: Some(&written.index),
        log: Some(&written.log),
        ..Files::default()
    })
    .expect("what we wrote is read");
    assert!(
        again
            .remarks
            .iter()
            .all(|remark| matches!(remark, Remark::CutLog)),
        "{:?}",
        again.remarks
    );
    assert_eq!(again.image.messages.len(), image.messages.len());
    for (one, other) in image.messages.iter().zip(&again.image.messages) {
        assert_eq!((one.uid, one.flags), (other.uid, other.flags));
        let names = |image: &facteur_dovecot::MailboxImage, set| {
            image
                .keyword_names(set)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&image, one.keywords),
            names(&again.image, other.keywords)
        );
    }
});
