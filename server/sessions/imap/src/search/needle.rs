//! The text that is looked for, without regard to case (RFC 3501 §6.4.4).

/// A text, folded.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    folded: String,
    /// Where in it the octet is that is rarest in text, when all of it is ASCII.
    rare: Option<usize>,
}

/// Letters from the most frequent on; what is not here is rarer.
const FREQUENT: &[u8] = b" etaoinsrhldcumfpgwybvk";

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        let folded = text.to_lowercase();
        let rarity = |b: &u8| {
            FREQUENT
                .iter()
                .position(|f| f == b)
                .unwrap_or(FREQUENT.len())
        };
        let rare = folded
            .is_ascii()
            .then(|| (0..folded.len()).max_by_key(|at| folded.as_bytes().get(*at).map(rarity)))
            .flatten();
        Self { folded, rare }
    }

    /// Whether it is in everything.
    pub(super) fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// Whether it is ASCII: then octets can be searched as they are, in any charset that has ASCII
    /// for its lower half.
    pub(super) fn is_ascii(&self) -> bool {
        self.rare.is_some()
    }

    /// Octets that must be seen together.
    pub(super) fn len(&self) -> usize {
        self.folded.len()
    }

    /// Whether it is in `text`.
    pub(super) fn is_in(&self, text: &str) -> bool {
        if self.is_empty() || self.is_in_octets(text.as_bytes()) {
            return true;
        }
        // Folding may change lengths and make ASCII of what was none: only for such text.
        !text.is_ascii() && text.to_lowercase().contains(&self.folded)
    }

    /// Whether it is in octets, as ASCII. Never when it is not.
    pub(super) fn is_in_octets(&self, text: &[u8]) -> bool {
        let Some(rare) = self.rare else {
            return false;
        };
        let needle = self.folded.as_bytes();
        let Some(octet) = needle.get(rare).copied() else {
            return true;
        };
        let fits = |at: usize| {
            at.checked_sub(rare)
                .and_then(|start| text.get(start..start + needle.len()))
                .is_some_and(|found| found.eq_ignore_ascii_case(needle))
        };
        memchr::memchr2_iter(octet, octet.to_ascii_uppercase(), text).any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter() {
        assert!(Needle::new("HeLLo").is_in("say hello!"));
        assert!(Needle::new("hello").is_in_octets(b"\xff\x00HELLO"));
        assert!(Needle::new("ÉTÉ").is_in("un été"));
        assert!(!Needle::new("été").is_in("ete"));
        assert!(!Needle::new("hello").is_in("hell"));
        assert!(Needle::new("").is_in("anything"));
        assert!(Needle::new("k").is_in("\u{212a}elvin"));
    }

    #[test]
    fn needle_is_found_at_both_ends() {
        for needle in ["abc", "zbc", "abz", "a.c"] {
            let needle_at = Needle::new(needle);
            assert!(needle_at.is_in_octets(needle.as_bytes()));
            assert!(needle_at.is_in_octets(format!("xx{needle}").as_bytes()));
            assert!(needle_at.is_in_octets(format!("{needle}xx").as_bytes()));
            assert!(!needle_at.is_in_octets(&needle.as_bytes()[1..]));
        }
    }
}
