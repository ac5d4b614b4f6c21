//! The way back to who asked.

use serde::Serialize;
use tokio::sync::mpsc;

use crate::{Answer, Progress};

/// Nobody listens any more: whoever asked has gone, or the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("whoever asked has gone")]
pub struct Gone;

/// Answers so many lines ahead of what was written.
pub(crate) const AHEAD: usize = 64;

/// Takes what a verb has to say. Clones lead to the same asker.
#[derive(Debug, Clone)]
pub struct Answers {
    lines: mpsc::Sender<Answer>,
}

impl Answers {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Answer>) {
        let (lines, received) = mpsc::channel(AHEAD);
        (Self { lines }, received)
    }

    /// Says one of the things asked for; waits while the asker reads slowly.
    ///
    /// # Errors
    /// When nobody listens: what the verb does for the asker alone can end.
    pub async fn item(&self, item: &impl Serialize) -> Result<(), Gone> {
        let item = serde_json::to_value(item).map_err(|_| Gone)?;
        self.lines.send(Answer::Item(item)).await.map_err(|_| Gone)
    }

    /// Says how far it is. Never waits: it may be called where nothing may, and a slow asker misses
    /// some.
    pub fn progress(&self, done: u64, total: u64, what: &str) {
        let what = what.to_owned();
        let _ = self
            .lines
            .try_send(Answer::Progress(Progress { done, total, what }));
    }

    /// Whether nobody listens any more.
    pub fn is_gone(&self) -> bool {
        self.lines.is_closed()
    }
}
