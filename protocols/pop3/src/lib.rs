//! POP3 (RFC 1939), server side, without I/O: bytes in, [`Event`]s and output out.
//!
//! [`Session`] knows the commands, their states and the maildrop's numbering; it keeps a snapshot of
//! the sizes and answers STAT, LIST, UIDL, DELE and RSET by itself. Checking passwords, reading
//! messages and removing them is the driver's.

mod command;
mod dot;
mod listing;
mod maildrop;
mod reply;
mod session;

pub use command::{Command, CommandError, MAX_COMMAND_LINE};
pub use dot::DotStuffer;
pub use maildrop::{Maildrop, Message};
pub use reply::ResponseCode;
pub use session::{Event, Next, Session, Setting};

#[cfg(test)]
mod tests;
