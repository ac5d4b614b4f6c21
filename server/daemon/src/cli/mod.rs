//! The command line: a file for each verb.

mod account;
mod alias;
mod bar;
mod config;
mod directory;
mod domain;
mod queue;
mod quickstart;
mod quota;
mod serve;
mod server;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use facteur_config::{Config, Loaded};

/// A mail server in one process: SMTP, submission, LMTP, IMAP, POP3 and ManageSieve.
#[derive(Debug, clap::Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "FACTEUR_CONFIG",
        default_value = "/etc/facteur/facteur.toml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Run the server.
    ///
    /// Started as root, it keeps a small parent that opens ports and keys, and serves as the user of
    /// `process.user`. SIGHUP reads the configuration and the certificates again, without dropping a
    /// connection; SIGTERM and SIGINT stop it once sessions have finished what they were doing.
    Serve(serve::Args),
    /// Try a server on this machine: nothing to install, nothing to configure.
    ///
    /// Makes a folder with a configuration, a directory, a certificate and the domain example.test
    /// with the accounts alice and bob, serves it on loopback, and prints lines to copy that send a
    /// message and read it back. A second start reuses what is there.
    Quickstart(quickstart::Args),
    /// Check, show, explain and change the configuration.
    Config(config::Args),
    /// Add, list, show, change and remove domains.
    Domain(domain::Args),
    /// Add, list, show, change, test, remove, check and mend accounts.
    Account(account::Args),
    /// Add, list, show, change and remove aliases.
    Alias(alias::Args),
    /// Show and recount what accounts hold.
    Quota(quota::Args),
    /// List, show, flush, hold, release and delete messages on their way out.
    Queue(queue::Args),
}

/// What verbs share.
#[derive(Debug)]
pub(crate) struct Context {
    /// The configuration file.
    pub(crate) config: PathBuf,
}

impl Context {
    /// Reads the configuration.
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        load(&self.config)
    }

    /// A runtime for verbs that talk to the directory.
    pub(crate) fn runtime(&self) -> anyhow::Result<tokio::runtime::Runtime> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start")
    }
}

/// Reads the configuration at `file`.
pub(crate) fn load(file: &Path) -> anyhow::Result<Loaded> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the configuration {}", file.display()))
        .map_err(|error| match error.downcast_ref::<std::io::Error>() {
            Some(cause) if cause.kind() == std::io::ErrorKind::NotFound => anyhow::anyhow!(
                "{error:#}; name another with --config, or make one: an empty file will do"
            ),
            _ => error,
        })?;
    Ok(Config::parse(file, &text)?)
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let context = Context {
            config: self.config,
        };
        match self.verb {
            Verb::Serve(args) => serve::run(args, &context),
            Verb::Quickstart(args) => quickstart::run(args),
            Verb::Config(args) => config::run(args, &context),
            Verb::Domain(args) => domain::run(args, &context),
            Verb::Account(args) => account::run(args, &context),
            Verb::Alias(args) => alias::run(args, &context),
            Verb::Quota(args) => quota::run(&args, &context),
            Verb::Queue(args) => queue::run(args, &context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
