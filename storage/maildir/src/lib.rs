//! Maildir++, as Dovecot 2.3 writes and reads it: one file a message, its flags in its name.
//!
//! Owns what the files below a Maildir look like: folders and their paths ([`Layout`]), names of
//! message files ([`FileName`], [`BaseNames`]), their UIDs ([`UidList`]), what the keywords' letters
//! mean ([`KeywordFile`]), new messages ([`NewMessage`]) and those that are there ([`Files`], which
//! also finds what other programs changed). When something is written, and in which order made
//! durable, is `facteur-store`'s.
//!
//! Decided here:
//! - The Maildir is the account's home: INBOX is the folder itself, others are `.Level.Level`
//!   beside it (`LAYOUT=fs` is not supported). Names that Dovecot refuses are refused
//!   ([`Layout::check`]).
//! - New messages have CRLF line ends, as in sdbox; those that others stored with LF are read.
//! - Keywords beyond the 26th of a folder have no letter: the index alone knows them, as with
//!   Dovecot.
//! - `maildirsize`, the quota file of other servers, is neither read nor written: they count anew
//!   when it is removed.
//! - No lock file is taken: an account is never open in Dovecot and here at once. Programs that only
//!   deliver, move or remove messages need none.

mod base_name;
mod changes;
mod file_name;
mod files;
mod identity;
mod keywords;
mod layout;
mod letters;
mod message;
mod stamps;
mod uid_list;
mod uid_validity;

pub use base_name::BaseNames;
pub use changes::{Added, Changes};
pub use file_name::{FileName, guid_of};
pub use files::{File, Files, Place};
pub use identity::identity;
pub use keywords::KeywordFile;
pub use layout::{Layout, NameError};
pub use letters::{Letter, Letters};
pub use message::{MessageFile, NewMessage};
pub use stamps::{Stamps, clean_tmp};
pub use uid_list::{Head, UidList};
pub use uid_validity::UidValidities;
