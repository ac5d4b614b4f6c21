//! What an operator can set.

use std::{fmt, sync::Arc, time::Duration};

/// Settings of the IMAP service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest command line in octets, without its literals.
    pub max_line_length: usize,
    /// Largest message APPEND takes, in octets; told as APPENDLIMIT (RFC 7889). 0 is no limit.
    pub message_size_limit: u64,
    /// What follows `[OVERQUOTA]`.
    pub quota_exceeded_message: String,
    /// What a domain holds and may hold, in bytes, where domains are limited.
    pub domain_quota: Option<DomainUsage>,
    /// Most connections of one user from one address; 0 is no limit.
    pub mail_max_userip_connections: u32,
    /// How often IDLE says that it is still there, so that no middlebox forgets the connection; a
    /// client that takes it is not logged out. 0 is never.
    pub idle_notify_interval: Duration,
    /// After so long without a command a client is logged out. RFC 3501 §5.4 asks for at least 30
    /// minutes.
    pub autologout: Duration,
    /// All the time a client has to log in.
    pub login_timeout: Duration,
    /// How long a client may leave its responses unread.
    pub write_timeout: Duration,
    /// Ways to name mailboxes. The first is the one told to clients when it is not hidden.
    pub namespaces: Vec<Namespace>,
}

/// What is used, and the limit, of a domain.
type Asked = dyn Fn(&str) -> Option<(u64, u64)> + Send + Sync;

/// Asked with a domain's name; `None` when that domain is not limited.
#[derive(Clone)]
pub struct DomainUsage(pub Arc<Asked>);

impl fmt::Debug for DomainUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DomainUsage")
    }
}

/// A way to name the account's mailboxes (RFC 2342, Dovecot's `namespace`). Every one shows the
/// same mailboxes: one that is not first is an alias (`alias_for`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// What its names begin with; empty, or ending in the separator.
    pub prefix: String,
    /// Between levels.
    pub separator: char,
    /// Not told by NAMESPACE.
    pub hidden: bool,
    /// Shown by LIST; else only to patterns that begin with its prefix.
    pub list: bool,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            separator: '/',
            hidden: false,
            list: true,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_line_length: 65536,
            message_size_limit: 50 << 20,
            quota_exceeded_message: "Quota exceeded".to_owned(),
            domain_quota: None,
            mail_max_userip_connections: 10,
            idle_notify_interval: Duration::from_secs(120),
            autologout: Duration::from_secs(30 * 60),
            login_timeout: Duration::from_secs(3 * 60),
            write_timeout: Duration::from_secs(5 * 60),
            namespaces: vec![Namespace::default()],
        }
    }
}
