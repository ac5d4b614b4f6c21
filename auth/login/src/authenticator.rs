//! The judgement of one login.

use std::sync::Arc;

use facteur_address::{Address, Domain};
use facteur_directory::{AccountRecord, Directory, Unavailable};
use facteur_password::StoredError;
use facteur_wire::Secret;
use tokio::time::Instant;

use crate::{
    Attempt, LoginError, Options,
    hashing::{Hashing, Place},
    remembered::Remembered,
    throttle::{LONGEST, Throttle, Trier, Turn},
};

/// Longest part of a name in a log line.
const LOGGED_LEN: usize = 200;

/// Verifies logins. Clones share everything.
#[derive(Clone)]
pub struct Authenticator {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) options: Options,
    hashing: Hashing,
    remembered: Option<Remembered>,
    /// Shared with those that follow.
    throttle: Arc<Throttle>,
}

/// Why a login failed, for the log only.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("no such account")]
    NoAccount,
    #[error("wrong password")]
    Password,
    #[error("the account has no password")]
    NoPassword,
    #[error("{0}")]
    Stored(#[from] StoredError),
    #[error("the authorization identity is another's")]
    Authorization,
    #[error("too many failures")]
    Throttled,
}

impl Authenticator {
    /// Verifies against `directory`.
    pub fn new(directory: Arc<dyn Directory>, options: Options) -> Self {
        Self::build(directory, options, Arc::default())
    }

    /// One that takes over with other options: who fails now goes on being held back, so that a
    /// reload does not give a guesser a fresh start.
    #[must_use]
    pub fn with_options(&self, options: Options) -> Self {
        let inner = &self.inner;
        Self::build(
            Arc::clone(&inner.directory),
            options,
            Arc::clone(&inner.throttle),
        )
    }

    fn build(directory: Arc<dyn Directory>, options: Options, throttle: Arc<Throttle>) -> Self {
        Self {
            inner: Arc::new(Inner {
                hashing: Hashing::new(options.auth_worker_max_count, options.default_pass_scheme),
                remembered: Remembered::new(options.auth_cache_ttl),
                throttle,
                directory,
                options,
            }),
        }
    }

    /// Verifies one. Failures take their time here (throttling): the caller just waits, and may
    /// drop the future when the client hangs up.
    ///
    /// # Errors
    /// [`LoginError`]; the cause is in the log only.
    pub async fn login(&self, attempt: Attempt) -> Result<Arc<AccountRecord>, LoginError> {
        let inner = &*self.inner;
        let address = inner.address(&attempt.authentication_identity);
        // However a name is written (a dot at its end, no domain), its account is one.
        let identity = match &address {
            Some(address) => address.to_string(),
            None => attempt.authentication_identity.trim().to_lowercase(),
        };
        let is_shared = |peer: &std::net::IpAddr| {
            let networks = &inner.options.login_trusted_networks;
            networks
                .iter()
                .any(|network| network.contains(&peer.to_canonical()))
        };
        let peer = attempt.peer.filter(|peer| !is_shared(peer));
        let trier = inner.throttle.trier(peer, &identity);
        let result = inner.judge(&attempt, address.as_ref(), trier).await;
        let user: String = attempt
            .authentication_identity
            .chars()
            .take(LOGGED_LEN)
            .collect();
        let peer = attempt.peer.map(tracing::field::display);
        match result {
            Ok(record) => {
                tracing::info!(service = attempt.service, peer, user = ?user, account = %record.address, "login");
                Ok(record)
            }
            Err(Refusal::Unavailable(error)) => {
                tracing::warn!(service = attempt.service, peer, user = ?user, %error, "login not verified");
                Err(LoginError::Unavailable)
            }
            Err(reason) => {
                tracing::info!(service = attempt.service, peer, user = ?user, %reason, "login failed");
                tokio::time::sleep(inner.options.auth_failure_delay).await;
                Err(LoginError::Failed)
            }
        }
    }
}

impl Inner {
    async fn judge(
        &self,
        attempt: &Attempt,
        address: Option<&Address>,
        trier: Trier,
    ) -> Result<Arc<AccountRecord>, Refusal> {
        let failing = self.throttle.is_failing(trier, Instant::now());
        if !failing && let Some(record) = self.recall(attempt, address).await? {
            return self.finish(attempt, trier, Ok(record));
        }
        // The turn is taken with a place in hand, and the place kept until a failure is counted:
        // however many connections try at once, no more get through than there are places.
        let mut place = self.hashing.place().await;
        match self.throttle.turn(trier, Instant::now()) {
            Turn::Now => {}
            Turn::At(turn) => {
                drop(place);
                tokio::time::sleep_until(turn).await;
                place = self.hashing.place().await;
            }
            Turn::Never => {
                drop(place);
                tokio::time::sleep(LONGEST).await;
                return Err(Refusal::Throttled);
            }
        }
        let result = self.verify(&mut place, address, &attempt.password).await;
        self.finish(attempt, trier, result)
    }

    /// Counts a failure; hanging up during the wait that follows does not undo that.
    fn finish(
        &self,
        attempt: &Attempt,
        trier: Trier,
        result: Result<Arc<AccountRecord>, Refusal>,
    ) -> Result<Arc<AccountRecord>, Refusal> {
        let result = result.and_then(|record| {
            if self.may_act_as(&attempt.authorization_identity, attempt, &record) {
                Ok(record)
            } else {
                Err(Refusal::Authorization)
            }
        });
        match &result {
            Ok(_) => self.throttle.succeeded(trier),
            Err(Refusal::Unavailable(_)) => {}
            Err(_) => self.throttle.failed(trier, Instant::now()),
        }
        result
    }

    /// Nobody acts for another (RFC 4616 §2 lets a server allow it; we have no such rights).
    fn may_act_as(&self, identity: &str, attempt: &Attempt, record: &AccountRecord) -> bool {
        identity.is_empty()
            || identity == attempt.authentication_identity
            || self
                .address(identity)
                .is_some_and(|address| address == record.address)
    }

    /// The account, when its password is remembered.
    async fn recall(
        &self,
        attempt: &Attempt,
        address: Option<&Address>,
    ) -> Result<Option<Arc<AccountRecord>>, Unavailable> {
        let (Some(remembered), Some(address)) = (&self.remembered, address) else {
            return Ok(None);
        };
        let record = self.directory.account(address).await?;
        Ok(record.filter(|record| {
            let stored = record.password.as_deref().unwrap_or("");
            remembered.knows(address, stored, attempt.password.expose())
        }))
    }

    async fn verify(
        &self,
        place: &mut Option<Place>,
        address: Option<&Address>,
        password: &Secret,
    ) -> Result<Arc<AccountRecord>, Refusal> {
        let record = match address {
            Some(address) => self.directory.account(address).await?,
            None => None,
        };
        let result = self.verify_record(place, record.clone(), password).await;
        let (Err(_), Some(address)) = (&result, address) else {
            self.remember(address, &result, password);
            return result;
        };
        // A password that was just changed must not have to wait for the cache. (For a name that
        // does not exist too, so that both take the same time.)
        self.directory.forget_account(address).await?;
        let fresh = self.directory.account(address).await?;
        let password_of =
            |record: &Option<Arc<AccountRecord>>| record.as_ref().and_then(|r| r.password.clone());
        if password_of(&fresh) == password_of(&record) {
            return result;
        }
        let result = self.verify_record(place, fresh, password).await;
        self.remember(Some(address), &result, password);
        result
    }

    /// Under the name of the login, which may be another than the account's (password_query's
    /// `user`).
    fn remember(
        &self,
        address: Option<&Address>,
        result: &Result<Arc<AccountRecord>, Refusal>,
        password: &Secret,
    ) {
        if let (Some(remembered), Some(address), Ok(record)) = (&self.remembered, address, result)
            && let Some(stored) = &record.password
        {
            remembered.remember(address, stored, password.expose());
        }
    }

    async fn verify_record(
        &self,
        place: &mut Option<Place>,
        record: Option<Arc<AccountRecord>>,
        password: &Secret,
    ) -> Result<Arc<AccountRecord>, Refusal> {
        let Some(record) = record else {
            self.hashing.pretend(place, password).await;
            return Err(Refusal::NoAccount);
        };
        let Some(stored) = record.password.as_deref() else {
            self.hashing.pretend(place, password).await;
            return Err(Refusal::NoPassword);
        };
        match self.hashing.verify(place, stored, password).await {
            Ok(true) => Ok(record),
            Ok(false) => Err(Refusal::Password),
            Err(error) => {
                tracing::warn!(account = %record.address, %error, "stored password is of no use");
                self.hashing.pretend(place, password).await;
                Err(Refusal::Stored(error))
            }
        }
    }

    /// A login name as an address; without a domain, in the default realm.
    fn address(&self, name: &str) -> Option<Address> {
        let name = name.trim();
        let (local, domain) = match name.rsplit_once('@') {
            Some((local, domain)) => (local, Domain::parse(domain).ok()?),
            None => (name, self.options.auth_default_realm.clone()?),
        };
        Address::from_parts(local, domain)
            .ok()
            .map(|address| address.folded())
    }
}

#[cfg(test)]
mod tests;
