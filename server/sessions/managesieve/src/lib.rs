//! The driver of ManageSieve connections: it owns the socket, answers what `facteur-managesieve`
//! asks for out of the store, and has every script checked before it is kept.
//!
//! Whatever may block on a disk, or compile, goes through the bridge, one trip a command.

mod login;
mod options;
mod refusal;
mod scripts;
mod service;
mod session;

pub use options::Options;
pub use service::ManageSieveService;

#[cfg(test)]
mod tests;
