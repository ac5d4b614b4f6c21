//! Keeps the directory's copy of what each account holds (PostfixAdmin's `quota2`) within seconds
//! of the truth, which is the store's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use facteur_directory::Directory;
use facteur_model::{AccountId, Usage};
use tokio::sync::Notify;
use tracing::warn;

/// How long changes are gathered. With the time a write takes, a value is in the directory within
/// five seconds of its change.
const GATHER: Duration = Duration::from_secs(3);

/// How long a directory that does not answer is left alone.
const RETRY: Duration = Duration::from_secs(15);

/// Writes usage to the directory, the latest value of each account only. Clones share it.
#[derive(Clone)]
pub struct QuotaMirror {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    changed: Mutex<HashMap<AccountId, Usage>>,
    wake: Notify,
    /// Held while changes are written: whoever ends must not leave behind what another has taken.
    writing: tokio::sync::Mutex<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Usage>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for QuotaMirror {
    fn default() -> Self {
        Self::new()
    }
}

impl QuotaMirror {
    /// One with nothing to write.
    pub fn new() -> Self {
        Self {
            shared: Arc::default(),
        }
    }

    /// Notes what `account` holds now. Quick, and from any thread: the store calls it after each
    /// change.
    pub fn note(&self, account: &AccountId, usage: Usage) {
        self.shared.lock().insert(account.clone(), usage);
        self.shared.wake.notify_one();
    }

    /// Writes what is noted until the future is dropped; [`QuotaMirror::flush`] writes the rest.
    pub async fn run(self, directory: Arc<dyn Directory>) {
        loop {
            self.shared.wake.notified().await;
            tokio::time::sleep(GATHER).await;
            while !self.flush(&*directory).await {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Writes all that is noted now, after what is being written; says whether it could.
    pub async fn flush(&self, directory: &dyn Directory) -> bool {
        let _writing = self.shared.writing.lock().await;
        let changed = std::mem::take(&mut *self.shared.lock());
        let mut changed = changed.into_iter();
        while let Some((account, usage)) = changed.next() {
            let Some(address) = facteur_account::address(&account) else {
                continue;
            };
            let written = directory.record_usage(&address, usage.bytes, usage.messages);
            if let Err(error) = written.await {
                warn!(%account, %error, "quota not mirrored");
                // What changed since is newer.
                let mut noted = self.shared.lock();
                for (account, usage) in std::iter::once((account, usage)).chain(changed) {
                    noted.entry(account).or_insert(usage);
                }
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facteur_address::{Address, Domain};
    use facteur_directory::{AccountRecord, Answer, DomainRecord, Unavailable};

    #[derive(Default)]
    struct Fake {
        down: std::sync::atomic::AtomicBool,
        /// A directory that takes its time: it was asked, and may answer.
        slow: Option<(Notify, tokio::sync::Semaphore)>,
        written: Mutex<Vec<(String, u64, u64)>>,
    }

    impl Directory for Fake {
        fn domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
            Box::pin(async { Ok(None) })
        }
        fn alias_domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Domain>> {
            Box::pin(async { Ok(None) })
        }
        fn account<'a>(&'a self, _: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
            Box::pin(async { Ok(None) })
        }
        fn alias<'a>(&'a self, _: &'a Address) -> Answer<'a, Option<Vec<String>>> {
            Box::pin(async { Ok(None) })
        }
        fn catch_all<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
            Box::pin(async { Ok(None) })
        }
        fn accounts(&self) -> Answer<'_, Vec<Address>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn record_usage<'a>(
            &'a self,
            account: &'a Address,
            bytes: u64,
            messages: u64,
        ) -> Answer<'a, ()> {
            Box::pin(async move {
                if self.down.load(std::sync::atomic::Ordering::Relaxed) {
                    return Err(Unavailable("down".to_owned()));
                }
                if let Some((asked, answers)) = &self.slow {
                    asked.notify_one();
                    answers.acquire().await.unwrap().forget();
                }
                let mut written = self.written.lock().unwrap();
                written.push((account.to_string(), bytes, messages));
                Ok(())
            })
        }
        fn forget(&self) {}
    }

    fn note(mirror: &QuotaMirror, account: &str, bytes: u64) {
        let usage = Usage { bytes, messages: 1 };
        mirror.note(&AccountId::new(account), usage);
    }

    #[tokio::test]
    async fn only_the_latest_value_is_written() {
        let (mirror, directory) = (QuotaMirror::new(), Fake::default());
        note(&mirror, "a@example.org", 1);
        note(&mirror, "a@example.org", 2);
        assert!(mirror.flush(&directory).await);
        assert!(mirror.flush(&directory).await);
        let written = directory.written.lock().unwrap().clone();
        assert_eq!(written, [("a@example.org".to_owned(), 2, 1)]);
    }

    #[tokio::test]
    async fn nothing_is_lost_while_the_directory_is_down() {
        let (mirror, directory) = (QuotaMirror::new(), Fake::default());
        directory
            .down
            .store(true, std::sync::atomic::Ordering::Relaxed);
        note(&mirror, "a@example.org", 1);
        note(&mirror, "b@example.org", 5);
        assert!(!mirror.flush(&directory).await);
        note(&mirror, "a@example.org", 3);
        directory
            .down
            .store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(mirror.flush(&directory).await);
        let mut written = directory.written.lock().unwrap().clone();
        written.sort();
        let expected = [
            ("a@example.org".to_owned(), 3, 1),
            ("b@example.org".to_owned(), 5, 1),
        ];
        assert_eq!(written, expected);
    }

    #[tokio::test]
    async fn a_flush_at_the_end_waits_for_what_is_being_written() {
        let mirror = QuotaMirror::new();
        let directory = Arc::new(Fake {
            slow: Some((Notify::new(), tokio::sync::Semaphore::new(0))),
            ..Fake::default()
        });
        note(&mirror, "a@example.org", 1);
        note(&mirror, "b@example.org", 2);
        let (first, slow) = (mirror.clone(), Arc::clone(&directory));
        let first = tokio::spawn(async move { first.flush(&*slow).await });
        let (asked, answers) = directory.slow.as_ref().unwrap();
        asked.notified().await;
        let at_the_end = async {
            assert!(mirror.flush(&*directory).await);
            directory.written.lock().unwrap().len()
        };
        let (written, ()) = tokio::join!(at_the_end, async { answers.add_permits(2) });
        assert_eq!(written, 2);
        assert!(first.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn changes_reach_the_directory_within_five_seconds() {
        let (mirror, directory) = (QuotaMirror::new(), Arc::new(Fake::default()));
        let running = tokio::spawn(mirror.clone().run(Arc::<Fake>::clone(&directory)));
        note(&mirror, "a@example.org", 1);
        tokio::time::sleep(Duration::from_secs(5)).await;
        note(&mirror, "a@example.org", 2);
        tokio::time::sleep(Duration::from_secs(5)).await;
        running.abort();
        let written = directory.written.lock().unwrap().clone();
        let bytes: Vec<u64> = written.iter().map(|(_, bytes, _)| *bytes).collect();
        assert_eq!(bytes, [1, 2]);
    }
}
