//! What is wrong with an account, and what would mend it.

use facteur_model::{MailboxName, Uid};
use serde::{Deserialize, Serialize};

/// Most findings that are kept of one account; the others are counted.
const MAX_FINDINGS: usize = 1000;

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// There is mail and no index.
    IndexMissing,
    /// The index cannot be read, is no index, or contradicts itself.
    IndexDamaged,
    /// A mailbox that the index does not know, or knows as another one.
    MailboxUnknown,
    /// A mailbox of the index that has no folder.
    MailboxMissing,
    /// The `uidvalidity` file is missing or damaged.
    UidValidityMissing,
    /// A message of the index without its file.
    FileMissing,
    /// A message's file that the index does not know.
    FileUnknown,
    /// A message's file that cannot be read as one.
    FileDamaged,
    /// The index has another size of a message than its file.
    SizeDiffers,
    /// The link to the active script leads nowhere.
    ScriptLinkBroken,
}

/// What mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// `facteur account rebuild`.
    Rebuild,
    /// The account's next use mends it by itself.
    NextUse,
    /// Only a copy of the file from a backup, and `facteur account rebuild` then.
    Restore,
    /// The account's owner activates a script.
    Activate,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// In which mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// With which message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// In words.
    pub detail: String,
    /// What mends it.
    pub remedy: Remedy,
}

/// Everything that is wrong with an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The first thousand.
    pub findings: Vec<Finding>,
    /// How many more there are.
    #[serde(default)]
    pub unlisted: u64,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether there is something of this kind among those listed.
    pub fn has(&self, kind: Kind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind)
    }

    /// What mends all that was found: each remedy once.
    pub fn remedies(&self) -> Vec<Remedy> {
        let mut remedies: Vec<Remedy> = self.findings.iter().map(|found| found.remedy).collect();
        remedies.sort_unstable();
        remedies.dedup();
        remedies
    }

    pub(super) fn note(&mut self, kind: Kind, remedy: Remedy, detail: impl Into<String>) {
        self.push(Finding {
            kind,
            mailbox: None,
            uid: None,
            detail: detail.into(),
            remedy,
        });
    }

    pub(super) fn note_in(
        &mut self,
        mailbox: &MailboxName,
        uid: Option<Uid>,
        kind: Kind,
        remedy: Remedy,
        detail: impl Into<String>,
    ) {
        self.push(Finding {
            kind,
            mailbox: Some(mailbox.to_string()),
            uid: uid.map(Uid::value),
            detail: detail.into(),
            remedy,
        });
    }

    fn push(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_beyond_the_first_thousand_are_counted() {
        let mut findings = Findings::default();
        for _ in 0..1234 {
            findings.note(Kind::FileMissing, Remedy::Rebuild, "x");
        }
        assert_eq!((findings.findings.len(), findings.unlisted), (1000, 234));
        assert_eq!(findings.remedies(), [Remedy::Rebuild]);
    }
}
