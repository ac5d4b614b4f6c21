//! Messages in transit: what is still to be relayed, or delivered here later.
//!
//! Owns the files below the spool directory. That a change is durable before it is done is its
//! [`Log`]'s, which is `facteur-store`'s journal. What to do with an entry, and when, is
//! `facteur-queue`'s.
//!
//! One file holds one message: its envelope, its body, and after them one record for each change,
//! so that striking a recipient off costs an append and never a copy of the body. The files lie
//! below 32 directories, chosen by the last (random) digits of the queue id.

mod change;
mod entry;
mod error;
mod format;
mod listing;
mod log;
mod reader;
mod spool;

pub use change::{Change, Schedule};
pub use entry::{BodyType, Destination, Entry, Origin, QueueId, Recipient, RecipientState, Status};
pub use error::SpoolError;
pub use listing::Entries;
pub use log::{Log, Logged};
pub use reader::BodyReader;
pub use spool::{Spool, Staged};

#[cfg(test)]
mod tests;
