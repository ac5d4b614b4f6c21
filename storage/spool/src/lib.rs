//! Messages in transit: what is still to be relayed, or delivered here later; and the transactions
//! of the store's commit while they are being applied.
//!
//! Owns the files below the spool directory and their durability. What to do with an entry, and
//! when, is `facteur-queue`'s; what a transaction means is `facteur-store`'s.
//!
//! One file holds one message: its envelope, its body, and after them one record for each change,
//! so that striking a recipient off costs an append and never a copy of the body. The files lie
//! below 32 directories, chosen by the last (random) digits of the queue id.

mod change;
mod entry;
mod error;
mod format;
mod listing;
mod reader;
mod spool;
mod transaction;

pub use change::{Change, Schedule};
pub use entry::{BodyType, Destination, Entry, Origin, QueueId, Recipient, RecipientState, Status};
pub use error::SpoolError;
pub use listing::Entries;
pub use reader::BodyReader;
pub use spool::Spool;
pub use transaction::{Transaction, Transactions};

#[cfg(test)]
mod tests;
