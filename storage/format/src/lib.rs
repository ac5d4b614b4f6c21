//! What the formats on disk have in common: line ends, the `subscriptions` file, the `uidvalidity`
//! file, and where the bytes of a new message come from.
//!
//! Where these files lie is each format's business ([`Places`]); when they are written is
//! `facteur-store`'s.

mod lines;
mod source;
mod subscriptions;
mod uid_validity;

pub use lines::CrlfLines;
pub use source::Source;
pub use subscriptions::Subscriptions;
pub use uid_validity::Identity;

use std::path::PathBuf;

use facteur_model::MailboxName;

/// Where a format keeps the files that every format has.
pub trait Places {
    /// What stands between the levels of a mailbox's name on disk.
    fn separator(&self) -> char;

    /// A mailbox's `uidvalidity` file.
    fn identity(&self, name: &MailboxName) -> PathBuf;

    /// The file of subscribed names.
    fn subscriptions(&self) -> PathBuf;
}
