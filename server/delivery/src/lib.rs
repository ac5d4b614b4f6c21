//! Into mailboxes: quota, Sieve, vacation, redirect, reject.
//!
//! Plans what a message does to each local recipient and writes it into one batch; committing it
//! is the caller's (intake for mail that arrives, queue for mail that waited).

mod plan;
pub mod sieve;

pub use plan::{Arrived, Deliverer, LocalRecipient, Outcome};
