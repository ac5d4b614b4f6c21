//! The time, as the queue sees it.

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

/// What time it is, and waiting for a time to come: tests have one of their own.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since the Unix epoch.
    fn now(&self) -> i64;
    /// Waits until then.
    fn sleep_until(&self, at: i64) -> BoxFuture<'_, ()>;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// A clock that was set forward is noticed after this many seconds.
    const LONGEST_SLEEP: i64 = 60;
}

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
    }

    fn sleep_until(&self, at: i64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let left = at.saturating_sub(self.now()).min(Self::LONGEST_SLEEP);
                let Ok(left @ 1..) = u64::try_from(left) else {
                    return;
                };
                tokio::time::sleep(Duration::from_secs(left)).await;
            }
        })
    }
}
