//! How the queue behaves. The names are Postfix's where it has one.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use facteur_address::{Address, Domain};

use crate::{NextHop, Pattern};

/// How the queue behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Our name in EHLO and in notices (myhostname).
    pub hostname: Domain,
    /// Where mail for elsewhere goes instead of to its domain's MX.
    pub relayhost: Option<NextHop>,
    /// Next hops of particular domains (transport_maps); the first that matches counts. `None`
    /// goes to the domain's own MX.
    pub transports: Vec<(Pattern, Option<NextHop>)>,
    /// Shortest time between attempts, in seconds.
    pub minimal_backoff_time: i64,
    /// Longest time between attempts, in seconds.
    pub maximal_backoff_time: i64,
    /// How long a message is tried before it goes back to its sender, in seconds.
    pub maximal_queue_lifetime: i64,
    /// The same for notices (null reverse-path), in seconds.
    pub bounce_queue_lifetime: i64,
    /// When the sender is told that a message is late, in seconds; 0 is never.
    pub delay_warning_time: i64,
    /// Messages up to this many bytes go back whole, of longer ones only the header
    /// (bounce_size_limit).
    pub bounce_size_limit: u64,
    /// Who gets the notices that cannot be delivered (notify_classes = 2bounce).
    pub double_bounce_recipient: Option<Address>,
    /// Most connections to one next hop (default_destination_concurrency_limit).
    pub destination_concurrency_limit: usize,
    /// Most recipients in one transaction (default_destination_recipient_limit).
    pub destination_recipient_limit: usize,
    /// Most connections in all (default_process_limit).
    pub connection_limit: usize,
    /// Most messages being worked on (qmgr_message_active_limit).
    pub message_active_limit: usize,
    /// How long a connection without work is kept (connection_cache_ttl_limit).
    pub connection_cache_time: Duration,
    /// How long to wait for a connection (smtp_connect_timeout).
    pub connect_timeout: Duration,
    /// The address connections are made from (smtp_bind_address, smtp_bind_address6).
    pub bind_addresses: Vec<IpAddr>,
    /// TLS towards other servers.
    pub tls: TlsPolicy,
    /// The port of MX hosts: 25 but in tests.
    pub port: u16,
    /// Where our own SMTP listeners are: mail that would go there loops. An unspecified address
    /// means every address of this machine.
    pub own_endpoints: Vec<SocketAddr>,
    /// DNS servers; empty means the system's.
    pub nameservers: Vec<Nameserver>,
}

/// Whether connections are encrypted (smtp_tls_security_level).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Never.
    None,
    /// When the peer offers it; nothing is verified, and when it fails, in clear.
    May,
    /// Always; nothing is verified.
    Encrypt,
}

/// A DNS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nameserver(pub SocketAddr);

impl Options {
    /// Postfix's defaults.
    pub fn new(hostname: Domain) -> Self {
        const DAY: i64 = 24 * 60 * 60;
        Self {
            hostname,
            relayhost: None,
            transports: Vec::new(),
            minimal_backoff_time: 300,
            maximal_backoff_time: 4000,
            maximal_queue_lifetime: 5 * DAY,
            bounce_queue_lifetime: 5 * DAY,
            delay_warning_time: 0,
            bounce_size_limit: 50_000,
            double_bounce_recipient: None,
            destination_concurrency_limit: 20,
            destination_recipient_limit: 50,
            connection_limit: 100,
            message_active_limit: 2_000,
            connection_cache_time: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(30),
            bind_addresses: Vec::new(),
            tls: TlsPolicy::May,
            port: 25,
            own_endpoints: Vec::new(),
            nameservers: Vec::new(),
        }
    }

    /// Where mail for `domain` goes. A literal goes to its address whatever the relayhost is, as
    /// the sender asked for.
    pub(crate) fn next_hop(&self, domain: &Domain) -> NextHop {
        let own = || NextHop::of_domain(domain, self.port);
        let transport = self
            .transports
            .iter()
            .find(|(pattern, _)| pattern.matches(domain));
        match (transport, &self.relayhost) {
            (Some((_, hop)), _) => hop.clone().unwrap_or_else(own),
            (None, Some(relayhost)) if !domain.is_literal() => relayhost.clone(),
            (None, _) => own(),
        }
    }
}
