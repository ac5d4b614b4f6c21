//! Dovecot's single-dbox format: one file a message, byte-compatible both ways.
//!
//! Owns what the files below an account's home look like: paths and names ([`Layout`]), message
//! files ([`NewMessage`], [`MessageFile`]); what the formats share is `facteur-format`'s.
//! When they are written, and in which order made durable, is `facteur-store`'s.

mod layout;
mod message;
mod metadata;

pub use facteur_format::{CrlfLines, Identity, Source, Subscriptions};
pub use facteur_utf7::encode as encode_mutf7;
pub use layout::{FolderOnDisk, Layout};
pub use message::{Head, MessageFile, NewMessage};
pub use metadata::Metadata;
