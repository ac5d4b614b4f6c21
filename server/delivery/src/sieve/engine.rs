//! sieve-rs set up as configured.

use sieve::{Runtime, compiler::grammar::Capability};

use super::{
    budget::Budget,
    extensions::{extensions, notify_methods},
    run::Engine,
};
use crate::options::Options;

/// Most of the texts a script can hold in one variable (RFC 5229 §7 asks for 4,000).
const MAX_VARIABLE: usize = 64 * 1024;

/// How deep scripts may include one another.
const MAX_NESTED_INCLUDES: usize = 10;

/// Fields that scripts neither add nor delete: loops are recognised by them (RFC 5293 §6).
const PROTECTED: [&str; 3] = ["Received", "Auto-Submitted", super::REDIRECTED_FROM];

impl Engine {
    pub(crate) fn new(options: &Options) -> Self {
        let sieve = &options.sieve;
        let refused = Capability::all()
            .iter()
            .filter(|capability| !extensions().contains(&capability.to_string().as_str()));
        let runtime = Runtime::new()
            .without_capabilities(refused.cloned())
            .with_protected_headers(PROTECTED)
            .with_valid_notification_uris(notify_methods().iter().copied())
            .with_max_redirects(sieve.max_redirects)
            .with_max_out_messages(sieve.max_redirects + sieve.max_actions)
            .with_max_received_headers(sieve.hopcount_limit)
            .with_max_nested_includes(MAX_NESTED_INCLUDES)
            .with_cpu_limit(sieve.max_instructions)
            .with_max_variable_size(MAX_VARIABLE)
            .with_max_header_size(8 * 1024)
            .with_default_vacation_expiry(sieve.vacation_default_period)
            .with_default_duplicate_expiry(sieve.duplicate_max_period)
            .with_local_hostname(options.hostname.clone())
            .with_env_variable("name", "Facteur")
            .with_env_variable("version", env!("CARGO_PKG_VERSION"))
            .with_env_variable("host", options.hostname.clone())
            .with_env_variable("location", "MDA")
            .with_env_variable("phase", "during");
        Self {
            runtime,
            options: sieve.clone(),
            hostname: options.hostname.clone(),
            budget: Budget::new(sieve.memory),
        }
    }
}
