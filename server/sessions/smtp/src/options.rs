//! What the driver is told. Names are Postfix's.

use std::time::Duration;

use facteur_runtime::Protocol;
use facteur_smtp::server::{self, Flavour};

/// Settings of every SMTP, submission and LMTP listener.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's name in greetings.
    pub hostname: String,
    /// What the greeting says instead of "hostname ESMTP Facteur"; the name must come first.
    pub smtpd_banner: Option<String>,
    /// Largest message in octets; 0 is no limit.
    pub message_size_limit: u64,
    /// Most recipients of one message.
    pub smtpd_recipient_limit: usize,
    /// After so many refused commands a client is slowed down.
    pub smtpd_soft_error_limit: u32,
    /// After so many refused commands the connection is closed.
    pub smtpd_hard_error_limit: u32,
    /// By how much a client with errors is slowed down.
    pub smtpd_error_sleep_time: Duration,
    /// Commands without a use count as errors after so many.
    pub smtpd_junk_command_limit: u32,
    /// Longest wait for a command, or for a write to get on. RFC 5321 §4.5.3.2.7 asks for at least
    /// 5 minutes.
    pub smtpd_timeout: Duration,
    /// Announce `AUTH=` too.
    pub broken_sasl_auth_clients: bool,
}

impl Options {
    /// The defaults, on `hostname`.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            smtpd_banner: None,
            message_size_limit: 50 * 1024 * 1024,
            smtpd_recipient_limit: 1000,
            smtpd_soft_error_limit: 10,
            smtpd_hard_error_limit: 20,
            smtpd_error_sleep_time: Duration::from_secs(1),
            smtpd_junk_command_limit: 100,
            smtpd_timeout: Duration::from_secs(300),
            broken_sasl_auth_clients: false,
        }
    }

    /// What the session of a listener of `protocol` is told.
    pub(crate) fn session(&self, protocol: Protocol) -> server::Options {
        let flavour = match protocol {
            Protocol::Lmtp => Flavour::Lmtp,
            Protocol::Submission => Flavour::Submission,
            _ => Flavour::Smtp,
        };
        let defaults = server::Options::new(flavour, self.hostname.clone());
        server::Options {
            banner: self
                .smtpd_banner
                .clone()
                .filter(|_| flavour != Flavour::Lmtp),
            message_size_limit: self.message_size_limit,
            recipient_limit: self.smtpd_recipient_limit,
            // A client of LMTP is a server of ours that has mail for many, not a stranger.
            hard_error_limit: match flavour {
                Flavour::Lmtp => defaults.hard_error_limit,
                Flavour::Smtp | Flavour::Submission => self.smtpd_hard_error_limit,
            },
            junk_command_limit: self.smtpd_junk_command_limit,
            broken_sasl_auth_clients: self.broken_sasl_auth_clients,
            ..defaults
        }
    }
}
