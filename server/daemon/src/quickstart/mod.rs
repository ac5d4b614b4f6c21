//! A server to try on one's own machine: nothing to install, nothing to configure.

mod accounts;
mod configuration;
mod report;

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use crate::source::Source;

/// The domain that is made.
const DOMAIN: &str = "example.test";
/// Who lives there.
const USERS: [&str; 2] = ["alice", "bob"];

/// An account and the password that was given to it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Account {
    address: String,
    password: String,
}

/// Where everything lies.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn config(&self) -> PathBuf {
        self.0.join("facteur.toml")
    }
    fn report(&self) -> PathBuf {
        self.0.join("quickstart.json")
    }
}

/// Makes what is missing in `data` and serves it on loopback until told to stop.
pub(crate) fn run(data: &Path, port_base: u16) -> anyhow::Result<ExitCode> {
    if rustix::process::geteuid().is_root() {
        eprintln!(
            "facteur: running as root, which is for a trial on this machine only; `facteur serve` gives root up"
        );
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .and_then(|()| data.canonicalize())
        .with_context(|| format!("cannot make the data folder {}", data.display()))
        .and_then(|data| {
            let folder = Folder(data);
            configuration::write(&folder, port_base)?;
            let accounts = accounts::prepare(&folder)?;
            let source = Source::Direct(folder.config());
            crate::serve::run(source, |listeners| {
                if let Err(error) = report::publish(&folder, listeners, &accounts) {
                    tracing::error!(error = format!("{error:#}"), "cannot write quickstart.json");
                }
            })
            .map_err(|error| hint(error, port_base))
        })
}

/// What a new user may do about what went wrong.
fn hint(error: anyhow::Error, port_base: u16) -> anyhow::Error {
    match error.downcast_ref::<facteur_runtime::ListenError>() {
        Some(listen) if listen.cause.kind() == std::io::ErrorKind::AddrInUse => {
            let other = if port_base < 30_000 {
                port_base + 1000
            } else {
                2000
            };
            anyhow::anyhow!("{error:#}; try other ports, such as --port-base {other}")
        }
        _ => error,
    }
}

/// Reads what an earlier start wrote; `None` when there was none.
fn known_accounts(folder: &Folder) -> anyhow::Result<Vec<Account>> {
    let path = folder.report();
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    #[derive(serde::Deserialize)]
    struct Known {
        accounts: Vec<Account>,
    }
    let known: Known = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged; remove it", path.display()))?;
    Ok(known.accounts)
}
