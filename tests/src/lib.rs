//! What end-to-end tests share: a server of their own, started from the real binary, and small
//! clients for its protocols.
//!
//! A test owns everything it starts: a data folder that goes with it, ports that the system picks,
//! and a process that is killed when the [`Facteur`] is dropped. Everything waits for what it can
//! observe, with a limit, and panics with the server's log when that does not come.
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

mod connection;
mod crash;
pub mod database;
mod fault;
mod forgetful;
mod imap;
mod managesieve;
mod patience;
mod peer;
mod pop3;
mod quickstart;
mod random;
mod server;
mod setup;
mod smtp;
mod soak;
mod strace;
mod workdir;

pub use connection::Connection;
pub use crash::{Campaign, Crash};
pub use fault::{FaultCounts, FaultPoint, class_of};
pub use forgetful::{Forgetful, Image, Loss, Strike, require_forgetful};
pub use imap::{Imap, Response};
pub use managesieve::{activate_script, base64};
pub use patience::wait_for;
pub use peer::{is_ci, require_peer, require_root};
pub use pop3::Pop3;
pub use quickstart::Quickstart;
pub use random::Random;
pub use server::{Facteur, binary};
pub use setup::Setup;
pub use smtp::{Reply, Smtp};
pub use soak::{Sample, Soaked, soak};
pub use strace::Strace;
pub use workdir::{Ran, Workdir};

use std::time::Duration;

/// How long anything may take before a test gives up. Generous: it is reached by a defect only, or
/// by a machine that is very busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
