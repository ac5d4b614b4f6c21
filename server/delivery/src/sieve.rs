//! Sieve scripts (RFC 5228): checking and running them through sieve-rs.

mod budget;
mod compose;
mod engine;
mod extensions;
mod lexer;
mod library;
mod message;
mod pool;
mod rewrite;
mod run;
mod score;
mod script;
mod vacation;

#[cfg(test)]
mod tests;

pub use extensions::{extensions, notify_methods};
pub use score::{Score, ScoreError};
pub use script::MAX_SCRIPT_SIZE;

pub(crate) use library::{Library, Text};
pub(crate) use message::{Input, Source, prefix_fields, without_return_path};
pub(crate) use pool::{NoResult, Pool};
pub(crate) use run::{Action, Engine, Facts, Fault, Job, Keep, Run, Version, World};
pub(crate) use script::Script;

/// The field that a redirected message carries for each account that redirected it. One that comes
/// back to such an account is kept there.
pub(crate) const REDIRECTED_FROM: &str = "X-Sieve-Redirected-From";

/// What is wrong with a script, for ManageSieve and the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// Line, from 1.
    pub line: usize,
    /// What was wrong and what would be right.
    pub message: String,
}

impl ScriptError {
    fn at(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

/// Compiles a script as PUTSCRIPT and CHECKSCRIPT must: an unknown `require` is an error too.
///
/// # Errors
/// The first thing wrong.
pub fn check(script: &[u8]) -> Result<(), ScriptError> {
    Script::compile(script).map(drop)
}
