//! The mailbox a session has selected.

use std::sync::Arc;

use facteur_model::{Uid, UidSet};
use facteur_store::{Mailbox, Snapshot, StoreError, Subscription};
use tokio::sync::Notify;

/// A selected mailbox, as far as the client knows it.
pub(crate) struct Selected {
    pub(crate) mailbox: Mailbox,
    /// What the client was told. Sequence numbers are of this one.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Messages that are `\Recent` in this session (RFC 3501 §2.3.2).
    pub(crate) recent: UidSet,
    pub(crate) read_only: bool,
    /// How many keywords the client was told of in FLAGS.
    pub(crate) keywords_told: usize,
    /// Woken by every change; IDLE waits for it.
    pub(crate) changed: Arc<Notify>,
    pub(crate) _subscription: Subscription,
}

impl Selected {
    /// Watches `mailbox` from here on. Blocking.
    pub(crate) fn new(mailbox: Mailbox, read_only: bool) -> Result<Self, StoreError> {
        let changed = Arc::new(Notify::new());
        let wake = Arc::clone(&changed);
        // Watched before it is looked at, so that no change is missed in between.
        let subscription = mailbox.subscribe(Arc::new(move || wake.notify_one()));
        let snapshot = mailbox.snapshot();
        // After the snapshot, so that every message in it has been claimed by someone.
        let recent = mailbox.recent(!read_only)?;
        Ok(Self {
            keywords_told: snapshot.known_keywords().len(),
            mailbox,
            snapshot,
            recent,
            read_only,
            changed,
            _subscription: subscription,
        })
    }

    /// How many messages the client knows of are `\Recent`.
    pub(crate) fn recent_count(&self) -> u32 {
        let below = |uid: Option<Uid>| match uid {
            Some(uid) => self.snapshot.count_below(uid),
            None => self.snapshot.len(),
        };
        self.recent
            .ranges()
            .map(|(first, last)| below(last.next()).saturating_sub(below(Some(first))))
            .sum()
    }

    /// The greatest UID the client knows of.
    pub(crate) fn last_uid(&self) -> Option<Uid> {
        let last = self.snapshot.by_sequence(self.snapshot.len())?;
        Some(last.uid)
    }
}
