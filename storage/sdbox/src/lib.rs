//! Dovecot's single-dbox format: one file a message, byte-compatible both ways.
//!
//! Owns what the files below an account's home look like: paths and names ([`Layout`]), message
//! files ([`NewMessage`], [`MessageFile`]), the `subscriptions` file and the `uidvalidity` file.
//! When they are written, and in which order made durable, is `facteur-store`'s.

mod layout;
mod lines;
mod message;
mod metadata;
mod subscriptions;
mod uid_validity;

pub use facteur_utf7::encode as encode_mutf7;
pub use layout::{FolderOnDisk, Layout};
pub use lines::CrlfLines;
pub use message::{MessageFile, NewMessage, Source};
pub use metadata::Metadata;
pub use subscriptions::Subscriptions;
pub use uid_validity::Identity;
