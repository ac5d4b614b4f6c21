//! The whole server crashes, again and again, at chosen calls to the kernel, and must keep every
//! promise.
//!
//! [`Campaign`] runs the server on a [`crate::Forgetful`] disk, or on a real one under strace: five clients do everything that changes
//! anything ([`work`]), the server is killed before a chosen call, of the process alone or of the
//! whole machine, starts again, and everything is compared with what clients were told
//! ([`ledger`], [`check`]). Then the next one, on what the last one left.

mod asks;
mod campaign;
pub(crate) mod check;
pub(crate) mod client;
mod ground;
pub(crate) mod ledger;
mod reader;
pub(crate) mod text;
mod traced;
pub(crate) mod view;
pub(crate) mod work;

pub use campaign::{Campaign, Crash};
