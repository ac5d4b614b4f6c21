//! The letters that stand for keywords in a message's file name.

use std::fmt;

/// One letter, `a` to `z`: what it means is in the folder's `dovecot-keywords`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter(u8);

impl Letter {
    /// How many there are.
    pub const COUNT: usize = 26;

    /// From its place in the alphabet, counted from 0.
    pub fn new(index: usize) -> Option<Self> {
        let index = u8::try_from(index).ok()?;
        (usize::from(index) < Self::COUNT).then_some(Self(index))
    }

    /// From the byte in a file name.
    pub fn from_byte(byte: u8) -> Option<Self> {
        byte.is_ascii_lowercase().then(|| Self(byte - b'a'))
    }

    /// The byte in a file name.
    pub fn byte(self) -> u8 {
        b'a' + self.0
    }

    /// Its place in the alphabet, counted from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Letters(u32);

impl Letters {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// Whether `letter` is among them.
    pub fn contains(self, letter: Letter) -> bool {
        self.0 & 1 << letter.0 != 0
    }

    /// With `letter`.
    #[must_use]
    pub fn with(self, letter: Letter) -> Self {
        Self(self.0 | 1 << letter.0)
    }

    /// In either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In this one and not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the alphabet's order.
    pub fn iter(self) -> impl Iterator<Item = Letter> {
        (0..26)
            .map(Letter)
            .filter(move |letter| self.contains(*letter))
    }
}

impl FromIterator<Letter> for Letters {
    fn from_iter<I: IntoIterator<Item = Letter>>(letters: I) -> Self {
        letters.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self
            .iter()
            .map(|letter| char::from(letter.byte()))
            .collect();
        fmt::Debug::fmt(&text, f)
    }
}
