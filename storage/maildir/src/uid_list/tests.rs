//! Lists that Dovecot wrote, others, and damaged ones.

use super::*;
use proptest::prelude::*;

const DOVECOT: &str = "3 V1795222456 N3 Gaf62d10db6eb006b255c000083ecc375\n\
    1 :1795222454.M315376P23599.vm,S=17,W=20\n\
    2 G51e4ba119ec1006b706e00083ecc375f W22 :msg.2\n\
    9 P :1795222454.M338775P23605.vm,S=20,W=20\n";

fn guid() -> Guid {
    Guid::parse("af62d10db6eb006b255c000083ecc375").unwrap()
}

#[test]
fn a_file_that_dovecot_wrote_is_read_and_written_alike() {
    let list = UidList::decode(DOVECOT.as_bytes()).unwrap();
    assert!(list.is_sound);
    assert_eq!(list.head.uid_validity.value(), 1_795_222_456);
    assert_eq!((list.head.uid_next, list.head.guid), (10, Some(guid())));
    let uids: Vec<u32> = list.files.iter().map(|file| file.uid().value()).collect();
    assert_eq!(uids, [1, 2, 9]);
    assert_eq!(
        list.files
            .get(Uid::new(2).unwrap())
            .unwrap()
            .extension(b'W'),
        Some(&b"22"[..])
    );
    let written = String::from_utf8(list.encode(guid())).unwrap();
    assert_eq!(written, DOVECOT.replace("N3", "N10"));
}

#[test]
fn version_1_is_read_and_written_as_3() {
    let list = UidList::decode(b"1 17 4\n1 1.M2.h,S=3\n3 msg.9\n").unwrap();
    assert!(!list.is_sound);
    assert_eq!((list.head.uid_next, list.head.guid), (4, None));
    let written = list.encode(guid());
    assert_eq!(
        String::from_utf8(written).unwrap(),
        format!("3 V17 N4 G{}\n1 :1.M2.h,S=3\n3 :msg.9\n", guid())
    );
}

#[test]
fn what_is_unknown_is_kept() {
    let text = format!("3 V1 N5 G{} P2 Xabc\n4 Zx W1 :a b\n", guid());
    let list = UidList::decode(text.as_bytes()).unwrap();
    assert!(list.is_sound);
    assert_eq!(list.encode(guid()), text.as_bytes());
}

#[test]
fn damaged_lines_are_passed_over() {
    let good = format!("3 V7 N1 G{}\n1 :a\n5 :b\n", guid());
    for bad in [
        "x\n",
        "0 :c\n",
        "4294967295 :c\n",
        "4294967296 :c\n",
        "6 c\n",
        "6 :\n",
        "6\n",
        "3 :c\n",
        "6 :a/b\n",
        "+6 :c\n",
        "6 x :c\n",
        "7 :c",
        "6 Gx :c:2,S\n",
        "\n",
    ] {
        let text = format!("{good}{bad}");
        let list = UidList::decode(text.as_bytes()).unwrap();
        assert!(!list.is_sound, "{bad:?}");
        let bases: Vec<_> = list.files.iter().take(2).map(|file| file.base()).collect();
        assert_eq!(bases, [b"a", b"b"], "{bad:?}");
        assert!(UidList::decode(&list.encode(guid())).unwrap().files.len() >= 2);
    }
    for bad in [
        "",
        "3 V7 N1",
        "3\n",
        "2 V1 N1\n",
        "3 V0 N1\n",
        "3 N1\n",
        "1 0 1\n",
        "1 5\n",
        "1 5 4294967296\n",
        "V1\n",
    ] {
        assert!(UidList::decode(bad.as_bytes()).is_none(), "{bad:?}");
    }
    for unsound in ["3 V7 N0 G0\n", "3 V7\n", "3 V7 N3\n"] {
        assert!(
            !UidList::decode(unsound.as_bytes()).unwrap().is_sound,
            "{unsound:?}"
        );
    }
}

#[test]
fn head_alone_says_what_the_whole_file_says() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let head = || Head::read(&disk, dir.path()).unwrap();
    assert_eq!(head(), None);
    let mut text = DOVECOT.to_owned();
    for lines in [0, 1, 50, 500] {
        for n in 0..lines {
            let last = UidList::decode(text.as_bytes()).unwrap().head.uid_next;
            text.push_str(&format!("{} :{n}.M{n}P{n}.host,S=1,W=1\n", last + 2));
        }
        for tail in ["", "99999 :torn"] {
            std::fs::write(dir.path().join(NAME), format!("{text}{tail}")).unwrap();
            assert_eq!(
                head(),
                UidList::decode(text.as_bytes()).map(|list| list.head)
            );
        }
    }
    for text in ["", "no line end", "4 V1\n"] {
        std::fs::write(dir.path().join(NAME), text).unwrap();
        assert_eq!(head(), None);
    }
}

#[test]
fn lines_are_appended() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(NAME), DOVECOT).unwrap();
    let mut lines = Vec::new();
    UidList::push_line(&mut lines, Uid::new(10).unwrap(), b"", b"x");
    UidList::push_line(&mut lines, Uid::new(12).unwrap(), b"G1 W2", b"y");
    UidList::append(&Disk::real(), dir.path(), &lines).unwrap();
    let written = std::fs::read_to_string(dir.path().join(NAME)).unwrap();
    assert_eq!(written, format!("{DOVECOT}10 :x\n12 G1 W2 :y\n"));
    assert!(
        UidList::read(&Disk::real(), dir.path())
            .unwrap()
            .unwrap()
            .is_sound
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        validity in 1u32.., next in 1u32..,
        messages in prop::collection::btree_map(1u32..u32::MAX, ("[A-Z][0-9a-z]{0,9}( [A-Z]x){0,2}|", "[0-9a-z,= ]{0,9}[0-9a-z]"), 0..20),
    ) {
        let mut files = Files::default();
        for (uid, (extensions, base)) in &messages {
            prop_assert!(files.push(Uid::new(*uid).unwrap(), extensions.as_bytes(), base.as_bytes()));
        }
        let uid_validity = UidValidity::new(validity).unwrap();
        let head = Head { uid_validity, uid_next: u64::from(next), guid: Some(guid()), other: Vec::new() };
        let list = UidList { head, files, is_sound: true };
        let bytes = list.encode(guid());
        let read = UidList::decode(&bytes).unwrap();
        prop_assert!(read.is_sound);
        prop_assert_eq!(read.encode(guid()), bytes);
        prop_assert_eq!(read.files.len(), messages.len());
        for (file, (uid, (extensions, base))) in read.files.iter().zip(&messages) {
            prop_assert_eq!(file.uid().value(), *uid);
            prop_assert_eq!((file.extensions(), file.base()), (extensions.as_bytes(), base.as_bytes()));
        }
    }

    #[test]
    fn any_bytes_are_read_as_they_are_written(head in "3 V[0-9]{1,2} N[0-9]|1 1 [1-9]|", rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&rest);
        if let Some(list) = UidList::decode(&bytes) {
            let written = list.encode(guid());
            let again = UidList::decode(&written).unwrap();
            prop_assert_eq!(again.files.len(), list.files.len());
            prop_assert_eq!(again.encode(guid()), written);
        }
    }
}
