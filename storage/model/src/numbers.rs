//! UID, UIDVALIDITY and MODSEQ.

use std::{fmt, num::NonZeroU32};

/// A message's unique identifier in its mailbox (RFC 9051 §2.3.1.1): it only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(NonZeroU32);

/// A mailbox's unique identifier validity value (RFC 9051 §2.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UidValidity(NonZeroU32);

/// A modification sequence (RFC 7162 §3): a change of a message's metadata gives it a greater one.
/// At most 63 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ModSeq(u64);

macro_rules! nonzero {
    ($name:ident) => {
        impl $name {
            /// `None` for 0, which the grammar (`nz-number`) excludes.
            pub fn new(value: u32) -> Option<Self> {
                NonZeroU32::new(value).map(Self)
            }

            /// The smallest value.
            pub const FIRST: Self = Self(NonZeroU32::MIN);

            /// As a number.
            pub fn value(self) -> u32 {
                self.0.get()
            }

            /// The one after it; `None` past `u32::MAX`.
            pub fn next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
nonzero!(Uid);
nonzero!(UidValidity);

impl ModSeq {
    /// The greatest value the wire can carry (RFC 7162 §3.1.1: `mod-sequence-value` below 2^63).
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Wraps a value, capped at [`ModSeq::MAX`].
    pub fn new(value: u64) -> Self {
        Self(value.min(Self::MAX.0))
    }

    /// As a number.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
