//! How long a client may take (RFC 5321 §4.5.3.2).

use std::time::Duration;

use tokio::time::Instant;

/// Octets a second that keep a message coming (Postfix's smtpd_min_data_rate).
const MIN_DATA_RATE: u64 = 500;

/// A deadline that progress moves and mere bytes do not: a client that sends an octet a minute is
/// cut off like one that sends none.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    deadline: Instant,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Instant::now() + limit,
        }
    }

    /// A command was answered: the wait for the next begins.
    pub(crate) fn restart(&mut self) {
        self.deadline = Instant::now() + self.limit;
    }

    /// Octets of a message came: each earns some time.
    pub(crate) fn earn(&mut self, octets: usize) {
        let earned = Duration::from_millis(octets as u64 * 1000 / MIN_DATA_RATE);
        self.deadline = (self.deadline + earned).min(Instant::now() + self.limit);
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn slow_octets_do_not_keep_a_message_alive_and_fast_ones_do() {
        let mut slow = Patience::new(5 * MINUTE);
        let mut fast = Patience::new(5 * MINUTE);
        for _ in 0..6 {
            tokio::time::advance(MINUTE).await;
            slow.earn(10);
            fast.earn(100_000);
        }
        assert!(slow.deadline() < Instant::now());
        assert_eq!(fast.deadline(), Instant::now() + 5 * MINUTE);
    }
}
