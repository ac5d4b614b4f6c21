//! The queue.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use facteur_address::Address;
use facteur_config::{
    Config, Map, Period,
    sections::{ListenerProtocol, Queue, SmtpTlsSecurityLevel},
};
use facteur_queue::{Nameserver, NextHop, Options, Pattern, TlsPolicy};
use facteur_runtime::ListenAddress;

use super::key::Key;

/// How the queue behaves.
pub(crate) fn options(config: &Config) -> anyhow::Result<Options> {
    let Queue {
        relayhost,
        transport_maps,
        minimal_backoff_time,
        maximal_backoff_time,
        maximal_queue_lifetime,
        bounce_queue_lifetime,
        delay_warning_time,
        bounce_size_limit,
        notify_double_bounces,
        default_destination_concurrency_limit,
        default_destination_recipient_limit,
        default_process_limit,
        qmgr_message_active_limit,
        connection_cache_ttl_limit,
        smtp_connect_timeout,
        smtp_bind_address,
        smtp_tls_security_level,
        nameservers,
    } = &config.queue;
    let hostname = super::smtp::hostname(config)?;
    let relayhost = match relayhost.as_str() {
        "" => None,
        text => {
            let hop = text.parse::<NextHop>();
            Some(hop.context(Key::new("queue.relayhost"))?)
        }
    };
    Ok(Options {
        relayhost,
        transports: transports(transport_maps)?,
        minimal_backoff_time: seconds(*minimal_backoff_time),
        maximal_backoff_time: seconds(*maximal_backoff_time),
        maximal_queue_lifetime: seconds(*maximal_queue_lifetime),
        bounce_queue_lifetime: seconds(*bounce_queue_lifetime),
        delay_warning_time: seconds(*delay_warning_time),
        bounce_size_limit: bounce_size_limit.0,
        double_bounce_recipient: notify_double_bounces
            .then(|| postmaster(config))
            .transpose()?,
        destination_concurrency_limit: *default_destination_concurrency_limit,
        destination_recipient_limit: *default_destination_recipient_limit,
        connection_limit: *default_process_limit,
        message_active_limit: *qmgr_message_active_limit,
        connection_cache_time: connection_cache_ttl_limit.0,
        connect_timeout: smtp_connect_timeout.0,
        bind_addresses: smtp_bind_address.clone(),
        tls: match smtp_tls_security_level {
            SmtpTlsSecurityLevel::None => TlsPolicy::None,
            SmtpTlsSecurityLevel::May => TlsPolicy::May,
            SmtpTlsSecurityLevel::Encrypt => TlsPolicy::Encrypt,
        },
        own_endpoints: own_endpoints(config),
        nameservers: nameservers.iter().copied().map(Nameserver).collect(),
        ..Options::new(hostname)
    })
}

/// Who answers for this server.
pub(crate) fn postmaster(config: &Config) -> anyhow::Result<Address> {
    let configured = super::smtp::postmaster(config)?;
    let hostname = super::smtp::hostname(config)?;
    // The router knows who that is.
    match configured {
        Some(address) => Ok(address),
        None => Ok(Address::from_parts("postmaster", hostname)?),
    }
}

fn transports(map: &Map) -> anyhow::Result<Vec<(Pattern, Option<NextHop>)>> {
    map.0
        .iter()
        .map(|(pattern, hop)| {
            let key = || Key::new("queue.transport_maps").with(pattern);
            Ok((
                pattern.parse::<Pattern>().with_context(key)?,
                NextHop::parse_transport(hop).with_context(key)?,
            ))
        })
        .collect()
}

fn seconds(period: Period) -> i64 {
    i64::try_from(period.0.as_secs()).unwrap_or(i64::MAX)
}

/// Where other servers reach us: mail that would go there loops.
fn own_endpoints(config: &Config) -> Vec<SocketAddr> {
    config
        .listeners
        .iter()
        .filter(|listener| listener.protocol == Some(ListenerProtocol::Smtp))
        .filter_map(|listener| match ListenAddress::parse(&listener.address) {
            Ok(ListenAddress::Inet(address)) => Some(address),
            Ok(ListenAddress::Any(port)) => {
                Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
            }
            _ => None,
        })
        .collect()
}
