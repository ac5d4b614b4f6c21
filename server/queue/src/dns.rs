//! The look-ups that mail needs (RFC 5321 §5.1), over hickory-resolver.

use std::{io, net::IpAddr};

use facteur_address::Domain;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData},
};

use crate::Nameserver;

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// Something.
    Some(T),
    /// The name exists, but has nothing of the kind.
    Nothing,
    /// The name does not exist.
    NoSuchName,
    /// No answer now.
    Unknown(String),
}

/// An MX record: its preference, and its host (`None` is the root: RFC 7505's null MX).
pub(crate) type Mx = (u16, Option<String>);

/// The resolver. Answers are cached for as long as they allow.
#[derive(Clone)]
pub(crate) struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// Over these servers, or the system's when there is none.
    pub(crate) fn new(nameservers: &[Nameserver]) -> io::Result<Self> {
        let mut builder = if nameservers.is_empty() {
            TokioResolver::builder_tokio().map_err(io::Error::other)?
        } else {
            let servers = nameservers.iter().map(|Nameserver(address)| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = address.port();
                    connection
                });
                NameServerConfig::new(address.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let resolver = builder.build().map_err(io::Error::other)?;
        Ok(Self { resolver })
    }

    /// The MX records of a domain; an alias (CNAME) is followed.
    pub(crate) async fn mx(&self, domain: &Domain) -> Found<Vec<Mx>> {
        let lookup = match self.resolver.mx_lookup(absolute(domain.as_str())).await {
            Ok(lookup) => lookup,
            Err(error) => return nothing(&error),
        };
        let records = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::MX(mx) => Some((mx.preference, host(&mx.exchange))),
                _ => None,
            });
        match records.collect::<Vec<_>>() {
            records if records.is_empty() => Found::Nothing,
            records => Found::Some(records),
        }
    }

    /// The addresses of a host, IPv6 first as RFC 6724 would have it.
    pub(crate) async fn addresses(&self, host: &str) -> Found<Vec<IpAddr>> {
        match self.resolver.lookup_ip(absolute(host)).await {
            Ok(lookup) => {
                let mut addresses: Vec<IpAddr> = lookup.iter().collect();
                addresses.sort_by_key(IpAddr::is_ipv4);
                match addresses {
                    addresses if addresses.is_empty() => Found::Nothing,
                    addresses => Found::Some(addresses),
                }
            }
            Err(error) => nothing(&error),
        }
    }
}

fn nothing<T>(error: &NetError) -> Found<T> {
    if error.is_nx_domain() {
        Found::NoSuchName
    } else if error.is_no_records_found() {
        Found::Nothing
    } else {
        Found::Unknown(error.to_string())
    }
}

/// No search list is tried: mail domains are complete.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn host(name: &Name) -> Option<String> {
    let text = name.to_ascii();
    let text = text.trim_end_matches('.');
    (!text.is_empty()).then(|| text.to_ascii_lowercase())
}
