//! What the accounts of a domain hold together, limited to PostfixAdmin's `domain.quota`.
//!
//! The count is exact because it has one source: at the start every account of such a domain says what
//! it holds, and from then on the store tells each change, in order. Nothing is kept on disk that could
//! be wrong later. Until a domain is counted it is not limited.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use facteur_address::{Address, Domain};
use facteur_directory::{Directory, Unavailable};
use facteur_model::{AccountId, Usage};
use facteur_store::{Permit, Store, UsageChange};
use tokio::sync::Notify;
use tracing::{info, warn};

/// How often the directory is asked for its domains, their limits and their accounts.
const REFRESH: Duration = Duration::from_secs(300);

/// How long a directory that does not answer is left alone.
const RETRY: Duration = Duration::from_secs(15);

/// Counts and limits domains. Clones share it.
#[derive(Clone, Default)]
pub struct DomainQuota {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    domains: Mutex<HashMap<String, Count>>,
    refresh: Notify,
}

/// One domain.
#[derive(Debug, Default)]
struct Count {
    /// In bytes.
    limit: u64,
    /// Whether every account has said what it holds.
    counted: bool,
    held: HashMap<AccountId, u64>,
    /// Of `held`.
    sum: u64,
    /// For changes that are under way.
    reserved: u64,
}

impl Count {
    fn set(&mut self, account: &AccountId, bytes: u64) {
        let before = match self.held.entry(account.clone()) {
            Entry::Occupied(mut held) => held.insert(bytes),
            Entry::Vacant(free) => {
                free.insert(bytes);
                0
            }
        };
        self.sum = self.sum - before + bytes;
    }

    fn remove(&mut self, account: &AccountId) {
        self.sum -= self.held.remove(account).unwrap_or_default();
    }

    fn has_room(&self, added: u64, grace: u64) -> bool {
        let limit = self.limit.saturating_add(
            (u128::from(self.limit) * u128::from(grace) / 100)
                .try_into()
                .unwrap_or(u64::MAX),
        );
        let used = self.sum.saturating_add(self.reserved);
        !self.counted || used.saturating_add(added) <= limit
    }
}

/// Bytes set aside in a domain.
struct Reserved {
    shared: Arc<Shared>,
    domain: String,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(count) = self.shared.lock().get_mut(&self.domain) {
            count.reserved = count.reserved.saturating_sub(self.bytes);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Count>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn domain_of(account: &AccountId) -> &str {
    let name = account.as_str();
    name.rsplit_once('@').map_or("", |(_, domain)| domain)
}

impl DomainQuota {
    /// Takes note of a change. Quick, and from any thread: the store calls it.
    pub fn note(&self, change: &UsageChange<'_>) {
        let account = &change.account.id;
        if let Some(count) = self.shared.lock().get_mut(domain_of(account)) {
            count.set(account, change.now.bytes);
        }
    }

    /// Sets room aside for a change, as the store's [`facteur_store::Gate`].
    pub fn reserve(&self, account: &AccountId, added: Usage, grace: u8) -> Option<Permit> {
        let domain = domain_of(account);
        let mut domains = self.shared.lock();
        let Some(count) = domains.get_mut(domain) else {
            return Some(Permit::free());
        };
        if !count.has_room(added.bytes, grace.into()) {
            return None;
        }
        count.reserved = count.reserved.saturating_add(added.bytes);
        Some(Permit::new(Reserved {
            shared: Arc::clone(&self.shared),
            domain: domain.to_owned(),
            bytes: added.bytes,
        }))
    }

    /// Whether a domain may hold `added` bytes more, with so many per cent of grace.
    pub fn has_room(&self, domain: &Domain, added: u64, grace: u64) -> bool {
        let domains = self.shared.lock();
        let count = domains.get(domain.as_str());
        count.is_none_or(|count| count.has_room(added, grace))
    }

    /// What a domain holds and may hold, in bytes; `None` when it is not limited, or not counted yet.
    pub fn usage(&self, domain: &str) -> Option<(u64, u64)> {
        let domains = self.shared.lock();
        let count = domains.get(domain).filter(|count| count.counted)?;
        Some((count.sum, count.limit))
    }

    /// Asks the directory anew, soon.
    pub fn refresh(&self) {
        self.shared.refresh.notify_one();
    }

    /// Keeps the domains as the directory has them, until the future is dropped.
    pub async fn run(self, store: Store, directory: Arc<dyn Directory>) {
        loop {
            let wait = match self.update(&store, &*directory).await {
                Ok(()) => REFRESH,
                Err(error) => {
                    warn!(%error, "domains are not counted");
                    RETRY
                }
            };
            let _ = tokio::time::timeout(wait, self.shared.refresh.notified()).await;
        }
    }

    /// Takes the limits from the directory and counts what was not counted yet.
    ///
    /// # Errors
    /// When the directory does not answer.
    pub async fn update(
        &self,
        store: &Store,
        directory: &dyn Directory,
    ) -> Result<(), Unavailable> {
        let accounts = directory.accounts().await?;
        let domains: HashSet<&Domain> = accounts.iter().map(Address::domain).collect();
        let mut limits = HashMap::new();
        for domain in domains {
            if let Some(limit) = directory.domain_quota(domain).await? {
                limits.insert(domain.as_str().to_owned(), limit);
            }
        }
        {
            let mut counts = self.shared.lock();
            counts.retain(|domain, _| limits.contains_key(domain));
            for (domain, limit) in &limits {
                counts.entry(domain.clone()).or_default().limit = *limit;
            }
        }
        let known: HashSet<AccountId> = accounts.iter().map(id).collect();
        self.forget_missing(directory, &known).await?;
        let mut whole: HashSet<&str> = limits.keys().map(String::as_str).collect();
        for address in &accounts {
            let domain = address.domain().as_str();
            if limits.contains_key(domain)
                && !self.is_held(&id(address))
                && !self.count(store, directory, address).await?
            {
                whole.remove(domain);
            }
        }
        let mut counts = self.shared.lock();
        for domain in whole {
            if let Some(count) = counts.get_mut(domain).filter(|count| !count.counted) {
                count.counted = true;
                info!(
                    domain,
                    bytes = count.sum,
                    limit = count.limit,
                    accounts = count.held.len(),
                    "domain counted"
                );
            }
        }
        Ok(())
    }

    fn is_held(&self, account: &AccountId) -> bool {
        let counts = self.shared.lock();
        counts
            .get(domain_of(account))
            .is_some_and(|count| count.held.contains_key(account))
    }

    /// Has an account say what it holds; says whether it did.
    async fn count(
        &self,
        store: &Store,
        directory: &dyn Directory,
        address: &Address,
    ) -> Result<bool, Unavailable> {
        let Some(record) = directory.account(address).await? else {
            return Ok(true);
        };
        let (store, spec) = (store.clone(), facteur_account::spec(&record));
        // The store tells it with the account locked: so no later change is overwritten.
        let told = tokio::task::spawn_blocking(move || store.account(&spec)?.tell_usage()).await;
        match told {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => {
                warn!(account = %address, %error, "account is not counted: its domain is not limited");
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }

    /// Forgets accounts that are no more.
    async fn forget_missing(
        &self,
        directory: &dyn Directory,
        known: &HashSet<AccountId>,
    ) -> Result<(), Unavailable> {
        let missing: Vec<AccountId> = {
            let counts = self.shared.lock();
            let held = counts.values().flat_map(|count| count.held.keys());
            held.filter(|account| !known.contains(account))
                .cloned()
                .collect()
        };
        for account in missing {
            let address = facteur_account::address(&account);
            let exists = match &address {
                // One that was made since the list was read.
                Some(address) => directory.account(address).await?.is_some(),
                None => false,
            };
            if !exists && let Some(count) = self.shared.lock().get_mut(domain_of(&account)) {
                count.remove(&account);
            }
        }
        Ok(())
    }
}

fn id(address: &Address) -> AccountId {
    AccountId::new(&address.to_string())
}

#[cfg(test)]
mod tests;
