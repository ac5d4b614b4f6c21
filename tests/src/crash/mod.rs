//! The whole server crashes, again and again, at chosen calls to the kernel, and must keep every
//! promise.
//!
//! [`Campaign`] runs the server on a [`crate::Forgetful`] disk, or on a real one under strace: five
//! clients and an operator do everything that changes anything ([`work`], [`operator`]), the server is
//! killed before a chosen call ([`tally`]), of the process alone or of the whole machine, starts
//! again, and everything is compared with what clients were told ([`ledger`], [`check`]). Then the
//! next one, on what the last one left.

mod asks;
mod campaign;
pub(crate) mod check;
pub(crate) mod client;
mod ground;
pub(crate) mod ledger;
pub(crate) mod operator;
mod reader;
mod tally;
pub(crate) mod text;
mod traced;
pub(crate) mod view;
pub(crate) mod work;

pub use campaign::{Campaign, Crash};
