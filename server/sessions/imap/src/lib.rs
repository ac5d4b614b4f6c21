//! The driver of IMAP connections: it owns the socket, runs the commands that `facteur-imap` reads
//! against the store, and tells each client what the others changed.
//!
//! One verb, one file. Whatever may block on a disk goes through the bridge; snapshots of a
//! mailbox are read directly. A connection that waits keeps no buffers and no list of messages.

mod append;
mod authenticate;
mod capability;
mod close;
mod copy;
mod create;
mod delete;
mod dispatch;
mod enable;
mod envelope;
mod expunge;
mod fetch;
mod id;
mod idle;
mod io;
mod list;
mod login;
mod lsub;
mod mail_log;
mod messages;
mod move_;
mod names;
mod namespace;
mod noop;
mod options;
mod outcome;
mod quota;
mod rename;
mod search;
mod select;
mod selected;
mod service;
mod session;
mod slots;
mod source;
mod starttls;
mod status;
mod store;
mod subscribe;
mod updates;

pub use options::{DomainUsage, Namespace, Options};
pub use service::ImapService;
pub use slots::Slots;
