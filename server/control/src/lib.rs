//! The socket through which the command line asks the running server.
//!
//! A Unix socket in the state folder that only root and the server's own user can use. A request is
//! one line of JSON ([`Request`]); the answer is any number of lines with progress and items, and
//! one that ends it ([`Answer`]). More requests may follow on the same connection.
//!
//! What the verbs do is their owners': the daemon registers them with [`Verbs`].

mod answers;
mod client;
mod here;
mod server;
mod socket;
mod verbs;

pub use answers::{Answers, Gone};
pub use client::{AskError, ask};
pub use here::ask_here;
pub use server::{Server, serve};
pub use socket::path;
pub use verbs::{Refused, Verbs};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version that requests carry. It is raised when an old client's request would be
/// misunderstood; new verbs and new members of arguments and answers do not raise it.
pub const VERSION: u32 = 1;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What to do.
    pub verb: String,
    /// With what; each verb says what it takes.
    #[serde(default)]
    pub arguments: Value,
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How far it is. Some are left out when the asker reads slowly.
    Progress(Progress),
    /// One of the things asked for.
    Item(Value),
    /// Done; nothing follows.
    Done(Value),
    /// Not done, for this reason; nothing follows.
    Failed(String),
}

/// How far a verb is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// So much is done.
    pub done: u64,
    /// Of so much.
    pub total: u64,
    /// What is being worked on.
    pub what: String,
}
