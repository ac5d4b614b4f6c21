//! Sieve scripts (RFC 5228): checking and running them through sieve-rs.

/// What is wrong with a script, for ManageSieve and the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// Line, from 1.
    pub line: usize,
    /// What was wrong and what would be right.
    pub message: String,
}

/// The extensions that scripts may require, as the `SIEVE` capability lists them (RFC 5804 §1.7).
pub fn extensions() -> &'static [&'static str] {
    &[]
}

/// Compiles a script as PUTSCRIPT and CHECKSCRIPT must: an unknown `require` is an error too.
///
/// # Errors
/// The first thing wrong.
pub fn check(_script: &[u8]) -> Result<(), ScriptError> {
    todo!()
}
