//! A mailbox's keywords: which there are, and which sets of them its messages have.

use facteur_model::Keyword;

use crate::{KeywordSetId, StoreError};

/// Most keywords a mailbox knows: a client cannot fill the memory with them.
const MAX_KEYWORDS: usize = 1024;

/// The sets in use. Set 0 is the empty one; a set keeps its number while the table lives.
#[derive(Debug, Clone)]
pub(crate) struct KeywordTable {
    /// Each sorted without regard to case.
    sets: Vec<Vec<Keyword>>,
    known: Vec<Keyword>,
}

impl Default for KeywordTable {
    fn default() -> Self {
        Self {
            sets: vec![Vec::new()],
            known: Vec::new(),
        }
    }
}

impl KeywordTable {
    /// From the index's rows: number, and keywords separated by spaces.
    pub(crate) fn from_rows(rows: Vec<(u32, String)>) -> Self {
        let mut table = Self::default();
        for (id, text) in rows {
            let id = id as usize;
            // Numbers are given in a row; a larger gap is damage, not worth the memory.
            if id == 0 || id > table.sets.len() + MAX_KEYWORDS {
                continue;
            }
            if table.sets.len() <= id {
                table.sets.resize_with(id + 1, Vec::new);
            }
            let keywords: Vec<Keyword> = text.split(' ').filter_map(Keyword::parse).collect();
            for keyword in &keywords {
                if !table.known.contains(keyword) {
                    table.known.push(keyword.clone());
                }
            }
            if let Some(slot) = table.sets.get_mut(id) {
                *slot = sorted(keywords);
            }
        }
        table
    }

    /// What it takes in memory, roughly, in octets.
    pub(crate) fn weight(&self) -> usize {
        let of = |keywords: &[Keyword]| -> usize {
            let text: usize = keywords.iter().map(|one| one.as_str().len()).sum();
            size_of_val(keywords) + text
        };
        let sets: usize = self.sets.iter().map(|set| of(set)).sum();
        size_of_val(&*self.sets) + sets + of(&self.known)
    }

    /// The keywords of a set.
    pub(crate) fn set(&self, id: KeywordSetId) -> &[Keyword] {
        self.sets.get(id.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Every keyword.
    pub(crate) fn known(&self) -> &[Keyword] {
        &self.known
    }

    /// The number of the set of `keywords`, if it is in use.
    pub(crate) fn find(&self, keywords: &[Keyword]) -> Option<KeywordSetId> {
        let wanted = sorted(keywords.to_vec());
        let at = self.sets.iter().position(|set| *set == wanted)?;
        u32::try_from(at).ok().map(KeywordSetId)
    }

    /// Adds a set; its text is for the index. Keywords known already keep their spelling.
    pub(crate) fn add(
        &mut self,
        keywords: &[Keyword],
    ) -> Result<(KeywordSetId, String), StoreError> {
        let mut set = Vec::with_capacity(keywords.len());
        for keyword in keywords {
            match self.known.iter().find(|known| *known == keyword) {
                Some(known) => set.push(known.clone()),
                None if self.known.len() >= MAX_KEYWORDS => {
                    return Err(StoreError::Cannot("too many keywords in this mailbox"));
                }
                None => {
                    self.known.push(keyword.clone());
                    set.push(keyword.clone());
                }
            }
        }
        let set = sorted(set);
        let text: Vec<&str> = set.iter().map(Keyword::as_str).collect();
        let text = text.join(" ");
        let id = u32::try_from(self.sets.len())
            .map_err(|_| StoreError::Cannot("too many keywords in this mailbox"))?;
        self.sets.push(set);
        Ok((KeywordSetId(id), text))
    }
}

fn sorted(mut keywords: Vec<Keyword>) -> Vec<Keyword> {
    keywords.sort_by_key(|keyword| keyword.as_str().to_ascii_lowercase());
    keywords.dedup();
    keywords
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords(text: &str) -> Vec<Keyword> {
        text.split(' ').filter_map(Keyword::parse).collect()
    }

    #[test]
    fn sets_are_found_whatever_their_order_and_case() {
        let mut table = KeywordTable::default();
        let (id, text) = table.add(&keywords("$Junk work")).unwrap();
        assert_eq!(text, "$Junk work");
        assert_eq!(table.find(&keywords("WORK $junk work")), Some(id));
        assert_eq!(table.find(&[]), Some(KeywordSetId(0)));
        let (_, text) = table.add(&keywords("WORK")).unwrap();
        assert_eq!(text, "work", "the first spelling stays");
        let again = KeywordTable::from_rows(vec![(id.0, "$Junk work".into())]);
        assert_eq!(again.set(id), keywords("$Junk work"));
    }
}
