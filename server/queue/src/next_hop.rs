//! Where a message goes next, in Postfix's spelling.

use std::{fmt, net::IpAddr, str::FromStr};

use facteur_address::Domain;
use facteur_smtp::client::Dialect;

/// Whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The MX hosts of a domain, or the domain itself when it has none.
    Mx(Domain),
    /// A host by its name, without an MX look-up: `[host]`.
    Host(Domain),
    /// An address: `[192.0.2.1]`.
    Address(IpAddr),
}

/// A next hop: `host`, `[host]`, `host:port`, `[host]:port`, `[ip]:port`; in a transport with
/// `smtp:` or `lmtp:` before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// Whom to connect to.
    pub target: Target,
    /// On which port.
    pub port: u16,
    /// What is spoken there.
    pub dialect: Dialect,
}

impl std::hash::Hash for NextHop {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.target, self.port, self.dialect == Dialect::Lmtp).hash(state);
    }
}

/// Why a text is no next hop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no next hop ({why}); write host, [host], host:port or [host]:port")]
pub struct NextHopError {
    text: String,
    why: &'static str,
}

impl NextHop {
    /// The MX hosts of a domain, or the host of an address literal (RFC 5321 §4.1.3).
    pub fn of_domain(domain: &Domain, port: u16) -> Self {
        let literal = domain
            .as_str()
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address = literal.and_then(|text| text.trim_start_matches("IPv6:").parse().ok());
        Self {
            target: address.map_or_else(|| Target::Mx(domain.clone()), Target::Address),
            port,
            dialect: Dialect::Smtp,
        }
    }

    /// Reads a transport's right-hand side: `smtp:[host]:port`, `lmtp:host:port`, or `smtp:` alone
    /// (`None`): to the domain's own MX, whatever the relayhost is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_transport(text: &str) -> Result<Option<Self>, NextHopError> {
        let error = |why| NextHopError {
            text: text.to_owned(),
            why,
        };
        let (name, rest) = text.split_once(':').ok_or_else(|| error("no transport"))?;
        let dialect = match name {
            "smtp" | "relay" => Dialect::Smtp,
            "lmtp" => Dialect::Lmtp,
            _ => return Err(error("transports are smtp and lmtp")),
        };
        let rest = rest.strip_prefix("inet:").unwrap_or(rest);
        if rest.is_empty() && dialect == Dialect::Smtp {
            return Ok(None);
        }
        let default_port = if dialect == Dialect::Lmtp { 24 } else { 25 };
        let hop = Self::parse(rest, default_port).map_err(|e| error(e.why))?;
        Ok(Some(Self { dialect, ..hop }))
    }

    fn parse(text: &str, default_port: u16) -> Result<Self, NextHopError> {
        let error = |why| NextHopError {
            text: text.to_owned(),
            why,
        };
        let (target, port) = if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or_else(|| error("] is missing"))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(error("something follows the ]")),
            };
            let address = inside
                .strip_prefix("IPv6:")
                .or(inside.strip_prefix("ipv6:"));
            let target = match address.unwrap_or(inside).parse() {
                Ok(address) => Target::Address(address),
                Err(_) => Target::Host(Domain::parse(inside).map_err(|_| error("no host name"))?),
            };
            (target, port)
        } else {
            let (host, port) = match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if host.parse::<IpAddr>().is_ok() {
                return Err(error("an address stands in brackets"));
            }
            let domain = Domain::parse(host).map_err(|_| error("no host name"))?;
            (Target::Mx(domain), port)
        };
        let port = match port {
            None => default_port,
            Some("smtp") => 25,
            Some("submission") => 587,
            Some("lmtp") => 24,
            Some(port) => match port.parse() {
                Ok(port @ 1..) => port,
                _ => return Err(error("no port")),
            },
        };
        Ok(Self {
            target,
            port,
            dialect: Dialect::Smtp,
        })
    }
}

impl FromStr for NextHop {
    type Err = NextHopError;

    fn from_str(text: &str) -> Result<Self, NextHopError> {
        Self::parse(text.trim(), 25)
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dialect == Dialect::Lmtp {
            f.write_str("lmtp:")?;
        }
        match &self.target {
            Target::Mx(domain) => write!(f, "{domain}")?,
            Target::Host(host) => write!(f, "[{host}]")?,
            Target::Address(address) => write!(f, "[{address}]")?,
        }
        if self.port != 25 {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// Which domains a transport is for: `example.org`, `.example.org` (what lies below it), or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This domain.
    Domain(Domain),
    /// The domains below this one.
    Below(Domain),
    /// Every domain.
    Any,
}

impl Pattern {
    /// Whether it is for `domain`.
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(this) => this == domain,
            Self::Below(parent) => {
                let below = domain.as_str().strip_suffix(parent.as_str());
                below.is_some_and(|rest| rest.ends_with('.'))
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = facteur_address::DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('.') {
            _ if text == "*" => Ok(Self::Any),
            Some(parent) => Domain::parse(parent).map(Self::Below),
            None => Domain::parse(text).map(Self::Domain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postfix_forms_are_read_and_written_back() {
        for (text, target, port) in [
            (
                "example.org",
                Target::Mx(Domain::parse("example.org").unwrap()),
                25,
            ),
            (
                "example.org:587",
                Target::Mx(Domain::parse("example.org").unwrap()),
                587,
            ),
            (
                "[svrmail.example.lan]",
                Target::Host(Domain::parse("svrmail.example.lan").unwrap()),
                25,
            ),
            (
                "[mx.example.org]:2525",
                Target::Host(Domain::parse("mx.example.org").unwrap()),
                2525,
            ),
            (
                "[172.16.96.100]",
                Target::Address("172.16.96.100".parse().unwrap()),
                25,
            ),
            (
                "[2001:db8::1]:26",
                Target::Address("2001:db8::1".parse().unwrap()),
                26,
            ),
        ] {
            let hop: NextHop = text.parse().unwrap();
            assert_eq!((&hop.target, hop.port), (&target, port), "{text}");
            assert_eq!(hop.to_string(), text);
        }
    }

    #[test]
    fn malformed_forms_are_refused() {
        for text in [
            "",
            "[x",
            "[x]y",
            "[x]:",
            "x:0",
            "x:99999",
            "192.0.2.1",
            "a b",
            "[]",
            ":25",
        ] {
            assert!(text.parse::<NextHop>().is_err(), "{text}");
        }
        for text in ["monvoisin.fr", "uucp:host", "lmtp:"] {
            assert!(NextHop::parse_transport(text).is_err(), "{text}");
        }
    }

    #[test]
    fn transport_of_the_third_tutorial_is_read() {
        let hop = NextHop::parse_transport("smtp:[172.16.96.100]:25")
            .unwrap()
            .unwrap();
        assert_eq!(hop.to_string(), "[172.16.96.100]");
        let lmtp = NextHop::parse_transport("lmtp:inet:[127.0.0.1]:2024")
            .unwrap()
            .unwrap();
        assert_eq!(
            (lmtp.dialect, lmtp.to_string().as_str()),
            (Dialect::Lmtp, "lmtp:[127.0.0.1]:2024")
        );
        assert_eq!(NextHop::parse_transport("smtp:"), Ok(None));
    }

    #[test]
    fn patterns_match_a_domain_or_what_lies_below() {
        let domain = |text| Domain::parse(text).unwrap();
        let below: Pattern = ".example.org".parse().unwrap();
        assert!(below.matches(&domain("a.example.org")) && !below.matches(&domain("example.org")));
        assert!(!below.matches(&domain("badexample.org")));
        let one: Pattern = "example.org".parse().unwrap();
        assert!(one.matches(&domain("example.org")) && !one.matches(&domain("a.example.org")));
        assert!("*".parse::<Pattern>().unwrap().matches(&domain("x.y")));
    }

    #[test]
    fn literal_goes_to_its_address() {
        let hop = NextHop::of_domain(&Domain::parse("[IPv6:2001:db8::1]").unwrap(), 25);
        assert_eq!(hop.target, Target::Address("2001:db8::1".parse().unwrap()));
    }
}
