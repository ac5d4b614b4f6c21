//! `[queue]`: mail to other servers.

use crate::{
    section::section,
    setting::{Period, choice},
};

choice! {
    /// Whether TLS is used towards other servers.
    SmtpTlsSecurityLevel {
        /// Never.
        None = "none",
        /// When the other server offers it; its certificate is not verified.
        May = "may",
        /// Always; its certificate is not verified.
        Encrypt = "encrypt",
    }
}

section! {
    /// Mail to other servers: where it goes and how often it is tried.
    Queue {
        /// Where everything goes that is not local: `[host]`, `[host]:port`, `host` (its MX) or
        /// `host:port`. Empty asks the DNS for each domain.
        relayhost: String = String::new(),
        /// Shortest wait before a message is tried again.
        minimal_backoff_time: Period = Period::minutes(5),
        /// Longest wait before a message is tried again.
        maximal_backoff_time: Period = Period::seconds(4000),
        /// A message that could not be sent for this long goes back to its sender.
        maximal_queue_lifetime: Period = Period::days(5),
        /// A bounce that could not be sent for this long is dropped.
        bounce_queue_lifetime: Period = Period::days(5),
        /// Whether TLS is used towards other servers.
        smtp_tls_security_level: SmtpTlsSecurityLevel = SmtpTlsSecurityLevel::May,
    }
}
