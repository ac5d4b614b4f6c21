//! Dovecot's own index of a mailbox: `dovecot.index` and its log, read and written.
//!
//! Bytes in, a [`MailboxImage`] out, and the other way round; which files there are, and what becomes
//! of an image, is `facteur-store`'s. Dovecot keeps a mailbox's flags, keywords, UIDVALIDITY and GUID
//! in these files only (its sdbox message files know nothing of them), so that whoever takes over a
//! tree from it, or hands one back, has to understand them.
//!
//! `dovecot.index` is a snapshot: a header, then extensions (each with a header of its own and room
//! in every record), then one record a message. `dovecot.index.log` holds the changes since: the
//! snapshot names a place in it, and everything from there on is applied. When it grows Dovecot
//! renames it to `.log.2` and begins another; a snapshot may be missing while the log goes back to
//! the mailbox's beginning. `dovecot.index.backup` is an older snapshot.
//!
//! Layouts are those of Dovecot 2.0 to 2.4 on little-endian machines (index version 7, log version
//! 1); anything else is refused. Whatever the bytes, reading ends, within bounded memory.

mod apply;
mod bytes;
mod extensions;
mod header;
mod image;
mod log;
mod read;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod write;

pub use image::{MailboxImage, MessageImage};
pub use read::{Files, Reading, Remark, Unreadable, read};
pub use write::{Written, write};
