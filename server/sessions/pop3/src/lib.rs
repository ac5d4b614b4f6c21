//! The driver of POP3 connections: it owns the socket, answers what `facteur-pop3` asks for out of
//! the store, and keeps each maildrop to one session.
//!
//! Whatever may block on a disk goes through the bridge; a small message costs one trip.

mod lock;
mod login;
mod options;
mod retrieve;
mod service;
mod session;
mod update;

pub use lock::Locks;
pub use options::Options;
pub use service::Pop3Service;

#[cfg(test)]
mod tests;
