//! The index of one account: `index.db`, an SQLite database beside the mail.
//!
//! It answers what clients ask most (flags, sizes, dates, envelopes) without opening a message. It
//! holds nothing that cannot be had again but flags, Sieve's memory and what was expunged; when it
//! is lost or damaged `facteur-store` fills it from the files. Commits are atomic, and survive the
//! process; they survive the machine only from the next checkpoint on, so nothing that must not be
//! lost relies on them.

mod body;
mod check;
mod empty;
mod error;
mod expunged;
mod headers;
mod index;
mod migrate;
mod names;
mod packed;
mod rows;
mod runs;
mod salvage;
mod schema;
mod transaction;
mod varint;

pub use error::IndexError;
pub use headers::HeaderGroup;
pub use index::Index;
pub use rows::{Details, MailboxRow, MessageRow, Parts};
pub use transaction::Transaction;
