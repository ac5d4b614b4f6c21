//! Sieve scripts (RFC 5228): checking and running them through sieve-rs.

mod extensions;
mod lexer;
mod rewrite;
mod script;

pub use extensions::{extensions, notify_methods};
pub use script::MAX_SCRIPT_SIZE;
pub(crate) use script::Script;

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
