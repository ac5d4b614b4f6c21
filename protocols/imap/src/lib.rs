//! IMAP4rev1 (RFC 3501) and its extensions on the server's side: bytes in, commands out, and the
//! writer of the responses. No sockets, files or clocks; what a command does is the session's.
//!
//! [`Decoder`] frames: it finds tag and verb, collects argument literals within limits, and hands
//! APPEND's literal on as it comes. Verbs that `imap-codec` parses whole go to it (`codec`); every
//! other verb has a parser in a file of its own. No verb is tried in both.

mod append;
mod authenticate;
mod codec;
mod command;
mod cursor;
mod date;
mod decoder;
mod fetch;
mod flags;
mod list;
mod mailbox;
mod search;
mod sequence;
mod status;
mod tag;
pub mod write;

pub use append::AppendHead;
pub use command::{Command, FlagsAction, MailboxSet, Store};
pub use cursor::Malformed;
pub use decoder::{Decoder, Event, Limits, Line};
pub use facteur_utf7::{Utf7Error, decode as decode_utf7, encode as encode_utf7};
pub use fetch::{Fetch, FetchItem, Partial, Section, SectionItem, SectionText};
pub use flags::FlagList;
pub use list::List;
pub use mailbox::MailboxArgument;
pub use search::{DateField, HeaderField, Search, SearchDate, SearchKey, SizeOrder};
pub use sequence::{SequenceRange, SequenceSet};
pub use status::StatusItem;
pub use tag::Tag;
