//! Answers kept for a moment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use facteur_address::{Address, Domain};
use moka::{Expiry, future::Cache};

use crate::{AccountRecord, Answer, Directory, DomainRecord, Unavailable};

/// How long answers are kept, and how many of each kind.
#[derive(Debug, Clone, Copy)]
pub struct CacheOptions {
    /// A positive answer. A change made by somebody else is seen after this time at the latest.
    pub ttl: Duration,
    /// "There is no such …".
    pub negative_ttl: Duration,
    /// Most entries of each kind.
    pub capacity: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(10),
            capacity: 20_000,
        }
    }
}

/// A directory with a cache before it. Failures are not cached.
pub struct Cached<D> {
    directory: D,
    domains: Kept<Domain, DomainRecord>,
    alias_domains: Kept<Domain, Domain>,
    accounts: Kept<Address, Arc<AccountRecord>>,
    aliases: Kept<Address, Vec<String>>,
    catch_alls: Kept<Domain, Vec<String>>,
    sender_logins: Kept<Address, Vec<String>>,
}

impl<D: Directory> Cached<D> {
    /// Puts a cache before `directory`.
    pub fn new(directory: D, options: CacheOptions) -> Self {
        Self {
            directory,
            domains: Kept::new(options),
            alias_domains: Kept::new(options),
            accounts: Kept::new(options),
            aliases: Kept::new(options),
            catch_alls: Kept::new(options),
            sender_logins: Kept::new(options),
        }
    }

    /// What is behind the cache.
    pub fn inner(&self) -> &D {
        &self.directory
    }
}

impl<D: Directory> Directory for Cached<D> {
    fn domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        Box::pin(
            self.domains
                .answer(domain, || self.directory.domain(domain)),
        )
    }

    fn alias_domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Domain>> {
        let ask = || self.directory.alias_domain(domain);
        Box::pin(self.alias_domains.answer(domain, ask))
    }

    fn account<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        Box::pin(async move {
            let address = address.folded();
            let ask = || self.directory.account(&address);
            self.accounts.answer(&address, ask).await
        })
    }

    fn alias<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async move {
            let address = address.folded();
            let ask = || self.directory.alias(&address);
            self.aliases.answer(&address, ask).await
        })
    }

    fn catch_all<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        let ask = || self.directory.catch_all(domain);
        Box::pin(self.catch_alls.answer(domain, ask))
    }

    fn sender_login<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async move {
            let address = address.folded();
            let ask = || self.directory.sender_login(&address);
            self.sender_logins.answer(&address, ask).await
        })
    }

    fn domain_quota<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<u64>> {
        // Asked rarely.
        self.directory.domain_quota(domain)
    }

    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        self.directory.accounts()
    }

    fn record_usage<'a>(
        &'a self,
        account: &'a Address,
        bytes: u64,
        messages: u64,
    ) -> Answer<'a, ()> {
        self.directory.record_usage(account, bytes, messages)
    }

    fn forget(&self) {
        self.directory.forget();
        self.domains.0.invalidate_all();
        self.alias_domains.0.invalidate_all();
        self.accounts.0.invalidate_all();
        self.aliases.0.invalidate_all();
        self.catch_alls.0.invalidate_all();
        self.sender_logins.0.invalidate_all();
    }

    fn forget_account<'a>(&'a self, address: &'a Address) -> Answer<'a, ()> {
        Box::pin(async move {
            let address = address.folded();
            self.accounts.0.invalidate(&address).await;
            self.directory.forget_account(&address).await
        })
    }
}

/// One kind of answer.
struct Kept<K, V>(Cache<K, Option<V>>);

impl<K, V> Kept<K, V>
where
    K: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new(options: CacheOptions) -> Self {
        Self(
            Cache::builder()
                .max_capacity(options.capacity)
                .expire_after(Lifetime(options))
                .build(),
        )
    }

    /// The kept answer, or a new one; many that ask at once share one question.
    async fn answer<'a>(
        &self,
        key: &K,
        ask: impl FnOnce() -> Answer<'a, Option<V>>,
    ) -> Result<Option<V>, Unavailable> {
        if let Some(kept) = self.0.get(key).await {
            return Ok(kept);
        }
        self.0
            .try_get_with(key.clone(), ask())
            .await
            .map_err(|error: Arc<Unavailable>| (*error).clone())
    }
}

struct Lifetime(CacheOptions);

impl<K, V> Expiry<K, Option<V>> for Lifetime {
    fn expire_after_create(&self, _: &K, value: &Option<V>, _: Instant) -> Option<Duration> {
        Some(match value {
            Some(_) => self.0.ttl,
            None => self.0.negative_ttl,
        })
    }
}

#[cfg(test)]
mod tests;
