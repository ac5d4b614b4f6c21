//! IMAP.

use std::sync::Arc;

use facteur_config::{
    Config,
    sections::{Imap, Namespace as Section},
};
use facteur_delivery::DomainQuota;
use facteur_session_imap::{DomainUsage, Namespace, Options};

/// What separates the levels of a mailbox name, for clients and scripts.
pub(crate) fn separator(config: &Config) -> char {
    config
        .namespaces
        .first()
        .and_then(|namespace| namespace.separator.chars().next())
        .unwrap_or('/')
}

/// Prefixes of the hidden namespaces: other names for the same mailboxes.
pub(crate) fn alias_prefixes(config: &Config) -> Vec<String> {
    let hidden = config
        .namespaces
        .iter()
        .filter(|namespace| namespace.hidden);
    hidden.map(|namespace| namespace.prefix.clone()).collect()
}

/// How IMAP is spoken.
pub(crate) fn options(config: &Config, domains: Option<&DomainQuota>) -> Options {
    let Imap {
        mail_max_userip_connections,
        imap_max_line_length,
        imap_idle_timeout,
        imap_idle_notify_interval,
    } = &config.imap;
    // The one with the inbox is the one clients are told.
    let mut namespaces: Vec<&Section> = config.namespaces.iter().collect();
    namespaces.sort_by_key(|namespace| !namespace.inbox);
    let namespaces = namespaces
        .into_iter()
        .map(|namespace| {
            let Section {
                separator: _,
                prefix,
                inbox: _,
                hidden,
            } = namespace;
            Namespace {
                prefix: prefix.clone(),
                separator: separator(config),
                hidden: *hidden,
                list: !hidden,
            }
        })
        .collect();
    Options {
        max_line_length: usize::try_from(*imap_max_line_length).unwrap_or(usize::MAX),
        message_size_limit: config.general.message_size_limit.0,
        quota_exceeded_message: config.quota.quota_exceeded_message.clone(),
        domain_quota: domains
            .cloned()
            .map(|domains| DomainUsage(Arc::new(move |domain: &str| domains.usage(domain)))),
        mail_max_userip_connections: *mail_max_userip_connections,
        idle_notify_interval: imap_idle_notify_interval.0,
        autologout: imap_idle_timeout.0,
        login_timeout: config.auth.login_timeout.0,
        write_timeout: config.process.client_write_timeout.0,
        namespaces,
    }
}
