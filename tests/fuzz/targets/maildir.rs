//! `dovecot-uidlist`, `dovecot-keywords` and file names: whatever they hold, what is read of them is
//! written so that it is read alike.
#![no_main]
use facteur_maildir::{BaseNames, FileName, KeywordFile, Letters, Place, UidList};
use facteur_model::{Flags, Guid};
use libfuzzer_sys::fuzz_target;

const GUID: Guid = Guid::from_bytes([7; 16]);

fuzz_target!(|bytes: &[u8]| {
    uid_list(bytes);
    let keywords = KeywordFile::decode(bytes);
    assert_eq!(KeywordFile::decode(&keywords.encode()), keywords);
    for name in bytes.split(|byte| *byte == b'\n') {
        file_name(name);
    }
});

fn uid_list(bytes: &[u8]) {
    let Some(mut list) = UidList::decode(bytes) else {
        return;
    };
    let written = list.encode(GUID);
    let read = UidList::decode(&written).expect("what we wrote");
    assert_eq!(read.files.len(), list.files.len());
    assert_eq!(read.head.uid_next, list.head.uid_next);
    assert_eq!(read.encode(GUID), written);
    if list.is_sound && list.head.guid == Some(GUID) {
        assert!(read.is_sound);
    }
    let uids: Vec<_> = list.files.iter().map(|file| file.uid()).collect();
    for uid in uids {
        let file = list.files.get(uid).expect("it was listed");
        file.guid();
        let name = file.renamed(Flags::ALL, Letters::EMPTY, Letters::EMPTY);
        assert!(list.files.note(uid, Place::Cur, &name));
        let file = list.files.get(uid).expect("it was listed");
        assert_eq!(*file.name(), *name);
        assert_eq!(file.flags(), Flags::ALL);
    }
    list.files.retain(|uid| uid.value() % 2 == 0);
    assert!(list.files.iter().all(|file| FileName::parse(file.base()).is_some()));
}

fn file_name(name: &[u8]) {
    BaseNames::mark(name);
    let Some(read) = FileName::parse(name) else {
        return;
    };
    let _ = (read.size(), read.virtual_size(), read.made());
    let (flags, letters) = (read.flags(), read.letters());
    let once = read.with(flags, letters);
    let again = FileName::parse(&once).expect("what we wrote");
    assert_eq!(again.base(), read.base());
    assert_eq!((again.flags(), again.letters()), (flags, letters));
    assert_eq!(again.with(flags, letters), once);
}
