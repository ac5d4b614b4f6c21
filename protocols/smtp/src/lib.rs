//! SMTP (RFC 5321), submission (RFC 6409) and LMTP (RFC 2033): what is said on the wire, without
//! sockets or clocks.
//!
//! [`server`] is the side that receives, [`client`] the one that sends. Shared by both: [`Command`]
//! with its paths and parameters, [`Reply`] and [`EnhancedStatus`], and the dot-stuffing of [`dot`].
//! Who may send what to whom is `facteur-intake`'s.

pub mod client;
pub mod command;
pub mod dot;
mod reply;
pub mod server;
mod status;

pub use command::Command;
pub use reply::{MalformedReply, Reply, ReplyReader};
pub use status::EnhancedStatus;
