//! `[queue]`: mail to other servers.

use std::net::{IpAddr, SocketAddr};

use crate::{
    section::section,
    setting::{Map, Period, Size, choice},
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
        /// Where the mail of some domains goes: a domain, or `.domain` for those below it, and
        /// `smtp:[host]:port` in the forms of `relayhost`; `smtp:` alone is the domain's own MX. The
        /// first that matches counts.
        transport_maps: Map = Map::default(),
        /// Shortest wait before a message is tried again.
        minimal_backoff_time: Period = Period::minutes(5),
        /// Longest wait before a message is tried again.
        maximal_backoff_time: Period = Period::seconds(4000),
        /// A message that could not be sent for this long goes back to its sender.
        maximal_queue_lifetime: Period = Period::days(5),
        /// A bounce that could not be sent for this long is dropped.
        bounce_queue_lifetime: Period = Period::days(5),
        /// When the sender is told that a message is late; 0 is never.
        delay_warning_time: Period = Period::seconds(0),
        /// Messages up to this size go back whole, of larger ones only the header.
        bounce_size_limit: Size = Size(50_000),
        /// Whether `postmaster_address` gets the bounces that cannot be delivered.
        notify_double_bounces: bool = false,
        /// Most connections to one destination at once. It begins with 5, and has fewer when the
        /// destination refuses more.
        default_destination_concurrency_limit: usize = 20,
        /// Most recipients of one transaction.
        default_destination_recipient_limit: usize = 50,
        /// Most connections to other servers at once.
        default_process_limit: usize = 100,
        /// Most messages that are worked on at once.
        qmgr_message_active_limit: usize = 2000,
        /// How long a connection is kept for the next message.
        connection_cache_ttl_limit: Period = Period::seconds(2),
        /// Longest wait for a connection.
        smtp_connect_timeout: Period = Period::seconds(30),
        /// Addresses that connections are made from; empty lets the system choose.
        smtp_bind_address: Vec<IpAddr> = Vec::new(),
        /// Whether TLS is used towards other servers.
        smtp_tls_security_level: SmtpTlsSecurityLevel = SmtpTlsSecurityLevel::May,
        /// DNS servers, `address:port`; empty takes the system's.
        nameservers: Vec<SocketAddr> = Vec::new(),
    }
}
