//! Out again: what waits in the spool is relayed, delivered here, or returned to its sender.
//!
//! Owns when an entry is tried, by how many connections, and what becomes of each recipient. The
//! files are `facteur-spool`'s, the protocol `facteur-smtp`'s, mailboxes `facteur-delivery`'s, the
//! text of notices `facteur-dsn`'s.

mod attempt;
mod bounce;
mod clock;
pub mod control;
mod destination;
mod dns;
mod local;
mod next_hop;
mod options;
mod outcome;
mod queue;
mod relay;
mod resolve;
mod schedule;
mod scheduler;
mod session;
mod settle;
mod tls;
mod worker;

pub use clock::{Clock, SystemClock};
pub use next_hop::{NextHop, NextHopError, Pattern, Target};
pub use options::{Nameserver, Options, TlsPolicy};
pub use queue::{Parts, Queue, QueueError};
