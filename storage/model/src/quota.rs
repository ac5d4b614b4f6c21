//! What an account may hold, and what it holds.

use crate::{FolderRules, MailboxName};

/// Upper limits of an account. `None` is unlimited.
///
/// The limits are the account's as a whole. A folder's rule (Dovecot's `Trash:storage=+100M`) moves
/// them for what is put into that folder; an ignored folder (`Spam:ignore`) is neither counted nor
/// limited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaLimits {
    /// In bytes of RFC822.SIZE.
    pub bytes: Option<u64>,
    /// In messages.
    pub messages: Option<u64>,
    /// Folders for which it is different.
    pub folders: FolderRules,
}

/// What an account holds, in every folder that counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// In bytes of RFC822.SIZE.
    pub bytes: u64,
    /// In messages.
    pub messages: u64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            messages: self.messages.saturating_add(other.messages),
        }
    }
}

impl QuotaLimits {
    /// Whether nothing is limited: then no folder is either.
    pub fn is_unlimited(&self) -> bool {
        self.bytes.is_none() && self.messages.is_none()
    }

    /// Whether what lies in `folder` counts.
    pub fn counts(&self, folder: &MailboxName) -> bool {
        !self.folders.ignores(folder)
    }

    /// Whether `added` may be put into `folder` by an account that holds `usage`.
    pub fn allow(&self, folder: &MailboxName, usage: Usage, added: Usage) -> bool {
        if self.is_unlimited() {
            return true;
        }
        let Some((bytes, messages)) = self.folders.limits(folder, self.bytes, self.messages) else {
            return true;
        };
        let total = usage.plus(added);
        bytes.is_none_or(|limit| total.bytes <= limit)
            && messages.is_none_or(|limit| total.messages <= limit)
    }

    /// The limits, this many per cent of them more.
    #[must_use]
    pub fn stretched(&self, per_cent: u64) -> Self {
        let stretch = |limit: u64| {
            limit.saturating_add(
                (limit / 100).saturating_mul(per_cent) + limit % 100 * per_cent / 100,
            )
        };
        Self {
            bytes: self.bytes.map(stretch),
            messages: self.messages.map(stretch),
            folders: self.folders.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QuotaRules;

    fn limits(rules: &[&str]) -> QuotaLimits {
        let mut all = QuotaRules::default();
        for rule in rules {
            all.add(rule).unwrap();
        }
        all.limits()
    }

    fn fits(limits: &QuotaLimits, folder: &str, held: u64, added: u64) -> bool {
        let usage = |bytes| Usage { bytes, messages: 0 };
        let folder = MailboxName::parse(folder).unwrap();
        limits.allow(&folder, usage(held), usage(added))
    }

    #[test]
    fn folder_with_more_takes_what_others_refuse() {
        let limits = limits(&["*:bytes=1000", "Trash:bytes=+100", "Archive/*:bytes=+10%%"]);
        assert!(fits(&limits, "INBOX", 900, 100) && !fits(&limits, "INBOX", 900, 101));
        assert!(fits(&limits, "Trash", 1000, 100) && !fits(&limits, "Trash", 1000, 101));
        assert!(fits(&limits, "Archive/2024", 1000, 100));
        assert!(!fits(&limits, "Archive", 1000, 1));
    }

    #[test]
    fn ignored_folder_takes_anything_and_counts_for_nothing() {
        let limits = limits(&["*:bytes=1000", "Spam*:ignore"]);
        let spam = MailboxName::parse("Spam/old").unwrap();
        assert!(fits(&limits, "Spam/old", 5000, 5000) && !limits.counts(&spam));
        assert!(limits.counts(&MailboxName::inbox()) && !fits(&limits, "INBOX", 5000, 0));
    }

    #[test]
    fn account_without_limits_has_none_in_any_folder() {
        let limits = limits(&["Trash:bytes=+100", "Spam:ignore"]);
        assert!(limits.is_unlimited() && fits(&limits, "Trash", 1 << 40, 1 << 40));
        // What is ignored is not counted all the same.
        assert!(!limits.counts(&MailboxName::parse("Spam").unwrap()));
    }

    #[test]
    fn more_of_one_thing_does_not_limit_the_other() {
        let limits = limits(&["*:messages=10", "Trash:bytes=+100"]);
        assert!(fits(&limits, "Trash", 1 << 40, 1 << 40));
    }

    #[test]
    fn less_than_nothing_is_nothing() {
        let limits = limits(&["*:bytes=1000", "Drafts:bytes=-2000", "Notes:bytes=-50%"]);
        assert!(!fits(&limits, "Drafts", 0, 1) && fits(&limits, "Drafts", 0, 0));
        assert!(fits(&limits, "Notes", 0, 500) && !fits(&limits, "Notes", 0, 501));
    }

    #[test]
    fn grace_is_exact_for_small_limits_and_large_ones() {
        let stretched = |bytes| {
            QuotaLimits {
                bytes: Some(bytes),
                ..QuotaLimits::default()
            }
            .stretched(10)
            .bytes
        };
        assert_eq!(stretched(50), Some(55));
        assert_eq!(stretched(1000), Some(1100));
        assert_eq!(stretched(u64::MAX), Some(u64::MAX));
    }
}
