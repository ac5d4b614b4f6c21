//! Programs of others that a test needs.

use std::{fs::OpenOptions, io::Write as _, path::PathBuf};

/// Whether this runs in CI, where nothing may be skipped.
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Where `program` is. Without it a test is skipped, and the closing lines of `tests/run` say so; in
/// CI it fails.
///
/// ```no_run
/// # use facteur_tests::require_peer;
/// let Some(swaks) = require_peer("swaks") else { return };
/// ```
///
/// # Panics
/// In CI, when it is missing.
pub fn require_peer(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian's own first: another of that name may lie where the server's user cannot go.
    let found = ["/usr/bin", "/usr/sbin", "/sbin"]
        .map(PathBuf::from)
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        missing(program);
    }
    found
}

/// Whether this runs as root, which `what` needs; otherwise as [`require_peer`].
///
/// # Panics
/// In CI, when it does not.
pub fn require_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        missing(&format!("root (for {what})"));
    }
    is_root
}

/// Notes that a test is skipped for want of something.
pub(crate) fn missing(what: &str) {
    assert!(!is_ci(), "{what} is missing, and in CI nothing is skipped");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{test}: {what} is missing\n");
    eprint!("skipped: {line}");
    if let Some(file) = std::env::var_os("FACTEUR_TEST_SKIPS")
        && let Ok(mut file) = OpenOptions::new().append(true).create(true).open(file)
    {
        let _ = file.write_all(line.as_bytes());
    }
}
