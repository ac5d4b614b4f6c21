//! Contradictions: what each key says is sound, and together they are not.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

use crate::{
    Config, Origin, Problem,
    sections::{Listener, ListenerProtocol, ListenerTls},
};

struct Checker<'a> {
    config: &'a Config,
    origin: &'a Origin,
    problems: Vec<Problem>,
}

/// Everything that does not fit together.
pub(crate) fn check(config: &Config, origin: &Origin) -> Vec<Problem> {
    let mut checker = Checker {
        config,
        origin,
        problems: Vec::new(),
    };
    checker.names();
    checker.listeners();
    checker.certificates();
    checker.mailboxes();
    checker.namespaces();
    checker.numbers();
    checker.problems
}

impl Checker<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        let problem = Problem::of_key(self.origin, key, message);
        self.problems.push(problem);
    }

    fn names(&mut self) {
        let general = &self.config.general;
        let host = &general.myhostname;
        let is_host = host.is_empty()
            || host.len() <= 253
                && host.split('.').all(|label| {
                    (1..=63).contains(&label.len())
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                });
        if !is_host {
            self.problem("myhostname", format!("{host:?} is not a host name"));
        }
        if !general.data_directory.is_absolute() {
            self.problem("data_directory", "must begin with /");
        }
        let postmaster = &general.postmaster_address;
        if !postmaster.is_empty() && !postmaster.contains('@') {
            self.problem("postmaster_address", "must be an address, local@domain");
        }
        if general
            .recipient_delimiter
            .chars()
            .any(|c| c == '@' || c.is_whitespace() || c.is_alphanumeric())
        {
            self.problem(
                "recipient_delimiter",
                "must be punctuation such as \"+\", or empty",
            );
        }
    }

    fn listeners(&mut self) {
        let config = self.config;
        let mut names = HashSet::new();
        let mut addresses: HashMap<&str, usize> = HashMap::new();
        for (n, listener) in config.listeners.iter().enumerate() {
            let path = format!("listener[{}]", n + 1);
            if !names.insert(listener.name()) {
                let message = format!("another listener is named {:?} already", listener.name());
                self.problem(&format!("{path}.name"), message);
            }
            self.listener(&path, listener);
            // Several listeners on port 0 get a port each.
            if listener.address.ends_with(":0") {
                continue;
            }
            if let Some(first) = addresses.insert(&listener.address, n + 1) {
                self.problem(
                    &format!("{path}.address"),
                    format!("listener {first} listens on {} already", listener.address),
                );
            }
        }
    }

    fn listener(&mut self, path: &str, listener: &Listener) {
        let address = listener.address.as_str();
        let key = |name: &str| format!("{path}.{name}");
        let Some(protocol) = listener.protocol else {
            return self.problem(
                &key("protocol"),
                format!(
                    "is missing: {}",
                    <ListenerProtocol as crate::Setting>::expected()
                ),
            );
        };
        let unix = address.starts_with("unix:");
        let sound = match address.strip_prefix("unix:") {
            Some(path) => path.starts_with('/'),
            None => match address.strip_prefix("*:") {
                Some(port) => port.parse::<u16>().is_ok(),
                None => address.parse::<SocketAddr>().is_ok(),
            },
        };
        if !sound {
            self.problem(
                &key("address"),
                format!(
                    "{address:?} is not an address to listen on; write \"*:PORT\", \"ADDRESS:PORT\", \"[IPV6]:PORT\" or \"unix:/PATH\""
                ),
            );
        }
        if unix
            && matches!(
                listener.tls(),
                ListenerTls::Implicit | ListenerTls::StartTls
            )
            && listener.tls.is_some()
        {
            self.problem(&key("tls"), "a Unix socket has no TLS; take \"none\"");
        }
        if unix && listener.proxy_protocol {
            self.problem(
                &key("proxy_protocol"),
                "a Unix socket has no PROXY protocol",
            );
        } else if listener.proxy_protocol && self.config.process.haproxy_trusted_networks.is_empty()
        {
            self.problem(
                &key("proxy_protocol"),
                "nobody may use it: name the proxy in process.haproxy_trusted_networks",
            );
        }
        if listener.require_tls == Some(true) && listener.tls() == ListenerTls::None {
            self.problem(
                &key("require_tls"),
                "the listener has no TLS (tls = \"none\")",
            );
        }
        self.listener_rules(path, listener, protocol);
    }

    fn listener_rules(&mut self, path: &str, listener: &Listener, protocol: ListenerProtocol) {
        let key = |name: &str| format!("{path}.{name}");
        let is_smtp = matches!(
            protocol,
            ListenerProtocol::Smtp | ListenerProtocol::Submission | ListenerProtocol::Lmtp
        );
        if !is_smtp && listener.mynetworks.is_some() {
            self.problem(
                &key("mynetworks"),
                "only smtp, submission and lmtp listeners relay",
            );
        }
        let restrictions = [
            ("require_auth", listener.require_auth.is_some()),
            // Elsewhere nothing but a login is of use before TLS, and that needs TLS anyhow.
            ("require_tls", listener.require_tls.is_some()),
            (
                "smtpd_client_restrictions",
                listener.smtpd_client_restrictions.is_some(),
            ),
            (
                "smtpd_helo_restrictions",
                listener.smtpd_helo_restrictions.is_some(),
            ),
            (
                "smtpd_sender_restrictions",
                listener.smtpd_sender_restrictions.is_some(),
            ),
            (
                "smtpd_relay_restrictions",
                listener.smtpd_relay_restrictions.is_some(),
            ),
            (
                "smtpd_recipient_restrictions",
                listener.smtpd_recipient_restrictions.is_some(),
            ),
            (
                "smtpd_data_restrictions",
                listener.smtpd_data_restrictions.is_some(),
            ),
        ];
        for (name, given) in restrictions {
            if given && !is_smtp {
                self.problem(
                    &key(name),
                    "only smtp, submission and lmtp listeners have it",
                );
            }
        }
        if listener.require_auth == Some(true) && listener.auth == Some(false) {
            self.problem(
                &key("require_auth"),
                "the listener offers no AUTH (auth = false)",
            );
        }
    }

    fn certificates(&mut self) {
        let tls = &self.config.tls;
        match (&tls.ssl_cert, &tls.ssl_key) {
            (Some(_), None) => self.problem("tls.ssl_cert", "needs tls.ssl_key too"),
            (None, Some(_)) => self.problem("tls.ssl_key", "needs tls.ssl_cert too"),
            _ => {}
        }
        for (n, one) in self.config.certificates.iter().enumerate() {
            for (name, path) in [("ssl_cert", &one.ssl_cert), ("ssl_key", &one.ssl_key)] {
                if path.as_os_str().is_empty() {
                    self.problem(&format!("certificate[{}].{name}", n + 1), "is missing");
                }
            }
        }
    }

    fn mailboxes(&mut self) {
        let config = self.config;
        let mut uses: HashMap<&str, &str> = HashMap::new();
        for (name, mailbox) in &config.mailboxes {
            let path = format!("mailbox.{name}");
            if name.is_empty() || name.chars().any(char::is_control) {
                self.problem(&path, "is not the name of a mailbox");
            }
            if let Some(special_use) = &mailbox.special_use {
                let word = special_use.attribute();
                if let Some(first) = uses.insert(word, name) {
                    self.problem(
                        &format!("{path}.special_use"),
                        format!("mailbox {first} is {word} already"),
                    );
                }
            }
        }
    }

    fn namespaces(&mut self) {
        let config = self.config;
        let separators: HashSet<&str> = config
            .namespaces
            .iter()
            .map(|namespace| namespace.separator.as_str())
            .collect();
        for (n, namespace) in config.namespaces.iter().enumerate() {
            let path = format!("namespace[{}]", n + 1);
            let separator = namespace.separator.as_str();
            if !matches!(separator, "/" | ".") {
                self.problem(&format!("{path}.separator"), "must be \"/\" or \".\"");
            } else if separators.len() > 1 {
                self.problem(
                    &format!("{path}.separator"),
                    "all namespaces must have the same separator",
                );
            }
            if !namespace.prefix.is_empty() && !namespace.prefix.ends_with(separator) {
                self.problem(
                    &format!("{path}.prefix"),
                    format!("must end with the separator {separator:?}"),
                );
            }
            if namespace.inbox == namespace.hidden {
                self.problem(
                    &format!("{path}.inbox"),
                    "the namespace with the inbox is shown (inbox = true, hidden = false); another is a hidden name for it (inbox = false, hidden = true)",
                );
            }
        }
        let inboxes = config.namespaces.iter().filter(|one| one.inbox).count();
        if inboxes != 1 {
            self.problem("namespace", "exactly one namespace must have inbox = true");
        }
    }

    fn numbers(&mut self) {
        let config = self.config;
        let least_one = [
            (
                "smtp.smtpd_recipient_limit",
                u64::try_from(config.smtp.smtpd_recipient_limit).unwrap_or(u64::MAX),
            ),
            (
                "process.client_limit",
                u64::try_from(config.process.client_limit).unwrap_or(u64::MAX),
            ),
            (
                "imap.mail_max_userip_connections",
                u64::from(config.imap.mail_max_userip_connections),
            ),
            ("message_size_limit", config.general.message_size_limit.0),
        ];
        for (key, value) in least_one {
            if value == 0 {
                self.problem(key, "must be more than 0");
            }
        }
        if config.quota.quota_grace > 100 {
            self.problem("quota.quota_grace", "must be a per cent from 0 to 100");
        }
        if !(1..=22).contains(&config.storage.zlib_save_level) {
            self.problem("storage.zlib_save_level", "must be from 1 to 22");
        }
        let queue = &config.queue;
        if queue.minimal_backoff_time > queue.maximal_backoff_time {
            self.problem(
                "queue.minimal_backoff_time",
                format!(
                    "is longer than maximal_backoff_time ({})",
                    queue.maximal_backoff_time
                ),
            );
        }
    }
}
