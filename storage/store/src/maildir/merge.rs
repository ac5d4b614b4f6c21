//! Flags and keywords as a folder's names say them, against those that sessions see.

use std::{collections::HashMap, sync::Arc};

use facteur_maildir::{KeywordFile, Letters};
use facteur_model::{Flags, Keyword};

use super::names::letters_of;
use crate::{KeywordSetId, MessageState, keywords::KeywordTable};

/// What a name says.
pub(super) type Said = (Flags, Letters);

/// Sets of keywords as letters and back, each worked out once.
pub(super) struct Translator<'a> {
    file: &'a KeywordFile,
    pub(super) table: Arc<KeywordTable>,
    /// Sets that are new.
    pub(super) sets: Vec<(KeywordSetId, String)>,
    letters: HashMap<KeywordSetId, Letters>,
    numbers: HashMap<(KeywordSetId, Letters), KeywordSetId>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(file: &'a KeywordFile, table: Arc<KeywordTable>) -> Self {
        Self {
            file,
            table,
            sets: Vec::new(),
            letters: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// The letters of a set's keywords.
    fn letters(&mut self, set: KeywordSetId) -> Letters {
        let (file, table) = (self.file, &self.table);
        *self
            .letters
            .entry(set)
            .or_insert_with(|| letters_of(file, table.set(set)))
    }

    /// The letters that stand for something.
    fn meant(&self, letters: Letters) -> Letters {
        letters.difference(letters.difference(self.file.known()))
    }

    /// The set of what letters mean, and of those of `before` that have no letter.
    pub(super) fn set(&mut self, before: KeywordSetId, letters: Letters) -> KeywordSetId {
        if let Some(known) = self.numbers.get(&(before, letters)) {
            return *known;
        }
        let mut keywords: Vec<Keyword> = self.file.keywords(letters).collect();
        let without = self.table.set(before).iter();
        keywords.extend(without.filter(|k| self.file.letter(k).is_none()).cloned());
        let set = match self.table.find(&keywords) {
            Some(set) => set,
            None => match Arc::make_mut(&mut self.table).add(&keywords) {
                Ok((set, text)) => {
                    self.sets.push((set, text));
                    set
                }
                // There are too many of them: they stay in the name.
                Err(_) => before,
            },
        };
        self.numbers.insert((before, letters), set);
        set
    }

    /// What a message becomes whose name says `now`; `None` when it says what is known.
    ///
    /// `before` is what the name said when our own changes since were made; they stay, except where
    /// the other program changed the same flag.
    pub(super) fn merge(
        &mut self,
        message: &MessageState,
        before: Option<Said>,
        now: Said,
    ) -> Option<MessageState> {
        let held = (message.flags, self.letters(message.keywords));
        let now = (now.0, self.meant(now.1));
        let (flags, letters) = match before {
            None => now,
            Some((flags, letters)) => (
                changed(held.0, flags, now.0),
                changed_letters(held.1, self.meant(letters), now.1),
            ),
        };
        if (flags, letters) == held {
            return None;
        }
        let keywords = match letters == held.1 {
            true => message.keywords,
            false => self.set(message.keywords, letters),
        };
        let after = MessageState {
            flags,
            keywords,
            ..*message
        };
        (after != *message).then_some(after)
    }
}

/// `held` with what changed from `before` to `now`.
fn changed(held: Flags, before: Flags, now: Flags) -> Flags {
    held.difference(before.difference(now))
        .union(now.difference(before))
}

fn changed_letters(held: Letters, before: Letters, now: Letters) -> Letters {
    held.difference(before.difference(now))
        .union(now.difference(before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use facteur_maildir::Letter;
    use facteur_model::{Flag, InternalDate, ModSeq, Uid};

    fn keyword(text: &str) -> Keyword {
        Keyword::parse(text).unwrap()
    }

    fn letters(text: &str) -> Letters {
        text.bytes().filter_map(Letter::from_byte).collect()
    }

    fn flags(flags: &[Flag]) -> Flags {
        flags.iter().copied().collect()
    }

    fn file() -> KeywordFile {
        let mut file = KeywordFile::default();
        for name in ["one", "two"] {
            file.give(&keyword(name));
        }
        file
    }

    fn message(flags: Flags, keywords: KeywordSetId) -> MessageState {
        MessageState {
            uid: Uid::new(1).unwrap(),
            modseq: ModSeq::new(1),
            internal_date: InternalDate::from_unix(0),
            size: 1,
            keywords,
            flags,
        }
    }

    #[test]
    fn what_a_name_says_counts_and_keywords_without_letters_stay() {
        let file = file();
        let mut table = KeywordTable::default();
        let (set, _) = table.add(&[keyword("one"), keyword("far")]).unwrap();
        let mut translator = Translator::new(&file, Arc::new(table));
        let seen = flags(&[Flag::Seen]);
        let held = message(seen, set);
        assert_eq!(translator.merge(&held, None, (seen, letters("a"))), None);
        // A letter that means nothing is nothing.
        assert_eq!(translator.merge(&held, None, (seen, letters("az"))), None);
        let after = translator.merge(&held, None, (Flags::EMPTY, letters("b")));
        let after = after.unwrap();
        assert_eq!(after.flags, Flags::EMPTY);
        let names = translator.table.set(after.keywords);
        assert_eq!(names, [keyword("far"), keyword("two")]);
    }

    #[test]
    fn of_two_changes_both_stay_unless_they_are_of_one_flag() {
        let file = file();
        let mut translator = Translator::new(&file, Arc::default());
        let before = (flags(&[Flag::Flagged]), letters("a"));
        // We have added \Seen and taken keyword one; another program has added \Answered and two,
        // and taken \Flagged.
        let held = message(flags(&[Flag::Flagged, Flag::Seen]), KeywordSetId(0));
        let now = (flags(&[Flag::Answered]), letters("ab"));
        let after = translator.merge(&held, Some(before), now).unwrap();
        assert_eq!(after.flags, flags(&[Flag::Seen, Flag::Answered]));
        assert_eq!(translator.table.set(after.keywords), [keyword("two")]);
        // It changed nothing: ours stays.
        assert_eq!(translator.merge(&held, Some(before), before), None);
    }
}
