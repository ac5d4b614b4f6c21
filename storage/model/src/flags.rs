//! Message flags (RFC 9051 §2.3.2).

use std::fmt;

use compact_str::CompactString;

/// One system flag that a client can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Flag {
    /// `\Answered`
    Answered = 1,
    /// `\Flagged`
    Flagged = 2,
    /// `\Deleted`
    Deleted = 4,
    /// `\Seen`
    Seen = 8,
    /// `\Draft`
    Draft = 16,
}

impl Flag {
    /// All of them, in the order they are written.
    pub const ALL: [Self; 5] = [
        Self::Answered,
        Self::Flagged,
        Self::Deleted,
        Self::Seen,
        Self::Draft,
    ];

    /// As it stands on the wire, with its backslash.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Seen => "\\Seen",
            Self::Draft => "\\Draft",
        }
    }

    /// From its wire form, in any case. `\Recent` is not one: no client sets it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|flag| flag.as_str().eq_ignore_ascii_case(text))
    }
}

/// A set of system flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u8);

impl Flags {
    /// None set.
    pub const EMPTY: Self = Self(0);
    /// Every flag a client can set.
    pub const ALL: Self = Self(31);

    /// From the stored byte; unknown bits are dropped.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The byte to store.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether `flag` is set.
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & flag as u8 != 0
    }

    /// With `flag` set.
    #[must_use]
    pub fn with(self, flag: Flag) -> Self {
        Self(self.0 | flag as u8)
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

    /// Whether none is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags set, in the order they are written.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL
            .into_iter()
            .filter(move |flag| self.contains(*flag))
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        flags.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Flag::as_str))
            .finish()
    }
}

/// A keyword: a flag a client made up (RFC 9051 §2.3.2), an `atom` without a backslash.
/// Compared without regard to ASCII case, kept as first written.
#[derive(Debug, Clone)]
pub struct Keyword(CompactString);

impl Keyword {
    /// Longest keyword accepted, in bytes.
    pub const MAX_LEN: usize = 255;

    /// `None` when it is no `flag-keyword` (RFC 9051 §9: an `atom`), or too long.
    pub fn parse(text: &str) -> Option<Self> {
        let atom = |b: u8| (0x21..0x7f).contains(&b) && !b"(){%*\"\\]".contains(&b);
        (!text.is_empty() && text.len() <= Self::MAX_LEN && text.bytes().all(atom))
            .then(|| Self(CompactString::from(text)))
    }

    /// As first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for Keyword {}

/// What STORE does with the flags it names (RFC 9051 §6.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagOperation {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}
