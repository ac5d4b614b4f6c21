//! Settings of the authenticator.

use std::{net::Ipv4Addr, net::Ipv6Addr, time::Duration};

use facteur_address::Domain;
use facteur_password::Scheme;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// How logins are judged.
#[derive(Debug, Clone)]
pub struct Options {
    /// The scheme of a stored password that has no `{SCHEME}` and no `$…$`.
    pub default_pass_scheme: Scheme,
    /// The domain of a login without one.
    pub auth_default_realm: Option<Domain>,
    /// Separates `user` from `detail`; each character is a delimiter. Empty: none.
    pub recipient_delimiter: String,
    /// Every failure is answered this much later.
    pub auth_failure_delay: Duration,
    /// How long a verified password is remembered; zero: not at all.
    pub auth_cache_ttl: Duration,
    /// Most passwords hashed at once.
    pub auth_worker_max_count: usize,
    /// Addresses many users share, such as a webmail's: failures there count against the account
    /// only.
    pub login_trusted_networks: Vec<IpNet>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_pass_scheme: Scheme::Crypt,
            auth_default_realm: None,
            recipient_delimiter: "+".to_owned(),
            auth_failure_delay: Duration::from_secs(2),
            auth_cache_ttl: Duration::from_secs(300),
            auth_worker_max_count: std::thread::available_parallelism().map_or(1, usize::from),
            login_trusted_networks: vec![
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
            ],
        }
    }
}
