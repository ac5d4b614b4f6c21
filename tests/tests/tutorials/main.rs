//! What people were told to set up, moved to Facteur: `deploy/examples/`, with other ports and folders
//! and nothing else changed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

mod passwd_file;
mod postfixadmin;

use std::{fs, path::PathBuf};

use facteur_tests::Smtp;

/// One of the examples that operators get; each `from` must be in it, and becomes its `to`.
pub(crate) fn example(name: &str, changes: &[(&str, &str)]) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let mut text = fs::read_to_string(path.join(name)).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

/// A message that anybody may send.
pub(crate) fn message(subject: &str) -> String {
    format!("From: x@ailleurs.test\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n")
}

/// After EHLO.
pub(crate) fn greeted(mut smtp: Smtp) -> Smtp {
    smtp.expect("EHLO client.example", 250);
    smtp
}
