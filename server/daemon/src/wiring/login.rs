//! Logins.

use anyhow::Context as _;
use facteur_address::Domain;
use facteur_config::{Config, sections::Auth};
use facteur_login::Options;

use super::key::Key;

/// How logins are judged.
pub(crate) fn options(config: &Config) -> anyhow::Result<Options> {
    let Auth {
        // With the listeners.
        plaintext_auth_on_loopback: _,
        default_pass_scheme,
        auth_default_realm: _,
        auth_failure_delay,
        auth_cache_ttl,
        auth_worker_max_count,
        // With the protocols.
        login_timeout: _,
        login_trusted_networks,
    } = &config.auth;
    Ok(Options {
        default_pass_scheme: default_pass_scheme
            .parse()
            .context(Key::new("auth.default_pass_scheme"))?,
        auth_default_realm: default_realm(config)?,
        recipient_delimiter: config.general.recipient_delimiter.clone(),
        auth_failure_delay: auth_failure_delay.0,
        auth_cache_ttl: auth_cache_ttl.0,
        auth_worker_max_count: match auth_worker_max_count {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => *count,
        },
        login_trusted_networks: login_trusted_networks.clone(),
    })
}

/// The domain of a login name without one.
pub(crate) fn default_realm(config: &Config) -> anyhow::Result<Option<Domain>> {
    let realm = config.auth.auth_default_realm.as_ref();
    realm
        .map(|text| {
            Domain::parse(text).with_context(|| Key::new("auth.auth_default_realm").with(text))
        })
        .transpose()
}
