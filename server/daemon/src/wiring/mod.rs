//! From the configuration to each part's own options: a file for each part.
//!
//! Every section is taken apart whole, field by field, so that a key that nothing reads does not
//! compile without a warning.

mod current_directory;
mod delivery;
pub(crate) mod directory;
mod imap;
mod listeners;
pub(crate) mod login;
mod managesieve;
mod parts;
mod paths;
mod pop3;
mod queue;
mod smtp;
mod store;
mod tls;

use facteur_config::Config;

use current_directory::CurrentDirectory;
pub(crate) use listeners::{server_options, specs};
pub(crate) use parts::Parts;
pub(crate) use paths::Paths;
pub(crate) use tls::{certificates, options as tls_options};

/// What only the parts themselves can judge: patterns, templates, names.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    crate::log::check(&config.log)?;
    directory::check(config)?;
    login::options(config)?;
    store::options(config)?;
    delivery::options(config)?;
    queue::options(config)?;
    smtp::intake(config)?;
    smtp::session(config)?;
    Ok(())
}

/// Whether the certificates of a configuration file can be used; none are made.
pub(crate) fn check_certificates(file: &std::path::Path) -> anyhow::Result<()> {
    let gathered = crate::source::Source::Direct(file.to_owned()).gather()?;
    let config = &gathered.loaded.config;
    if !config.certificate_files().is_empty() {
        facteur_runtime::Tls::new(&tls_options(config), &certificates(&gathered)?)?;
    }
    Ok(())
}

/// Keys that differ and that a running server cannot change.
pub(crate) fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (p, q) = (&old.process, &new.process);
    [
        (
            "data_directory",
            old.general.data_directory != new.general.data_directory,
        ),
        ("mailbox", old.mailboxes != new.mailboxes),
        ("process.user", (&p.user, &p.group) != (&q.user, &q.group)),
        (
            "process.network_threads",
            p.network_threads != q.network_threads,
        ),
        (
            "process.storage_threads",
            p.storage_threads != q.storage_threads,
        ),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}
