//! A message is scanned the same in any pieces, and no part lies outside it.
#![no_main]
use facteur_message::{Limits, Scanner, SectionText, headers, scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let whole = scan(message);
    assert_eq!(whole.stored_size, message.len() as u64);
    for size in [1, 5] {
        let mut scanner = Scanner::new(Limits::default());
        message.chunks(size).for_each(|piece| scanner.push(piece));
        assert_eq!(scanner.finish(), whole);
    }
    for path in [&[][..], &[1], &[2], &[1, 1], &[1, 2, 1]] {
        for text in [
            SectionText::Whole,
            SectionText::Header,
            SectionText::Text,
            SectionText::Mime,
        ] {
            if let Some(range) = whole.structure.section(path, text) {
                assert!(range.start <= range.end && range.end <= message.len() as u64);
            }
        }
    }
    assert!(headers::fields(message).count() <= message.len());
});
