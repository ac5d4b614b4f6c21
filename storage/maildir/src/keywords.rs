//! `dovecot-keywords`: which keyword each letter of a folder stands for.

use std::{io, path::Path};

use facteur_disk::Disk;
use facteur_model::Keyword;

use crate::{Letter, Letters};

/// A folder's letters: `<index> <keyword>` a line.
///
/// A letter once given stands for its keyword for good: files may carry it that nobody has looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeywordFile {
    /// By their letters; what is no keyword for us keeps its place.
    names: [Option<String>; Letter::COUNT],
}

impl KeywordFile {
    /// Its name in a folder.
    pub const NAME: &str = "dovecot-keywords";

    /// Reads the file of the folder `dir`; a missing one is empty.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(disk: &Disk, dir: &Path) -> io::Result<Self> {
        match disk.read(&dir.join(Self::NAME)) {
            Ok(bytes) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the file, durable only with what is synced later. Before a message's file gets a
    /// letter, the file that says what it means must be there.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn write_unsynced(&self, disk: &Disk, dir: &Path) -> io::Result<()> {
        disk.write_unsynced(&dir.join(Self::NAME), &self.encode())
    }

    /// Of the file's bytes. Lines that say nothing are passed over; of two that say the same the
    /// first one counts, as with Dovecot.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut read = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            let Some((index, name)) = line.split_once(' ') else {
                continue;
            };
            let index = index.parse().ok().and_then(Letter::new);
            if let Some(letter) = index
                && !name.is_empty()
                && read.find(name).is_none()
                && let Some(place @ None) = read.names.get_mut(letter.index())
            {
                *place = Some(name.to_owned());
            }
        }
        read
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let lines = self.names.iter().enumerate();
        let lines = lines.filter_map(|(index, name)| Some(format!("{index} {}\n", name.as_ref()?)));
        lines.collect::<String>().into_bytes()
    }

    fn find(&self, name: &str) -> Option<Letter> {
        let same = |known: &Option<String>| {
            known
                .as_ref()
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        self.names.iter().position(same).and_then(Letter::new)
    }

    /// The letter of a keyword.
    pub fn letter(&self, keyword: &Keyword) -> Option<Letter> {
        self.find(keyword.as_str())
    }

    /// The letter of a keyword, which gets one now unless it has one; `None` when all are taken.
    pub fn give(&mut self, keyword: &Keyword) -> Option<Letter> {
        self.letter(keyword).or_else(|| {
            let free = self.names.iter().position(Option::is_none)?;
            *self.names.get_mut(free)? = Some(keyword.as_str().to_owned());
            Letter::new(free)
        })
    }

    /// What a letter stands for.
    pub fn keyword(&self, letter: Letter) -> Option<Keyword> {
        let name = self.names.get(letter.index())?.as_ref()?;
        Keyword::parse(name)
    }

    /// What letters stand for.
    pub fn keywords(&self, letters: Letters) -> impl Iterator<Item = Keyword> {
        letters.iter().filter_map(|letter| self.keyword(letter))
    }

    /// The letters that stand for a keyword of ours. Others stay in a file's name whatever happens
    /// to its flags.
    pub fn known(&self) -> Letters {
        (0..Letter::COUNT)
            .filter_map(Letter::new)
            .filter(|letter| self.keyword(*letter).is_some())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keyword(text: &str) -> Keyword {
        Keyword::parse(text).unwrap()
    }

    #[test]
    fn a_file_that_dovecot_wrote_is_read_and_written_alike() {
        let bytes = b"0 $Forwarded\n1 custom\n";
        let mut read = KeywordFile::decode(bytes);
        assert_eq!(read.letter(&keyword("$forwarded")), Letter::from_byte(b'a'));
        assert_eq!(read.give(&keyword("Custom")), Letter::from_byte(b'b'));
        assert_eq!(read.encode(), bytes);
        assert_eq!(read.give(&keyword("new")), Letter::from_byte(b'c'));
        assert_eq!(read.encode(), b"0 $Forwarded\n1 custom\n2 new\n");
    }

    #[test]
    fn letters_of_what_is_no_keyword_stay_taken() {
        let text = "0 two words\n1 ok\nnothing\n1 twice\n2 OK\n26 far\n-1 x\n4 \n";
        let mut read = KeywordFile::decode(text.as_bytes());
        assert_eq!(read.encode(), b"0 two words\n1 ok\n");
        assert_eq!(read.known(), Letter::from_byte(b'b').into_iter().collect());
        assert_eq!(read.give(&keyword("new")), Letter::from_byte(b'c'));
    }

    #[test]
    fn the_27th_keyword_gets_no_letter() {
        let mut file = KeywordFile::default();
        for n in 0..26 {
            assert!(file.give(&keyword(&format!("k{n}"))).is_some());
        }
        assert_eq!(file.give(&keyword("k26")), None);
        assert_eq!(KeywordFile::decode(&file.encode()), file);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_written_alike(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read = KeywordFile::decode(&bytes);
            prop_assert_eq!(KeywordFile::decode(&read.encode()), read);
        }
    }
}
