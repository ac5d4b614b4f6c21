//! What changes about an entry while it waits.

use facteur_model::Guid;
use serde::{Deserialize, Serialize};

use crate::{Entry, Recipient, RecipientState};

/// What is to change about an entry. Only what is named changes, so that the operator's `hold` and
/// a delivery under way do not undo each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    /// Recipients that others take the place of: what an alias resolves to. Done before the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolved: Vec<(Guid, Vec<Recipient>)>,
    /// Recipients, by the identifier of their copy. Those that are `Done` are struck off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<(Guid, RecipientState)>,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Whether the operator keeps it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// Whether the sender was told that it is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_warned: Option<bool>,
}

/// When an entry is tried next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// In seconds since the Unix epoch.
    pub next_attempt_at: i64,
    /// How often it was tried.
    pub attempts: u32,
}

impl Change {
    /// One that strikes these copies off.
    pub fn strike(copies: impl IntoIterator<Item = Guid>) -> Self {
        let done = |copy| (copy, RecipientState::Done);
        Self {
            recipients: copies.into_iter().map(done).collect(),
            ..Self::default()
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Does to `entry` what this says. Applying it twice is the same as once.
    pub fn apply(&self, entry: &mut Entry) {
        for (copy, others) in &self.resolved {
            let at = entry.recipients.iter().position(|r| r.delivery == *copy);
            if let Some(at) = at {
                entry.recipients.splice(at..=at, others.iter().cloned());
            }
        }
        for (copy, state) in &self.recipients {
            let recipient = entry.recipients.iter_mut().find(|r| r.delivery == *copy);
            if let Some(recipient) = recipient {
                recipient.state = state.clone();
            }
        }
        entry.recipients.retain(|r| r.state != RecipientState::Done);
        if let Some(schedule) = self.schedule {
            entry.next_attempt_at = schedule.next_attempt_at;
            entry.attempts = schedule.attempts;
        }
        if let Some(held) = self.held {
            entry.held = held;
        }
        if let Some(warned) = self.delay_warned {
            entry.delay_warned = warned;
        }
    }
}
