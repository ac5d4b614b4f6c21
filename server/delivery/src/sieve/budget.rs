//! The memory that scripts share.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many bytes; who wants some waits until others give theirs back.
#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    left: Mutex<usize>,
    returned: Condvar,
}

/// Bytes taken from a [`Budget`]; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    budget: &'a Budget,
    bytes: usize,
}

/// Why there is no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoMemory {
    /// More than there is in all.
    Never,
    /// Not in the time given.
    NotNow,
}

impl Budget {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total,
            left: Mutex::new(total),
            returned: Condvar::new(),
        }
    }

    /// Takes `bytes`, waiting at most `wait`.
    pub(crate) fn take(&self, bytes: usize, wait: Duration) -> Result<Share<'_>, NoMemory> {
        if bytes > self.total {
            return Err(NoMemory::Never);
        }
        let until = Instant::now() + wait;
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while *left < bytes {
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Err(NoMemory::NotNow);
            }
            let waited = self.returned.wait_timeout(left, wait);
            left = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *left -= bytes;
        Ok(Share {
            budget: self,
            bytes,
        })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut left = self
            .budget
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *left += self.bytes;
        self.budget.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_total_and_come_back() {
        let budget = Budget::new(10);
        let first = budget.take(7, Duration::ZERO).unwrap();
        assert_eq!(
            budget.take(4, Duration::ZERO).unwrap_err(),
            NoMemory::NotNow
        );
        assert_eq!(
            budget.take(11, Duration::ZERO).unwrap_err(),
            NoMemory::Never
        );
        let second = budget.take(3, Duration::ZERO).unwrap();
        drop((first, second));
        assert!(budget.take(10, Duration::ZERO).is_ok());
    }

    #[test]
    fn who_waits_gets_what_comes_back() {
        let budget = Budget::new(10);
        let share = budget.take(10, Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.take(1, Duration::from_secs(60)).is_ok());
            drop(share);
            assert!(waiting.join().unwrap());
        });
    }
}
