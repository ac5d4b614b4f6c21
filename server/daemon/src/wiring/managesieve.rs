//! ManageSieve.

use facteur_config::{Config, sections::ManageSieve};
use facteur_session_managesieve::Options;

/// How ManageSieve is spoken.
pub(crate) fn options(config: &Config) -> Options {
    let ManageSieve {
        managesieve_idle_timeout,
        managesieve_implementation_string,
        sieve_max_script_size,
        sieve_quota_max_scripts,
        sieve_quota_max_storage,
    } = &config.managesieve;
    Options {
        implementation: managesieve_implementation_string.clone(),
        max_script_size: sieve_max_script_size.0,
        max_scripts: *sieve_quota_max_scripts,
        max_storage: sieve_quota_max_storage.0,
        max_redirects: u32::try_from(config.sieve.sieve_max_redirects).ok(),
        login_timeout: config.auth.login_timeout.0,
        autologout: managesieve_idle_timeout.0,
        write_timeout: config.process.client_write_timeout.0,
    }
}
