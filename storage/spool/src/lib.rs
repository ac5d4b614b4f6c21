//! Messages in transit: what is still to be relayed, or delivered here later.
//!
//! Owns the files below the spool directory and their durability. What to do with an entry, and
//! when, is `facteur-queue`'s.

mod entry;

pub use entry::{BodyType, Entry, Origin, QueueId, Recipient, RecipientState, Status};
