//! `[auth]`: logins.

use ipnet::IpNet;

use super::general::loopback;
use crate::{section::section, setting::Period};

section! {
    /// Logins, in every protocol.
    Auth {
        /// Whether a password may cross without TLS when the client is on this machine. From elsewhere
        /// it never may.
        plaintext_auth_on_loopback: bool = false,
        /// The scheme of stored passwords that name none. `CRYPT` knows a hash by its looks.
        default_pass_scheme: String = "CRYPT".to_owned(),
        /// The domain of a login name without one.
        auth_default_realm: Option<String> = None,
        /// How long a failed login is kept waiting; longer for an address that keeps failing.
        auth_failure_delay: Period = Period::seconds(2),
        /// How long a password that was right is remembered, so that it need not be hashed again; 0
        /// turns it off. It is forgotten when it changes.
        auth_cache_ttl: Period = Period::minutes(5),
        /// Most passwords that are hashed at once; 0 is one for each processor.
        auth_worker_max_count: usize = 0,
        /// All the time a client has to log in, in IMAP, POP3 and ManageSieve.
        login_timeout: Period = Period::minutes(3),
        /// Networks of a webmail or a proxy: failures there count against the account only.
        login_trusted_networks: Vec<IpNet> = loopback(),
    }
}
