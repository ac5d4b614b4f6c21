//! What an account may hold, and what it holds.

/// Upper limits of an account. `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaLimits {
    /// In bytes of RFC822.SIZE.
    pub bytes: Option<u64>,
    /// In messages.
    pub messages: Option<u64>,
}

/// What an account holds, in every folder together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// In bytes of RFC822.SIZE.
    pub bytes: u64,
    /// In messages.
    pub messages: u64,
}

impl QuotaLimits {
    /// Whether `added` on top of `usage` stays within the limits.
    pub fn allow(&self, usage: Usage, added: Usage) -> bool {
        self.bytes
            .is_none_or(|limit| usage.bytes.saturating_add(added.bytes) <= limit)
            && self
                .messages
                .is_none_or(|limit| usage.messages.saturating_add(added.messages) <= limit)
    }
}
