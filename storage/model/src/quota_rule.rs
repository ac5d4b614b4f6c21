//! Dovecot's `quota_rule`: `*:storage=1G:messages=1000`, `Trash:storage=+100M`, `Spam:ignore`.
//!
//! ```text
//! rule     = mask ":" ( "ignore" / limit *( ":" limit ) )
//! mask     = "*" / "?"            ; the account's limits
//!          / folder               ; where * is any text and ? any one character
//! limit    = ( "storage" / "bytes" / "messages" ) "=" value
//! value    = [ "+" / "-" ] number [ "B" / "K" / "M" / "G" / "T" / "%" / "%%" ]
//! ```
//!
//! `storage` without a letter is in KiB. For the account a value is a limit, and 0 or less is none;
//! for a folder it is what is added to the account's limit, or a part of it.

use std::{fmt, sync::Arc};

use crate::{MailboxName, QuotaLimits};

/// Folders for which an account's limits are different. The first rule whose mask fits counts.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct FolderRules(Option<Arc<[FolderRule]>>);

/// Rules as they are read, before they are an account's limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaRules {
    /// `Some(None)`: said to be unlimited.
    bytes: Option<Option<u64>>,
    messages: Option<Option<u64>>,
    folders: Vec<FolderRule>,
}

/// One folder's, or several folders'.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FolderRule {
    mask: String,
    ignore: bool,
    bytes: Option<Extra>,
    messages: Option<Extra>,
}

/// What a folder's limit is more than the account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    Count(i64),
    PerCent(i64),
}

/// Why a rule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaRuleError {
    /// There is no colon.
    #[error("a quota rule is a folder, or * for all, and its limits, as in \"*:storage=1G\"")]
    Shape,
    /// The limit's name.
    #[error("{0:?} is no limit: use storage, bytes, messages or ignore")]
    Name(String),
    /// The limit's value.
    #[error("{0:?} is no amount: use a number with B, K, M, G or T, or for a folder %")]
    Value(String),
}

impl QuotaRules {
    /// Adds a rule; what an earlier one says of the same folder and thing is replaced.
    ///
    /// # Errors
    /// When it cannot be read; nothing is added then.
    pub fn add(&mut self, rule: &str) -> Result<(), QuotaRuleError> {
        let (mask, limits) = rule.trim().split_once(':').ok_or(QuotaRuleError::Shape)?;
        if matches!(mask, "*" | "?") {
            let mut read = (self.bytes, self.messages);
            for limit in limits.split(':') {
                let (thing, value) = limit_of(limit)?;
                let limit = match amount(value, thing)? {
                    Extra::Count(count) => u64::try_from(count).ok().filter(|count| *count > 0),
                    Extra::PerCent(_) => return Err(QuotaRuleError::Value(value.to_owned())),
                };
                match thing {
                    Thing::Messages => read.1 = Some(limit),
                    _ => read.0 = Some(limit),
                }
            }
            (self.bytes, self.messages) = read;
            return Ok(());
        }
        let rule = FolderRule::parse(mask, limits)?;
        match self.folders.iter_mut().find(|held| held.mask == rule.mask) {
            Some(held) => *held = rule.or(held),
            None => self.folders.push(rule),
        }
        Ok(())
    }

    /// These rules, and of `general` what they do not speak of.
    #[must_use]
    pub fn or(&self, general: &Self) -> Self {
        let mut folders = self.folders.clone();
        for rule in &general.folders {
            match folders.iter_mut().find(|held| held.mask == rule.mask) {
                Some(held) => *held = held.or(rule),
                None => folders.push(rule.clone()),
            }
        }
        Self {
            bytes: self.bytes.or(general.bytes),
            messages: self.messages.or(general.messages),
            folders,
        }
    }

    /// The same where the levels of folders' names are separated by `separator`.
    #[must_use]
    pub fn with_separator(mut self, separator: char) -> Self {
        for rule in &mut self.folders {
            rule.mask = rule
                .mask
                .replace(separator, &MailboxName::SEPARATOR.to_string());
        }
        self
    }

    /// Says how many bytes the account may hold; 0 or less is no limit.
    #[must_use]
    pub fn with_bytes(mut self, bytes: i64) -> Self {
        self.bytes = Some(u64::try_from(bytes).ok().filter(|bytes| *bytes > 0));
        self
    }

    /// An account's limits by these rules.
    pub fn limits(&self) -> QuotaLimits {
        QuotaLimits {
            bytes: self.bytes.flatten(),
            messages: self.messages.flatten(),
            folders: FolderRules(match self.folders.as_slice() {
                [] => None,
                rules => Some(rules.into()),
            }),
        }
    }
}

impl FolderRules {
    pub(crate) fn ignores(&self, folder: &MailboxName) -> bool {
        // Most accounts ignore nothing, and a count asks for every folder.
        let rules = self.0.as_deref().unwrap_or_default();
        rules.iter().any(|rule| rule.ignore) && self.rule(folder).is_some_and(|rule| rule.ignore)
    }

    /// A folder's limits in bytes and messages; `None` when it is ignored.
    pub(crate) fn limits(
        &self,
        folder: &MailboxName,
        bytes: Option<u64>,
        messages: Option<u64>,
    ) -> Option<(Option<u64>, Option<u64>)> {
        let Some(rule) = self.rule(folder) else {
            return Some((bytes, messages));
        };
        (!rule.ignore).then(|| (moved(bytes, rule.bytes), moved(messages, rule.messages)))
    }

    fn rule(&self, folder: &MailboxName) -> Option<&FolderRule> {
        let rules = self.0.as_deref()?.iter();
        let folder = folder.as_str().as_bytes();
        rules
            .into_iter()
            .find(|rule| matches(rule.mask.as_bytes(), folder))
    }
}

impl fmt::Debug for FolderRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.as_deref().unwrap_or_default())
            .finish()
    }
}

impl FolderRule {
    fn parse(mask: &str, limits: &str) -> Result<Self, QuotaRuleError> {
        let mask = if mask.eq_ignore_ascii_case("INBOX") {
            "INBOX"
        } else {
            mask
        };
        if mask.is_empty() {
            return Err(QuotaRuleError::Shape);
        }
        let mut rule = Self {
            mask: mask.to_owned(),
            ignore: limits == "ignore",
            bytes: None,
            messages: None,
        };
        if !rule.ignore {
            for limit in limits.split(':') {
                let (thing, value) = limit_of(limit)?;
                let extra = amount(value, thing)?;
                match thing {
                    Thing::Messages => rule.messages = Some(extra),
                    _ => rule.bytes = Some(extra),
                }
            }
        }
        Ok(rule)
    }

    /// This rule, and what it leaves open by another of the same folder.
    fn or(&self, other: &Self) -> Self {
        Self {
            mask: self.mask.clone(),
            // A rule with limits says that the folder counts.
            ignore: self.ignore,
            bytes: self.bytes.or(other.bytes),
            messages: self.messages.or(other.messages),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Thing {
    Storage,
    Bytes,
    Messages,
}

pub(crate) fn limit_of(text: &str) -> Result<(Thing, &str), QuotaRuleError> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let thing = match name.trim() {
        "storage" => Thing::Storage,
        "bytes" => Thing::Bytes,
        "messages" => Thing::Messages,
        other => return Err(QuotaRuleError::Name(other.to_owned())),
    };
    Ok((thing, value.trim()))
}

/// `+100M`, `10%`.
pub(crate) fn amount(text: &str, thing: Thing) -> Result<Extra, QuotaRuleError> {
    let wrong = || QuotaRuleError::Value(text.to_owned());
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = digits.split_at(end.unwrap_or(digits.len()));
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    let number = if negative { -number } else { number };
    let unit = match (unit.to_ascii_uppercase().as_str(), thing) {
        ("%" | "%%", _) => return Ok(Extra::PerCent(number)),
        ("", Thing::Storage) | ("K", _) => 1 << 10,
        ("" | "B", _) => 1,
        ("M", _) => 1 << 20,
        ("G", _) => 1 << 30,
        ("T", _) => 1 << 40,
        _ => return Err(wrong()),
    };
    Ok(Extra::Count(number.saturating_mul(unit)))
}

/// A folder's limit by the account's. Nothing more than "no limit" is no limit either.
fn moved(limit: Option<u64>, extra: Option<Extra>) -> Option<u64> {
    let limit = limit?;
    let by = match extra {
        None => return Some(limit),
        Some(Extra::Count(count)) => i128::from(count),
        Some(Extra::PerCent(part)) => i128::from(limit) * i128::from(part) / 100,
    };
    let moved = (i128::from(limit) + by).clamp(0, i128::from(u64::MAX));
    Some(u64::try_from(moved).unwrap_or(u64::MAX))
}

/// Whether `mask`, in which `*` is any text and `?` any one character, fits all of `name`.
fn matches(mask: &[u8], name: &[u8]) -> bool {
    let (mut mask, mut name) = (mask, name);
    // Where the last * would go on if it took one byte more.
    let mut again: Option<(&[u8], &[u8])> = None;
    loop {
        match (mask.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                again = Some((rest, name));
                mask = rest;
            }
            (Some((b'?', rest)), Some(_)) => {
                mask = rest;
                name = without_character(name);
            }
            (Some((wanted, rest)), Some((byte, after))) if wanted == byte => {
                mask = rest;
                name = after;
            }
            (None, None) => return true,
            _ => match again {
                Some((rest, [_, after @ ..])) => {
                    again = Some((rest, after));
                    mask = rest;
                    name = after;
                }
                _ => return false,
            },
        }
    }
}

/// UTF-8 without its first character.
fn without_character(name: &[u8]) -> &[u8] {
    let rest = name.get(1..).unwrap_or_default();
    let more = rest.iter().take_while(|byte| **byte & 0xc0 == 0x80).count();
    rest.get(more..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(rule: &str) -> Result<(Option<u64>, Option<u64>), QuotaRuleError> {
        let mut rules = QuotaRules::default();
        rules.add(rule)?;
        let limits = rules.limits();
        Ok((limits.bytes, limits.messages))
    }

    #[test]
    fn rules_are_read_in_their_units() {
        assert_eq!(limits("*:bytes=1000"), Ok((Some(1000), None)));
        assert_eq!(limits("*:storage=1M"), Ok((Some(1 << 20), None)));
        assert_eq!(limits("*:storage=10"), Ok((Some(10 << 10), None)));
        assert_eq!(limits("?:storage=10B"), Ok((Some(10), None)));
        assert_eq!(
            limits("*:bytes=1G:messages=5"),
            Ok((Some(1 << 30), Some(5)))
        );
        // PostfixAdmin's "unlimited" and "disabled", pasted into a rule by a query.
        assert_eq!(limits("*:bytes=0"), Ok((None, None)));
        assert_eq!(limits("*:bytes=-1"), Ok((None, None)));
    }

    #[test]
    fn unreadable_rules_say_what_is_wrong() {
        for (rule, text) in [
            ("", "as in"),
            ("*", "as in"),
            (":bytes=1", "as in"),
            ("*:bytes", "no amount"),
            ("*:bytes=x", "no amount"),
            ("*:bytes=1X", "no amount"),
            ("*:storage=10%", "no amount"),
            ("*:ignore", "no limit"),
            ("Trash:size=5", "no limit"),
            ("Trash:storage=+", "no amount"),
        ] {
            let error = limits(rule).unwrap_err().to_string();
            assert!(error.contains(text), "{rule}: {error}");
        }
    }

    #[test]
    fn rules_of_one_folder_are_one() {
        let mut rules = QuotaRules::default();
        for rule in [
            "*:bytes=100",
            "*:messages=5",
            "a:bytes=+1",
            "a:messages=+2",
            "a:bytes=+3",
        ] {
            rules.add(rule).unwrap();
        }
        let all = rules.limits();
        let folder = MailboxName::parse("a").unwrap();
        let own = all.folders.limits(&folder, all.bytes, all.messages);
        assert_eq!(own, Some((Some(103), Some(7))));
    }

    #[test]
    fn what_an_account_says_goes_before_what_all_have() {
        let mut general = QuotaRules::default();
        let mut own = QuotaRules::default();
        for rule in ["*:bytes=100:messages=5", "Trash:bytes=+10", "Spam:ignore"] {
            general.add(rule).unwrap();
        }
        for rule in ["*:bytes=0", "Spam:bytes=+1"] {
            own.add(rule).unwrap();
        }
        let all = own.or(&general).limits();
        assert_eq!((all.bytes, all.messages), (None, Some(5)));
        assert!(all.counts(&MailboxName::parse("Spam").unwrap()));
        assert_eq!(own.with_bytes(7).or(&general).limits().bytes, Some(7));
        assert_eq!(QuotaRules::default().or(&general), general);
    }

    #[test]
    fn mask_takes_levels_as_the_clients_see_them() {
        let mut rules = QuotaRules::default();
        rules.add("Archive.*:ignore").unwrap();
        let limits = rules.with_separator('.').limits();
        assert!(!limits.counts(&MailboxName::parse("Archive/2024").unwrap()));
    }

    #[test]
    fn masks_fit_whole_names() {
        for (mask, name, fits) in [
            ("Trash", "Trash", true),
            ("Trash", "trash", false),
            ("Trash", "Trash/a", false),
            ("Trash*", "Trash/a", true),
            ("*/a", "x/y/a", true),
            ("*a*b", "xaybzb", true),
            ("*a*b", "xbza", false),
            ("?", "é", true),
            ("??", "é", false),
            ("**", "", true),
            ("inbox", "INBOX", false),
        ] {
            assert_eq!(
                matches(mask.as_bytes(), name.as_bytes()),
                fits,
                "{mask} {name}"
            );
        }
    }

    proptest! {
        #[test]
        fn mask_made_of_a_name_fits_it(name in "[a-c/é]{0,12}", cuts in prop::collection::vec(0usize..12, 0..4)) {
            let mut mask: Vec<char> = name.chars().collect();
            let len = mask.len();
            for cut in cuts {
                if cut < len {
                    mask[cut] = '?';
                } else {
                    mask.push('*');
                }
            }
            let mask: String = mask.into_iter().collect();
            prop_assert!(matches(mask.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = QuotaRules::default().add(&text);
        }
    }
}
