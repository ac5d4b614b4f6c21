//! From a next hop to the addresses to try (RFC 5321 §5.1).

use std::net::{IpAddr, SocketAddr, UdpSocket};

use facteur_address::Domain;

use crate::{
    NextHop, Options, Target,
    dns::{Dns, Found, Mx},
    outcome::Outcome,
};

/// A server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its name, for TLS and the log.
    pub(crate) host: String,
    /// Where it is.
    pub(crate) address: SocketAddr,
}

/// At most this many addresses are tried (Postfix's smtp_mx_address_limit).
const MAX_ADDRESSES: usize = 5;
/// At most this many hosts of a domain are looked up: a domain may name very many.
const MAX_HOSTS: usize = 20;

/// The servers to try for `hop`, best first; or what the recipients are told.
pub(crate) async fn candidates(
    hop: &NextHop,
    options: &Options,
    dns: &Dns,
) -> Result<Vec<Candidate>, Outcome> {
    match &hop.target {
        Target::Address(address) => {
            let candidate = Candidate {
                host: address.to_string(),
                address: SocketAddr::new(*address, hop.port),
            };
            if is_own(candidate.address, options) {
                return Err(loops_back(&candidate.host));
            }
            Ok(vec![candidate])
        }
        Target::Host(host) => {
            let (found, problem) = addresses(&[host.as_str().to_owned()], hop, dns).await;
            usable(found, problem, host, options)
        }
        Target::Mx(domain) => {
            let hosts = mail_hosts(domain, dns).await?;
            let (groups, cut) = below_us(hosts, hop, options, dns).await;
            if groups.is_empty() && cut {
                return Err(loops_back(domain.as_str()));
            }
            let (found, problem) = addresses(&groups, hop, dns).await;
            usable(found, problem, domain, options)
        }
    }
}

fn usable(
    mut found: Vec<Candidate>,
    problem: Option<Outcome>,
    domain: &Domain,
    options: &Options,
) -> Result<Vec<Candidate>, Outcome> {
    let all = found.len();
    found.retain(|candidate| !is_own(candidate.address, options));
    if found.is_empty() && all > 0 {
        return Err(loops_back(domain.as_str()));
    }
    if found.is_empty() {
        let unknown = || {
            Outcome::failed(
                "5.4.4",
                format!("no mail server of {domain} has an address"),
            )
        };
        return Err(problem.unwrap_or_else(unknown));
    }
    found.truncate(MAX_ADDRESSES);
    Ok(found)
}

/// The mail hosts of a domain with their preferences, best first, equal ones in any order.
async fn mail_hosts(domain: &Domain, dns: &Dns) -> Result<Vec<(u16, String)>, Outcome> {
    let records = match dns.mx(domain).await {
        Found::Some(records) => records,
        // The implicit MX: the domain is its own host.
        Found::Nothing => return Ok(vec![(0, domain.as_str().to_owned())]),
        Found::NoSuchName => {
            return Err(Outcome::failed(
                "5.1.2",
                format!("domain {domain} does not exist"),
            ));
        }
        Found::Unknown(why) => {
            return Err(Outcome::delayed(
                "4.4.3",
                format!("looking up the MX of {domain}: {why}"),
            ));
        }
    };
    // RFC 7505 §3: the root alone. Beside other records it is nonsense, and left out.
    if records.iter().all(|(_, host)| host.is_none()) {
        return Err(Outcome::failed(
            "5.1.10",
            format!("domain {domain} does not accept mail (null MX)"),
        ));
    }
    let mut hosts: Vec<(u16, u64, String)> = records
        .into_iter()
        .filter_map(|(preference, host): Mx| Some((preference, random(), host?)))
        .collect();
    hosts.sort();
    hosts.truncate(MAX_HOSTS);
    Ok(hosts
        .into_iter()
        .map(|(preference, _, host)| (preference, host))
        .collect())
}

/// The hosts that are better than we are ourselves (RFC 5321 §5.1: mail never goes to a host of
/// our own preference or a worse one), and whether any were cut off.
async fn below_us(
    hosts: Vec<(u16, String)>,
    hop: &NextHop,
    options: &Options,
    dns: &Dns,
) -> (Vec<String>, bool) {
    let mut ours = None;
    for (preference, host) in &hosts {
        if is_us(host, hop.port, options, dns).await {
            ours = Some(*preference);
            break;
        }
    }
    let better = |preference: u16| ours.is_none_or(|ours| preference < ours);
    let left = hosts
        .into_iter()
        .filter(|(preference, _)| better(*preference));
    (left.map(|(_, host)| host).collect(), ours.is_some())
}

async fn is_us(host: &str, port: u16, options: &Options, dns: &Dns) -> bool {
    if host.eq_ignore_ascii_case(options.hostname.as_str()) {
        return true;
    }
    // The answer is in the cache when it is needed again to connect.
    match dns.addresses(host).await {
        Found::Some(addresses) if !options.own_endpoints.is_empty() => addresses
            .into_iter()
            .any(|address| is_own(SocketAddr::new(address, port), options)),
        _ => false,
    }
}

/// Whether one of our own listeners answers there.
fn is_own(address: SocketAddr, options: &Options) -> bool {
    options.own_endpoints.iter().any(|own| {
        own.port() == address.port()
            && (own.ip() == address.ip() || (own.ip().is_unspecified() && is_local(address.ip())))
    })
}

/// Whether an address is this machine's: only such a one can be bound to.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

fn loops_back(name: &str) -> Outcome {
    Outcome::failed(
        "5.4.6",
        format!("mail for {name} loops back to this server"),
    )
}

/// The addresses of these hosts in order, and why there may be fewer than there should be.
async fn addresses(
    hosts: &[String],
    hop: &NextHop,
    dns: &Dns,
) -> (Vec<Candidate>, Option<Outcome>) {
    let (mut found, mut problem) = (Vec::new(), None);
    for host in hosts {
        if found.len() >= MAX_ADDRESSES {
            break;
        }
        match dns.addresses(host).await {
            Found::Some(addresses) => {
                let candidate = |address| Candidate {
                    host: host.clone(),
                    address: SocketAddr::new(address, hop.port),
                };
                found.extend(addresses.into_iter().map(candidate));
            }
            // One that may be known later outweighs those that will never be.
            Found::Unknown(why) => {
                problem = Some(Outcome::delayed(
                    "4.4.3",
                    format!("looking up {host}: {why}"),
                ));
            }
            Found::Nothing | Found::NoSuchName => {}
        }
    }
    (found, problem)
}

fn random() -> u64 {
    // Without randomness the order is the same each time, and still right.
    getrandom::u64().unwrap_or_default()
}
