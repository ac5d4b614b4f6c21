//! How many connections there may be at once.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;

use crate::Protocol;

/// How many connections there may be at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitOptions {
    /// In all.
    pub total: usize,
    /// From one address (of IPv6, one /64) to the `smtp` listeners; 0 is no limit.
    pub smtp_per_address: usize,
    /// From one address to all others together; 0 is no limit.
    pub per_address: usize,
    /// Addresses that only the first limit counts.
    pub exempt: Vec<IpNet>,
}

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server has as many as it may have.
    #[error("the server has as many connections as it may have")]
    Total,
    /// The address has.
    #[error("this address has as many connections as it may have")]
    PerAddress,
}

/// Counts connections. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    options: LimitOptions,
    total: usize,
    /// Whether `smtp`, and from where.
    by_address: HashMap<Origin, usize>,
}

type Origin = (bool, IpAddr);

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limits: Limits,
    counted: Option<Origin>,
}

impl Limits {
    pub(crate) fn new(options: LimitOptions) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                options,
                total: 0,
                by_address: HashMap::new(),
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets other limits; connections that exist stay.
    pub(crate) fn set(&self, options: LimitOptions) {
        self.lock().options = options;
    }

    /// How many connections there are.
    pub(crate) fn total(&self) -> usize {
        self.lock().total
    }

    /// Takes a place in the total; [`Permit::count`] comes when the peer's address is known, which
    /// behind a proxy is only after its header.
    pub(crate) fn admit(&self) -> Result<Permit, Refused> {
        let mut state = self.lock();
        if state.total >= state.options.total {
            return Err(Refused::Total);
        }
        state.total += 1;
        Ok(Permit {
            limits: self.clone(),
            counted: None,
        })
    }
}

impl Permit {
    /// Counts the connection to its address.
    pub(crate) fn count(&mut self, protocol: Protocol, address: IpAddr) -> Result<(), Refused> {
        let mut state = self.limits.lock();
        if state
            .options
            .exempt
            .iter()
            .any(|net| net.contains(&address))
        {
            return Ok(());
        }
        let smtp = protocol == Protocol::Smtp;
        let limit = if smtp {
            state.options.smtp_per_address
        } else {
            state.options.per_address
        };
        if limit == 0 {
            return Ok(());
        }
        let key = (smtp, network_of(address));
        let count = state.by_address.entry(key).or_default();
        if *count >= limit {
            return Err(Refused::PerAddress);
        }
        *count += 1;
        drop(state);
        self.counted = Some(key);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limits.lock();
        state.total = state.total.saturating_sub(1);
        if let Some(key) = self.counted
            && let Some(count) = state.by_address.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&key);
            }
        }
    }
}

/// What counts as one address: of IPv6 the /64, because a host has all of it.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total: usize, per_address: usize, exempt: &[&str]) -> Limits {
        Limits::new(LimitOptions {
            total,
            smtp_per_address: per_address * 2,
            per_address,
            exempt: exempt.iter().map(|net| net.parse().unwrap()).collect(),
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connection_beyond_the_total_is_refused_until_one_goes() {
        let limits = limits(2, 10, &[]);
        let first = limits.admit().unwrap();
        let _second = limits.admit().unwrap();
        assert_eq!(limits.admit().unwrap_err(), Refused::Total);
        drop(first);
        assert!(limits.admit().is_ok());
    }

    #[test]
    fn connection_beyond_its_address_is_refused_and_gives_its_place_back() {
        let limits = limits(10, 1, &[]);
        let mut first = limits.admit().unwrap();
        first.count(Protocol::Imap, ip("192.0.2.1")).unwrap();
        let mut second = limits.admit().unwrap();
        assert_eq!(
            second.count(Protocol::Imap, ip("192.0.2.1")).unwrap_err(),
            Refused::PerAddress
        );
        second.count(Protocol::Imap, ip("192.0.2.2")).unwrap();
        drop((first, second));
        assert_eq!(limits.total(), 0);
        assert!(limits.lock().by_address.is_empty());
    }

    #[test]
    fn ipv6_addresses_of_one_network_count_together() {
        let limits = limits(10, 1, &[]);
        let mut first = limits.admit().unwrap();
        first.count(Protocol::Imap, ip("2001:db8::1")).unwrap();
        let mut second = limits.admit().unwrap();
        assert!(second.count(Protocol::Imap, ip("2001:db8::2")).is_err());
        assert!(second.count(Protocol::Imap, ip("2001:db8:0:1::2")).is_ok());
    }

    #[test]
    fn smtp_has_its_own_count() {
        let limits = limits(10, 1, &[]);
        let mut imap = limits.admit().unwrap();
        imap.count(Protocol::Imap, ip("192.0.2.1")).unwrap();
        let mut smtp: Vec<_> = (0..3).map(|_| limits.admit().unwrap()).collect();
        let counted = smtp
            .iter_mut()
            .map(|one| one.count(Protocol::Smtp, ip("192.0.2.1")));
        assert_eq!(counted.filter(Result::is_ok).count(), 2);
    }

    #[test]
    fn exempt_address_is_counted_in_the_total_only() {
        let limits = limits(10, 1, &["127.0.0.0/8"]);
        let mut all: Vec<_> = (0..3).map(|_| limits.admit().unwrap()).collect();
        for one in &mut all {
            assert!(one.count(Protocol::Imap, ip("127.0.0.1")).is_ok());
        }
        assert_eq!(limits.total(), 3);
    }

    #[test]
    fn limit_of_zero_is_none() {
        let limits = limits(10, 0, &[]);
        let mut all: Vec<_> = (0..3).map(|_| limits.admit().unwrap()).collect();
        for one in &mut all {
            assert!(one.count(Protocol::Smtp, ip("192.0.2.1")).is_ok());
        }
        assert!(limits.lock().by_address.is_empty());
    }
}
