//! The name of a message's file: `<base>:2,<flags>`.
//!
//! The base never changes: it is what `dovecot-uidlist` lists, and the message's GUID unless that
//! says otherwise. It may carry sizes: `,S=` that of the file, `,W=` that with CRLF line ends. Flags
//! are letters in ASCII order: `D F R S T` for flags, `a` to `z` for keywords; any other (`P`, say)
//! is nobody's business here and kept.

use facteur_model::{Flag, Flags, Guid};
use sha1::{Digest, Sha1};

use crate::{Letter, Letters};

/// What stands between the base and the flags.
const INFO: u8 = b':';
/// What the flags begin with.
const FLAGS: &[u8] = b"2,";
/// The flags that stand in a name, by their letters in ASCII order.
const KNOWN: [(u8, Flag); 5] = [
    (b'D', Flag::Draft),
    (b'F', Flag::Flagged),
    (b'R', Flag::Answered),
    (b'S', Flag::Seen),
    (b'T', Flag::Deleted),
];

/// A message's file name, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileName<'a> {
    whole: &'a [u8],
    base: &'a [u8],
}

impl<'a> FileName<'a> {
    /// `None` when there is no base, when the name begins with a dot (no message's does), or has a
    /// byte that no line of `dovecot-uidlist` can hold.
    pub fn parse(whole: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(INFO, whole).unwrap_or(whole.len());
        let base = whole.get(..end)?;
        let listed = memchr::memchr3(b'\n', b'/', 0, whole).is_none();
        (listed && !base.is_empty() && !base.starts_with(b".")).then_some(Self { whole, base })
    }

    /// The whole name.
    pub fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// What never changes.
    pub fn base(&self) -> &'a [u8] {
        self.base
    }

    /// What stays when the flags change, and the old flags with what follows them. A colon in the
    /// middle of a name belongs to it: the last one counts.
    fn split(&self) -> (&'a [u8], &'a [u8]) {
        let Some(at) = memchr::memrchr(INFO, self.whole) else {
            return (self.whole, b"");
        };
        let (stays, info) = self.whole.split_at_checked(at).unwrap_or((self.whole, b""));
        let info = info.get(1..).unwrap_or_default();
        (stays, info.strip_prefix(FLAGS).unwrap_or_default())
    }

    /// The letters of the flags, and further sets of them behind a comma.
    fn letters_and_rest(&self) -> (&'a [u8], &'a [u8]) {
        let (_, flags) = self.split();
        let end = memchr::memchr(b',', flags).unwrap_or(flags.len());
        flags.split_at_checked(end).unwrap_or((flags, b""))
    }

    /// Whether it says nothing of flags: not even that there are none.
    pub fn is_bare(&self) -> bool {
        self.base.len() == self.whole.len()
    }

    /// Its flags.
    pub fn flags(&self) -> Flags {
        let (letters, _) = self.letters_and_rest();
        KNOWN
            .iter()
            .filter(|(letter, _)| letters.contains(letter))
            .map(|(_, flag)| *flag)
            .collect()
    }

    /// Its keywords.
    pub fn letters(&self) -> Letters {
        let (letters, _) = self.letters_and_rest();
        letters
            .iter()
            .copied()
            .filter_map(Letter::from_byte)
            .collect()
    }

    /// The name with other flags and keywords. Whatever else it says stays.
    pub fn with(&self, flags: Flags, letters: Letters) -> Vec<u8> {
        let (stays, _) = self.split();
        let (old, rest) = self.letters_and_rest();
        let mut name = Vec::with_capacity(self.whole.len() + 8);
        name.extend_from_slice(stays);
        name.push(INFO);
        name.extend_from_slice(FLAGS);
        let begin = name.len();
        push_flags(&mut name, flags, letters);
        let known = |byte: &u8| {
            KNOWN.iter().any(|(letter, _)| letter == byte) || Letter::from_byte(*byte).is_some()
        };
        let before = name.len();
        name.extend(old.iter().filter(|byte| !known(byte)));
        if name.len() > before {
            name.get_mut(begin..).unwrap_or_default().sort_unstable();
        }
        name.extend_from_slice(rest);
        name
    }

    /// The name of a message that never had another: `base` and its flags.
    pub fn build(base: &[u8], flags: Flags, letters: Letters) -> Vec<u8> {
        let mut name = Vec::with_capacity(base.len() + 12);
        name.extend_from_slice(base);
        name.push(INFO);
        name.extend_from_slice(FLAGS);
        push_flags(&mut name, flags, letters);
        name
    }

    /// Size of the file, or of what is in it when that is compressed.
    pub fn size(&self) -> Option<u64> {
        self.number(b'S')
    }

    /// Size with CRLF line ends: RFC822.SIZE.
    pub fn virtual_size(&self) -> Option<u64> {
        self.number(b'W')
    }

    /// The value of `,S=` or `,W=`.
    fn number(&self, key: u8) -> Option<u64> {
        let field = |field: &&[u8]| field.starts_with(&[key, b'=']);
        let value = self.base.split(|byte| *byte == b',').skip(1).find(field)?;
        let digits = value.get(2..)?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// When the file was made, as its base says: seconds and microseconds. Messages found together
    /// get their UIDs in this order, and in that of their names.
    pub fn made(&self) -> (u64, u64) {
        let (seconds, rest) = leading_number(self.base);
        // `.M123…`, or with other fields before it.
        let unique = rest.strip_prefix(b".").unwrap_or_default();
        let unique = unique
            .split(|byte| *byte == b'.')
            .next()
            .unwrap_or_default();
        let at = memchr::memchr(b'M', unique).map_or(unique.len(), |at| at + 1);
        let (micros, _) = leading_number(unique.get(at..).unwrap_or_default());
        (seconds, micros)
    }
}

fn leading_number(text: &[u8]) -> (u64, &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text
        .split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or_default();
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    let number = if digits.is_empty() {
        0
    } else {
        digits.parse().unwrap_or(u64::MAX)
    };
    (number, rest)
}

/// In ASCII order.
fn push_flags(name: &mut Vec<u8>, flags: Flags, letters: Letters) {
    let known = KNOWN.iter().filter(|(_, flag)| flags.contains(*flag));
    name.extend(known.map(|(letter, _)| *letter));
    name.extend(letters.iter().map(Letter::byte));
}

/// The GUID of a message, 128 bits, from the text that Dovecot calls its GUID: that in
/// `dovecot-uidlist`, else the base of its file name. A text that is none itself is hashed.
pub fn guid_of(text: &[u8]) -> Guid {
    let parsed = std::str::from_utf8(text).ok().and_then(Guid::parse);
    parsed.unwrap_or_else(|| {
        let hash = Sha1::digest(text);
        let mut guid = [0; 16];
        // The last of its 20 bytes, as Dovecot does.
        for (to, from) in guid.iter_mut().zip(hash.iter().skip(4)) {
            *to = *from;
        }
        Guid::from_bytes(guid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(name: &str) -> FileName<'_> {
        FileName::parse(name.as_bytes()).unwrap()
    }

    fn letters(text: &str) -> Letters {
        text.bytes().filter_map(Letter::from_byte).collect()
    }

    #[test]
    fn a_name_that_dovecot_wrote_is_taken_apart() {
        let name = parsed("1795222454.M315376P23599.vm,S=17,W=20:2,DFSab");
        assert_eq!(name.base(), b"1795222454.M315376P23599.vm,S=17,W=20");
        let flags = [Flag::Draft, Flag::Flagged, Flag::Seen];
        assert_eq!(name.flags(), flags.into_iter().collect());
        assert_eq!(name.letters(), letters("ab"));
        assert_eq!((name.size(), name.virtual_size()), (Some(17), Some(20)));
        assert!(!name.is_bare());
    }

    #[test]
    fn names_that_other_programs_write_are_taken_apart() {
        for (name, flags, keywords) in [
            ("1.2.host", "", ""),
            ("1.2.host:", "", ""),
            ("1.2.host:2", "", ""),
            ("1.2.host:2,", "", ""),
            ("1.2.host:1,S", "", ""),
            ("1.2.host:2,PS", "S", ""),
            ("1.2.host:2,TS", "ST", ""),
            ("1.2.host:2,Sa,b", "S", "a"),
            ("1.2.host:3:2,S", "S", ""),
            ("msg.17", "", ""),
        ] {
            let read = parsed(name);
            let seen: String = KNOWN
                .iter()
                .filter(|(_, flag)| read.flags().contains(*flag))
                .map(|(letter, _)| char::from(*letter))
                .collect();
            assert_eq!(
                (seen.as_str(), read.letters()),
                (flags, letters(keywords)),
                "{name}"
            );
        }
        for bad in ["", ":2,S", ".hidden", "a\nb", "a/b", "a\0"] {
            assert_eq!(FileName::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn changed_flags_keep_what_is_not_ours() {
        let seen = Flags::EMPTY.with(Flag::Seen);
        for (name, expected) in [
            ("1.2.h", "1.2.h:2,Sc"),
            ("1.2.h:2,", "1.2.h:2,Sc"),
            ("1.2.h:2,DFRTabz", "1.2.h:2,Sc"),
            ("1.2.h:2,PZ", "1.2.h:2,PSZc"),
            ("1.2.h:2,F,x=y", "1.2.h:2,Sc,x=y"),
            ("1.2.h:1,old", "1.2.h:2,Sc"),
            ("1:2.h:2,T", "1:2.h:2,Sc"),
        ] {
            let name = parsed(name).with(seen, letters("c"));
            assert_eq!(String::from_utf8(name).unwrap(), expected);
        }
    }

    #[test]
    fn sizes_are_read_only_where_they_are_whole() {
        for (name, size) in [
            ("1.2.h,S=5", Some(5)),
            ("1.2.h,W=9,S=5:2,S", Some(5)),
            ("1.2.h,S=5x", None),
            ("1.2.h,S=", None),
            ("1.2.h,S=+5", None),
            ("1.2.h,S=99999999999999999999", None),
            ("S=5", None),
            ("1.2.h:2,S=5", None),
        ] {
            assert_eq!(parsed(name).size(), size, "{name}");
        }
    }

    #[test]
    fn names_say_in_which_order_files_were_made() {
        let mut names = [
            "2.M1.h",
            "1.M20P1.h",
            "1.M3P9.h",
            "msg.1",
            "1.Q1M4.h",
            "1.x",
        ];
        names.sort_by_key(|name| (parsed(name).made(), *name));
        assert_eq!(
            names,
            [
                "msg.1",
                "1.x",
                "1.M3P9.h",
                "1.Q1M4.h",
                "1.M20P1.h",
                "2.M1.h"
            ]
        );
    }

    #[test]
    fn guid_is_that_of_dovecot() {
        // `doveadm fetch "guid search-guid"`, that is SHA-1 without its first four bytes.
        let hash = guid_of(b"abc");
        assert_eq!(hash.to_string(), "4706816aba3e25717850c26c9cd0d89d");
        let given = "51e4ba119ec1006b706e00083ecc375f";
        assert_eq!(guid_of(given.as_bytes()).to_string(), given);
    }

    proptest! {
        #[test]
        fn flags_written_are_read(bits in 0u8..32, keywords: u32, base in "[0-9a-zA-Z.,=_-]{1,40}") {
            prop_assume!(!base.starts_with('.'));
            let flags = Flags::from_bits(bits);
            let letters: Letters = (0..26).filter(|i| keywords & 1 << i != 0).filter_map(Letter::new).collect();
            let name = FileName::build(base.as_bytes(), flags, letters);
            let read = FileName::parse(&name).unwrap();
            prop_assert_eq!(read.base(), base.as_bytes());
            prop_assert_eq!((read.flags(), read.letters()), (flags, letters));
            prop_assert_eq!(read.with(flags, letters), name);
        }

        #[test]
        fn any_name_keeps_its_base_and_what_is_unknown(name in prop::collection::vec(any::<u8>(), 0..60), bits in 0u8..32) {
            if let Some(read) = FileName::parse(&name) {
                let flags = Flags::from_bits(bits);
                let once = read.with(flags, Letters::EMPTY);
                let again = FileName::parse(&once).unwrap();
                prop_assert_eq!(again.base(), read.base());
                prop_assert_eq!((again.flags(), again.letters()), (flags, Letters::EMPTY));
                prop_assert_eq!(again.with(flags, Letters::EMPTY), once.clone());
                let back = again.with(read.flags(), read.letters());
                prop_assert_eq!(FileName::parse(&back).unwrap().flags(), read.flags());
            }
        }
    }
}
