//! Repeated failures wait: per address, and per account for addresses that fail.
//!
//! An address without failures is never held back, so nobody can lock an account's owner out by
//! guessing. One that fails gets its tries one after the other, ever further apart, however many
//! connections it opens.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failures of an address that cost nothing: people mistype.
const FREE_BY_ADDRESS: u32 = 3;
/// Failures against an account, from anywhere, that cost nothing.
const FREE_BY_ACCOUNT: u32 = 10;
/// Longest time between two tries, and longest time one waits for its turn.
pub(crate) const LONGEST: Duration = Duration::from_secs(15);
/// Without a failure for so long, all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Most addresses, and most accounts, remembered.
const CAPACITY: usize = 16_384;

/// When a try may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// At once.
    Now,
    /// Then; the time is taken.
    At(Instant),
    /// So many wait already that it is not tried at all.
    Never,
}

/// Who tries, as the tables know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trier {
    /// `None`: one that many users share.
    address: Option<IpAddr>,
    account: u64,
}

#[derive(Default)]
struct Tables {
    addresses: HashMap<IpAddr, Failures>,
    accounts: HashMap<u64, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    /// When the next try may go on.
    next: Instant,
    /// The account last tried, and how many failures it had in a row: those are taken back when
    /// its owner gets the password right. (Not all: a guesser may have an account of its own.)
    streak: (u64, u32),
}

/// The tables.
#[derive(Default)]
pub(crate) struct Throttle {
    tables: Mutex<Tables>,
    hasher: RandomState,
}

impl Throttle {
    pub(crate) fn trier(&self, address: Option<IpAddr>, identity: &str) -> Trier {
        Trier {
            address: address.map(network),
            account: self.hasher.hash_one(identity),
        }
    }

    /// Whether this address failed lately.
    pub(crate) fn is_failing(&self, trier: Trier, now: Instant) -> bool {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        trier
            .address
            .is_some_and(|address| count(tables.addresses.get(&address), now) > FREE_BY_ADDRESS)
    }

    /// Takes a turn.
    pub(crate) fn turn(&self, trier: Trier, now: Instant) -> Turn {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let Tables {
            addresses,
            accounts,
        } = &mut *tables;
        let address = trier
            .address
            .and_then(|address| addresses.get_mut(&address));
        let suspect = trier.address.is_none() || count(address.as_deref(), now) > 0;
        let account = accounts.get_mut(&trier.account).filter(|_| suspect);
        let mut turn = now;
        let mut held = Vec::new();
        for (failures, free) in [(address, FREE_BY_ADDRESS), (account, FREE_BY_ACCOUNT)] {
            if let Some(failures) = failures.filter(|f| count(Some(f), now) > free) {
                turn = turn.max(failures.next);
                held.push((failures, free));
            }
        }
        if held.is_empty() {
            return Turn::Now;
        }
        if turn - now > LONGEST {
            return Turn::Never;
        }
        for (failures, free) in held {
            failures.next = turn + interval(failures.count, free);
        }
        if turn == now {
            Turn::Now
        } else {
            Turn::At(turn)
        }
    }

    /// A password was wrong, or nobody has that name.
    pub(crate) fn failed(&self, trier: Trier, now: Instant) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = trier.address {
            count_failure(&mut tables.addresses, address, FREE_BY_ADDRESS, trier, now);
        }
        let account = trier.account;
        count_failure(&mut tables.accounts, account, FREE_BY_ACCOUNT, trier, now);
    }

    /// A password was right.
    pub(crate) fn succeeded(&self, trier: Trier) {
        let Some(address) = trier.address else { return };
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(failures) = tables.addresses.get_mut(&address) else {
            return;
        };
        let (account, count) = failures.streak;
        if account == trier.account {
            failures.count = failures.count.saturating_sub(count);
            failures.streak = (account, 0);
        }
        if failures.count == 0 {
            tables.addresses.remove(&address);
        }
    }
}

/// An IPv6 customer has a /64 at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let prefix = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        v4 => v4,
    }
}

fn count(failures: Option<&Failures>, now: Instant) -> u32 {
    failures
        .filter(|failures| now.duration_since(failures.last) < FORGOTTEN_AFTER)
        .map_or(0, |failures| failures.count)
}

/// 1, 2, 4, 8, 15 s.
fn interval(count: u32, free: u32) -> Duration {
    let doublings = count.saturating_sub(free + 1).min(4);
    Duration::from_secs(1 << doublings).min(LONGEST)
}

fn count_failure<K: std::hash::Hash + Eq + Copy>(
    table: &mut HashMap<K, Failures>,
    key: K,
    free: u32,
    trier: Trier,
    now: Instant,
) {
    let known = table.get(&key).copied();
    let mut failures = known
        .filter(|failures| count(Some(failures), now) > 0)
        .unwrap_or(Failures {
            count: 0,
            last: now,
            next: now,
            streak: (trier.account, 0),
        });
    failures.count = failures.count.saturating_add(1);
    failures.last = now;
    failures.streak = match failures.streak {
        (account, streak) if account == trier.account => (account, streak.saturating_add(1)),
        _ => (trier.account, 1),
    };
    if failures.count > free {
        failures.next = failures.next.max(now + interval(failures.count, free));
    }
    if known.is_none() && table.len() >= CAPACITY {
        make_room(table, now);
    }
    table.insert(key, failures);
}

/// Drops what is forgotten anyway; if that is not enough, those with few failures: a flood of
/// addresses that fail once does not wash out the one that fails a thousand times.
fn make_room<K: std::hash::Hash + Eq + Copy>(table: &mut HashMap<K, Failures>, now: Instant) {
    table.retain(|_, failures| now.duration_since(failures.last) < FORGOTTEN_AFTER);
    let mut least = 1;
    while table.len() > CAPACITY / 2 {
        table.retain(|_, failures| failures.count > least);
        least *= 2;
    }
}

#[cfg(test)]
mod tests;
