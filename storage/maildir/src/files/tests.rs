//! What is noted of files, and what is kept.

use super::*;
use crate::Letter;
use facteur_model::Flag;
use proptest::prelude::*;

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

#[test]
fn an_entry_is_small() {
    assert_eq!(size_of::<Entry>(), 20);
}

#[test]
fn names_follow_what_is_noted() {
    let mut files = Files::default();
    assert!(files.push(
        uid(3),
        b"G51e4ba119ec1006b706e00083ecc375f P7",
        b"1.M2.h,S=5"
    ));
    for name in [
        "1.M2.h,S=5",
        "1.M2.h,S=5:2,",
        "1.M2.h,S=5:2,FSab",
        "1.M2.h,S=5:2,PS",
        "1.M2.h,S=5:2,S",
    ] {
        for place in [Place::New, Place::Cur] {
            assert!(files.note(uid(3), place, name.as_bytes()));
            let file = files.get(uid(3)).unwrap();
            assert_eq!(file.name(), name.as_bytes());
            assert_eq!(file.place(), place);
        }
    }
    assert!(files.odd.is_empty());
    let file = files.get(uid(3)).unwrap();
    assert_eq!(file.guid().to_string(), "51e4ba119ec1006b706e00083ecc375f");
    assert_eq!(file.extension(b'P'), Some(&b"7"[..]));
    assert_eq!(
        file.path(Path::new("/m")),
        Path::new("/m/cur/1.M2.h,S=5:2,S")
    );
    assert!(!files.note(uid(3), Place::Cur, b"2.M2.h:2,S"));
    assert!(!files.note(uid(4), Place::Cur, b"1.M2.h,S=5:2,S"));
    for (number, base) in [(3, "2.h"), (4, "a:2,"), (4, ""), (4, ".a"), (4, "a\nb")] {
        assert!(!files.push(uid(number), b"", base.as_bytes()), "{base}");
    }
}

#[test]
fn a_letter_without_a_keyword_stays() {
    let mut files = Files::default();
    files.push(uid(1), b"", b"1.h");
    files.note(uid(1), Place::New, b"1.h:2,Tabq");
    let letters = |text: &str| text.bytes().filter_map(Letter::from_byte).collect();
    let seen = Flags::EMPTY.with(Flag::Seen);
    let name = files
        .get(uid(1))
        .unwrap()
        .renamed(seen, letters("b"), letters("ab"));
    assert_eq!(name, b"1.h:2,Sbq");
}

proptest! {
    #[test]
    fn what_is_kept_is_unchanged(lengths in prop::collection::vec(1usize..40, 1..60), kept: u64) {
        let mut files = Files::default();
        let base = |n: u32, length: usize| format!("{n}.{}", "x".repeat(length));
        for (n, length) in (1..).zip(&lengths) {
            prop_assert!(files.push(uid(n), b"W1", base(n, *length).as_bytes()));
        }
        let stays = |uid: Uid| kept & (1 << (uid.value() % 64)) != 0;
        files.retain(stays);
        for (n, length) in (1..).zip(&lengths) {
            let number = uid(n);
            let found = files.get(number);
            prop_assert_eq!(found.is_some(), stays(number));
            if let Some(file) = found {
                let base = base(n, *length);
                prop_assert_eq!(file.base(), base.as_bytes());
                prop_assert_eq!(file.extensions(), b"W1");
            }
        }
    }
}
