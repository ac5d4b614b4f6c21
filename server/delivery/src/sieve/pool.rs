//! The threads scripts run on. A script that takes too long cannot be stopped, only left behind: it
//! keeps its thread until it ends, and there are only so many.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    time::Duration,
};

/// Stack of each thread: enough to drop the deepest message that scripts see.
pub(super) const STACK: usize = 4 * 1024 * 1024;

/// How long a thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(30);

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoResult {
    /// Every thread was busy all the time; the work was not begun.
    Busy,
    /// The work was begun and did not end in time; it goes on.
    Overrun,
    /// The work panicked.
    Panicked,
}

type Job = Box<dyn FnOnce() + Send>;

/// A bounded number of threads; each one left behind is replaced, up to as many again.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    threads: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    running: usize,
    idle: usize,
    /// How many of the running were left behind.
    left_behind: usize,
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;
const LEFT_BEHIND: u8 = 3;
const ENDED: u8 = 4;

impl Pool {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                threads: threads.max(1),
                state: Mutex::default(),
                work: Condvar::new(),
            }),
        }
    }

    /// Runs `work` and waits for it, at most `wait`.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        wait: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoResult> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let stage = Arc::new(AtomicU8::new(WAITING));
        let (theirs, shared) = (Arc::clone(&stage), Arc::clone(&self.shared));
        self.submit(Box::new(move || {
            if !advance(&theirs, WAITING, BEGUN) {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(work));
            if advance(&theirs, BEGUN, ENDED) {
                let _nobody_waits = sender.send(result);
            } else {
                shared.lock().left_behind -= 1;
            }
        }));
        match receiver.recv_timeout(wait) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_panic)) => Err(NoResult::Panicked),
            Err(_) if advance(&stage, WAITING, GIVEN_UP) => Err(NoResult::Busy),
            Err(_) => {
                let mut state = self.shared.lock();
                if advance(&stage, BEGUN, LEFT_BEHIND) {
                    state.left_behind += 1;
                }
                Err(NoResult::Overrun)
            }
        }
    }

    fn submit(&self, job: Job) {
        let mut state = self.shared.lock();
        state.queue.push_back(job);
        if state.idle >= state.queue.len() {
            self.shared.work.notify_one();
        } else if state.running < self.shared.threads + state.left_behind.min(self.shared.threads) {
            state.running += 1;
            drop(state);
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new()
                .name("sieve".to_owned())
                .stack_size(STACK);
            if thread.spawn(move || shared.serve()).is_err() {
                // The job waits for another thread, or is given up.
                self.shared.lock().running -= 1;
            }
        }
    }
}

fn advance(stage: &AtomicU8, from: u8, to: u8) -> bool {
    stage
        .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, IDLE);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.running -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn results_and_panics_come_back() {
        let pool = Pool::new(2);
        assert_eq!(pool.run(LONG, || 7), Ok(7));
        let panicked = pool.run(LONG, || assert_eq!(1, 2, "on purpose"));
        assert_eq!(panicked, Err(NoResult::Panicked));
        assert_eq!(pool.run(LONG, || 8), Ok(8));
    }

    #[test]
    fn work_that_takes_too_long_is_left_behind_and_holds_up_nobody() {
        let pool = Pool::new(1);
        let (begun, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                pool.run(Duration::from_millis(1), move || {
                    begun.send(()).unwrap();
                    released.recv().unwrap();
                })
            });
            // Whether it had begun by then is up to the scheduler.
            let outcome = first.join().unwrap();
            if outcome == Err(NoResult::Overrun) {
                has_begun.recv().unwrap();
                // Its place is taken by another thread, once.
                assert_eq!(pool.run(LONG, || 8), Ok(8));
                release.send(()).unwrap();
            } else {
                assert_eq!(outcome, Err(NoResult::Busy));
            }
        });
        assert_eq!(pool.run(LONG, || 9), Ok(9));
    }
}
