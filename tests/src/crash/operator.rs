//! The operator, who asks the running server through its control socket. The command line would do
//! the work by itself when the server is dead.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::{Value, json};

use super::{
    client::note,
    work::{ALICE, BOB, CAROL, Work},
};
use crate::{PATIENCE, Random};

/// Asks for `verb` to be done to one account; what became of it, `None` when the server is dead.
///
/// # Panics
/// When the server refuses.
pub(crate) fn ask(data: &Path, verb: &str, account: &str) -> Option<Value> {
    let stream = UnixStream::connect(data.join("state/control.sock")).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    note(format!("operator > {verb} {account}"));
    let request = json!({"version": 1, "verb": verb, "arguments": {"accounts": [account]}});
    (&stream)
        .write_all(format!("{request}\n").as_bytes())
        .ok()?;
    let mut outcome = None;
    for line in BufReader::new(&stream).lines() {
        let line = line.ok()?;
        let answer: Value = serde_json::from_str(&line).ok()?;
        if answer.get("progress").is_some() {
            continue;
        }
        note(format!("operator < {line:.300}"));
        assert!(answer.get("failed").is_none(), "{verb} {account}: {line}");
        if let Some(item) = answer.get("item") {
            outcome = Some(item.clone());
        }
        if answer.get("done").is_some() {
            return outcome;
        }
    }
    None
}

impl Work<'_> {
    /// Brings an account into its files, which makes a checkpoint and folds the index's log into it; or
    /// makes its index small, which rewrites it.
    pub(crate) fn operate(&self, data: &Path, random: &mut Random) -> Option<()> {
        let account = *random.pick(&[ALICE, BOB, CAROL]);
        let (verb, done) = match random.below(4) {
            0 => ("account.optimize", "optimized"),
            _ => ("account.sync", "synced"),
        };
        let outcome = ask(data, verb, account)?;
        assert!(outcome.get(done).is_some(), "{verb} {account}: {outcome}");
        Some(())
    }
}
