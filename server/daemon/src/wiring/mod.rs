//! From the configuration to each part's own options: a file for each part.
//!
//! Every section is taken apart whole, field by field, so that a key that nothing reads does not
//! compile without a warning.

mod control;
mod current_directory;
mod delivery;
pub(crate) mod directory;
mod imap;
mod key;
mod listeners;
pub(crate) mod login;
mod managesieve;
mod parts;
mod paths;
mod pop3;
mod queue;
mod quota;
mod smtp;
mod store;
mod tls;

use std::{collections::HashMap, path::Path};

use anyhow::Context as _;
use facteur_config::{Config, Loaded, Problem, Problems};

pub(crate) use control::{Changed, DIRECTORY_CHANGED};
use current_directory::CurrentDirectory;
pub(crate) use key::Key;
pub(crate) use listeners::{server_options, specs};
pub(crate) use parts::Parts;
pub(crate) use paths::Paths;
pub(crate) use store::options as store_options;
pub(crate) use tls::{
    certificate_files, certificates, options as tls_options, refused as certificate_refused,
};

use crate::source::Gathered;

/// What only the parts themselves can judge: patterns, templates, names.
///
/// # Errors
/// Everything that is wrong.
pub(crate) fn check(loaded: &Loaded) -> Result<(), Problems> {
    let config = &loaded.config;
    refuse(
        loaded,
        [
            crate::log::check(&config.log).context(Key::new("log.level")),
            directory::check(config),
            login::options(config).map(drop),
            store::options(config).map(drop),
            delivery::options(config).map(drop),
            quota::warnings(config).map(drop),
            queue::options(config).map(drop),
            smtp::intake(config).map(drop),
            smtp::session(config).map(drop),
        ],
    )
}

/// Whether the certificates can be used, as far as this process may read them; none are made.
///
/// # Errors
/// Everything that is wrong.
pub(crate) fn check_certificates(loaded: &Loaded) -> Result<(), Problems> {
    let config = &loaded.config;
    if config.certificate_files().is_empty() {
        return Ok(());
    }
    let gathered = Gathered {
        loaded: loaded.clone(),
        sockets: HashMap::new(),
        files: HashMap::new(),
    };
    let tls = certificates(&gathered).and_then(|certificates| {
        let tls = facteur_runtime::Tls::new(&tls_options(config), &certificates);
        tls.map(drop).map_err(|error| tls::refused(config, error))
    });
    refuse(loaded, [tls])
}

/// What is sound and still looks like a mistake.
pub(crate) fn doubts(loaded: &Loaded) -> Vec<Problem> {
    let sieve = &loaded.config.sieve;
    let lists = [
        ("sieve_before", &sieve.sieve_before),
        ("sieve_after", &sieve.sieve_after),
    ];
    let single = [
        ("sieve_default", &sieve.sieve_default),
        ("sieve_global", &sieve.sieve_global),
    ];
    let paths = lists
        .into_iter()
        .flat_map(|(key, list)| list.iter().map(move |path| (key, path)))
        .chain(
            single
                .into_iter()
                .filter_map(|(key, path)| Some((key, path.as_ref()?))),
        );
    let nobody = crate::privileges::check(&loaded.config).err();
    let nobody = nobody.map(|error| loaded.problem("process.user", format!("{error:#}")));
    paths
        .filter(|(_, path)| is_missing(path))
        .map(|(key, path)| {
            let message = format!("there is no {}", path.display());
            loaded.problem(&format!("sieve.{key}"), message)
        })
        .chain(
            directory::lines_left_out(&loaded.config)
                .into_iter()
                .map(|line| loaded.problem("directory.url", line)),
        )
        .chain(nobody)
        .collect()
}

/// Not one that this process merely may not see.
fn is_missing(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

/// An error about a key as one about a line of the file.
pub(crate) fn located(loaded: &Loaded, error: anyhow::Error) -> anyhow::Error {
    if error.is::<Key>() {
        Problems::new(&loaded.file, vec![key::problem(loaded, &error)]).into()
    } else {
        error
    }
}

fn refuse(
    loaded: &Loaded,
    judged: impl IntoIterator<Item = anyhow::Result<()>>,
) -> Result<(), Problems> {
    let mut problems = Vec::new();
    for error in judged.into_iter().filter_map(Result::err) {
        let problem = key::problem(loaded, &error);
        // Several parts look at some keys.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Problems::new(&loaded.file, problems))
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
        (
            "quota.domain_quota",
            old.quota.domain_quota != new.quota.domain_quota,
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_that_cannot_be_used_is_told_with_the_line_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let make = || facteur_runtime::self_signed(&["a.example".to_owned()]).unwrap();
        std::fs::write(&cert, make().chain).unwrap();
        std::fs::write(&key, make().key).unwrap();
        let (cert, key) = (cert.display(), key.display());
        let text = format!("[tls]\nssl_cert = \"{cert}\"\nssl_key = \"{key}\"\n");
        let loaded = Config::parse(Path::new("facteur.toml"), &text).unwrap();
        let error = check_certificates(&loaded).unwrap_err().to_string();
        assert_eq!(
            error.trim(),
            format!(
                "facteur.toml:3: tls.ssl_key: {key}: the private key does not belong to the certificate {cert}"
            )
        );
    }
}
