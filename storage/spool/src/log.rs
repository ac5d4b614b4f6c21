//! What makes the spool's changes durable.

use crate::{Change, QueueId, SpoolError};

/// A change to an entry that is in the spool.
#[derive(Debug, Clone, Copy)]
pub enum Logged<'a> {
    /// The entry changes.
    Update(&'a QueueId, &'a Change),
    /// The entry goes.
    Remove(&'a QueueId),
}

/// Where changes are made durable before they are done to the files. The store's journal is one.
pub trait Log: std::fmt::Debug + Send + Sync {
    /// Makes `change` durable and then calls `apply`, once. Whatever the process comes to between
    /// the two, the next one does the change again ([`crate::Spool::redo`]).
    ///
    /// # Errors
    /// When it cannot be made durable: then `apply` was not called. Or `apply`'s.
    fn logged(
        &self,
        change: Logged<'_>,
        apply: &mut dyn FnMut() -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError>;
}
