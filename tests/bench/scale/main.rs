//! Large numbers: a mailbox of a million messages; ten thousand accounts; ten thousand connections in
//! IDLE.
//!
//! ```text
//! cargo build --release && FACTEUR_BINARY=target/release/facteur \
//!     cargo run -p facteur-tests --example scale -- [mailbox] [accounts]
//!     [--messages N] [--accounts N] [--each N] [--folder DIR] [--format sdbox|maildir]
//!     [--config TOML]
//! ```
//!
//! It must run as root: it drops the page cache and raises limits. It tells every step and its time, and
//! leaves nothing behind. How the mail is made, so that it is there in minutes and fits on the disk:
//!
//! * the mailbox: 1,000 messages by APPEND, with dates of 1,000 days, then doubled by COPY. A copy is a
//!   hard link, so 1,000,000 names share 1,000 files; indexes are as if they were all different;
//! * the accounts: one is filled in the same way, then its folder is copied by this tool while the server
//!   is down, index and all, message files as hard links. Accounts and passwords are written into the
//!   directory's SQLite tables. New mail, of course, is files of its own.
//!
//! Configuration keys that are changed, and why, are printed first. Flushes are those of the whole
//! machine's disks.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what cannot go on says so and ends"
)]

mod accounts;
mod clients;
mod idle;
mod mailbox;
mod measure;

use std::path::PathBuf;

use facteur_tests::Setup;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Not as shipped.
const SECTIONS: &str = "\
[auth]
# The load is in clear.
plaintext_auth_on_loopback = true
[process]
# Everything comes from one address.
client_limit = 20000
client_connection_count_limit = 20000
smtpd_client_connection_count_limit = 1000
";

pub(crate) struct Arguments {
    pub(crate) messages: usize,
    pub(crate) accounts: usize,
    pub(crate) each: usize,
    folder: PathBuf,
    setup: Setup,
}

impl Arguments {
    /// A folder for one part, which goes with it.
    fn folder(&self) -> tempfile::TempDir {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("facteur-scale-")
            .tempdir_in(&self.folder)
            .expect("a folder")
    }

    /// A server whose data lie in `data`.
    fn setup(&self, data: &std::path::Path) -> Setup {
        self.setup.clone().data_in(data)
    }
}

fn main() {
    let mut parsed = Arguments {
        messages: 1_000_000,
        accounts: 10_000,
        each: 1000,
        folder: std::env::temp_dir(),
        setup: Setup::new().sections(SECTIONS),
    };
    let mut parts = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if matches!(name.as_str(), "mailbox" | "accounts") {
            parts.push(name);
            continue;
        }
        let value = arguments.next().expect("a value");
        let number = || value.parse().expect("a number");
        match name.as_str() {
            "--messages" => parsed.messages = number(),
            "--accounts" => parsed.accounts = number(),
            "--each" => parsed.each = number(),
            "--folder" => parsed.folder = PathBuf::from(value),
            "--config" => parsed.setup = parsed.setup.sections(&value),
            "--format" => parsed.setup = parsed.setup.format(&value),
            _ => {
                eprintln!("{name}? The top of tests/bench/scale/main.rs says what there is.");
                std::process::exit(2);
            }
        }
    }
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("as many open files as may be");
    println!(
        "open files may be {:?}; changed keys:\n{SECTIONS}",
        limit.current
    );
    let wanted = |name: &str| parts.is_empty() || parts.iter().any(|part| part == name);
    if wanted("mailbox") {
        mailbox::run(&parsed);
    }
    if wanted("accounts") {
        accounts::run(&parsed);
    }
}
