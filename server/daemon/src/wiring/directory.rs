//! The directory.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use facteur_address::Domain;
use facteur_config::{
    Config,
    sections::{Directory as Section, Queries as QuerySection},
};
use facteur_directory::{
    CacheOptions, Cached, Directory, HomeTemplate, LineError, OpenError, PasswdFile,
    PasswdFileOptions, Queries, Sql, SqlOptions,
};

use super::{Paths, key::Key};

/// What the configuration says of the directory, checked.
pub(crate) struct Settings {
    source: Source,
    cache: CacheOptions,
}

enum Source {
    Sql(Box<SqlOptions>),
    PasswdFile(PasswdFileOptions),
}

/// Whether the directory's settings can be used; no database is asked.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    match settings(config)?.source {
        Source::Sql(options) => options.check().map_err(|error| {
            let key = match &error {
                OpenError::Query { key, .. } => format!("directory.queries.{key}"),
                _ => "directory.url".to_owned(),
            };
            let text = match error {
                OpenError::Query { error, .. } => anyhow::Error::from(error),
                other => other.into(),
            };
            text.context(Key::new(key))
        }),
        Source::PasswdFile(options) => open_file(options).map(drop),
    }
}

/// The lines of a passwd-file that are left out, with the file.
pub(super) fn lines_left_out(config: &Config) -> Vec<String> {
    let Ok(Settings {
        source: Source::PasswdFile(options),
        ..
    }) = settings(config)
    else {
        return Vec::new();
    };
    let path = options.path.clone();
    let errors = open_file(options).map(|file| file.errors());
    let line = |error: LineError| {
        let (path, line) = (path.display(), error.line);
        format!("{path}:{line}: {}; the line is left out", error.message)
    };
    errors.into_iter().flatten().map(line).collect()
}

fn open_file(options: PasswdFileOptions) -> anyhow::Result<PasswdFile> {
    let path = options.path.clone();
    PasswdFile::open(options)
        .with_context(|| format!("cannot read {}", path.display()))
        .context(Key::new("directory.url"))
}

fn settings(config: &Config) -> anyhow::Result<Settings> {
    let Section {
        url,
        max_connections,
        timeout,
        cache_ttl,
        cache_negative_ttl,
        passwd_file_domains,
    } = &config.directory;
    let paths = Paths::new(config);
    let home = home(config)?;
    let url = if url.is_empty() {
        format!("sqlite:{}", paths.directory().display())
    } else {
        url.clone()
    };
    let source = if let Some(file) = url.strip_prefix("passwd-file:") {
        let domain = |text: &String| {
            Domain::parse(text)
                .with_context(|| Key::new("directory.passwd_file_domains").with(text))
        };
        Source::PasswdFile(PasswdFileOptions {
            path: PathBuf::from(file),
            domains: passwd_file_domains
                .iter()
                .map(domain)
                .collect::<anyhow::Result<_>>()?,
            default_domain: super::login::default_realm(config)?,
            home,
            quota: super::quota::defaults(config)?,
        })
    } else {
        Source::Sql(Box::new(SqlOptions {
            max_connections: *max_connections,
            timeout: timeout.0,
            queries: queries(&config.queries),
            usage_database: Some(paths.usage()),
            quota: super::quota::defaults(config)?,
            ..SqlOptions::new(url, home)
        }))
    };
    Ok(Settings {
        source,
        cache: CacheOptions {
            ttl: cache_ttl.0,
            negative_ttl: cache_negative_ttl.0,
            ..CacheOptions::default()
        },
    })
}

/// Where mail lies.
pub(crate) fn home(config: &Config) -> anyhow::Result<HomeTemplate> {
    let facteur_config::sections::Storage {
        mail_location,
        // For the store.
        mail_fsync: _,
        journal_size: _,
        checkpoint_interval: _,
        account_cache_size: _,
        account_idle_time: _,
        zlib_save: _,
        zlib_save_level: _,
    } = &config.storage;
    let template = if mail_location.is_empty() {
        Paths::new(config).mail_location()
    } else {
        mail_location.clone()
    };
    HomeTemplate::parse(&template)
        .with_context(|| Key::new("storage.mail_location").with(&template))
}

fn queries(section: &QuerySection) -> Queries {
    let QuerySection {
        virtual_mailbox_domains,
        relay_domains,
        virtual_alias_maps,
        virtual_mailbox_maps,
        alias_domain,
        smtpd_sender_login_maps,
        user_query,
        password_query,
        iterate_query,
    } = section.clone();
    Queries {
        virtual_mailbox_domains,
        relay_domains,
        virtual_alias_maps,
        virtual_mailbox_maps,
        alias_domain,
        smtpd_sender_login_maps,
        user_query,
        password_query,
        iterate_query,
    }
}

/// Opens the SQL directory itself, for the verbs that change it; if `create`, made where it is
/// missing.
pub(crate) async fn open_sql(config: &Config, create: bool) -> anyhow::Result<Sql> {
    match settings(config)?.source {
        Source::Sql(options) => Ok(Sql::open(SqlOptions { create, ..*options }).await?),
        Source::PasswdFile(options) => bail!(
            "the directory is the file {}: change it with an editor",
            options.path.display()
        ),
    }
}

/// Opens the directory; if `create`, made where it is missing.
pub(crate) async fn open(config: &Config, create: bool) -> anyhow::Result<Arc<dyn Directory>> {
    let Settings { source, cache } = settings(config)?;
    match source {
        Source::Sql(options) => {
            let sql = Sql::open(SqlOptions { create, ..*options })
                .await
                .context(Key::new("directory.url"))?;
            // A database that is down now may be up later: logins and recipients are deferred.
            if let Err(error) = sql.check().await {
                tracing::warn!(%error, "the directory does not answer");
            }
            Ok(Arc::new(Cached::new(sql, cache)))
        }
        Source::PasswdFile(options) => Ok(Arc::new(open_file(options)?)),
    }
}
