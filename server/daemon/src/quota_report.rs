//! `facteur quota get|recalc`: what one account holds and may hold.

use facteur_config::Size;
use facteur_model::{AccountSpec, Usage};
use facteur_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// What an account holds, in the folders that count, and may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuotaReport {
    /// In bytes.
    pub(crate) bytes: u64,
    /// `None` is unlimited.
    pub(crate) bytes_limit: Option<u64>,
    /// In messages.
    pub(crate) messages: u64,
    /// `None` is unlimited.
    pub(crate) messages_limit: Option<u64>,
    /// What the recount found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recount: Option<Recounted>,
}

/// What a recount found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recounted {
    /// What the account was thought to hold.
    pub(crate) bytes_before: u64,
    /// The same in messages.
    pub(crate) messages_before: u64,
    /// In how many folders the count was wrong.
    pub(crate) corrected: usize,
    /// Why the result could not be written to the directory (quota2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_mirrored: Option<String>,
}

impl QuotaReport {
    /// What the running sums say, without changing anything.
    pub(crate) fn read(store: &Store, spec: &AccountSpec) -> Result<Self, StoreError> {
        // One that was never used stays so.
        let usage = match spec.home.exists() {
            true => store.account(spec)?.usage()?,
            false => Usage::default(),
        };
        Ok(Self::new(spec, usage, None))
    }

    /// Counts anew.
    pub(crate) fn recount(store: &Store, spec: &AccountSpec) -> Result<Self, StoreError> {
        if !spec.home.exists() {
            return Self::read(store, spec);
        }
        let recount = store.account(spec)?.recount()?;
        let recounted = Recounted {
            bytes_before: recount.before.bytes,
            messages_before: recount.before.messages,
            corrected: recount.corrected,
            not_mirrored: None,
        };
        Ok(Self::new(spec, recount.now, Some(recounted)))
    }

    fn new(spec: &AccountSpec, usage: Usage, recount: Option<Recounted>) -> Self {
        Self {
            bytes: usage.bytes,
            bytes_limit: spec.quota.bytes,
            messages: usage.messages,
            messages_limit: spec.quota.messages,
            recount,
        }
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        let of = |used: u64, limit: Option<u64>, unit: &str, shown: fn(u64) -> String| match limit {
            None => format!("{used} {unit}"),
            Some(limit) => {
                let percent = u128::from(used) * 100 / u128::from(limit.max(1));
                format!("{used} {unit} of {} ({percent} %)", shown(limit))
            }
        };
        let mut line = format!(
            "{}, {}",
            of(self.bytes, self.bytes_limit, "bytes", |limit| Size(limit)
                .to_string()),
            of(self.messages, self.messages_limit, "messages", |limit| {
                limit.to_string()
            }),
        );
        if let Some(recount) = &self.recount {
            if recount.corrected > 0 {
                line.push_str(&format!(
                    "; it was counted as {} bytes, {} messages",
                    recount.bytes_before, recount.messages_before
                ));
            }
            if let Some(why) = &recount.not_mirrored {
                line.push_str(&format!("; not written to the directory: {why}"));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_says_what_is_held_and_what_was_wrong() {
        let mut report = QuotaReport {
            bytes: 900 << 20,
            bytes_limit: Some(1 << 30),
            messages: 7,
            messages_limit: None,
            recount: None,
        };
        assert_eq!(report.line(), "943718400 bytes of 1G (87 %), 7 messages");
        report.recount = Some(Recounted {
            bytes_before: 1,
            messages_before: 2,
            corrected: 1,
            not_mirrored: Some("down".to_owned()),
        });
        let line = report.line();
        assert!(
            line.ends_with(
                "; it was counted as 1 bytes, 2 messages; not written to the directory: down"
            ),
            "{line}"
        );
    }
}
