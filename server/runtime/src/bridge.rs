//! From async to synchronous.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{JoinHandle, Thread},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

/// How long a thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce() + Send>;

/// Runs blocking work (the store, password hashing) on a bounded pool of threads. Clones share it.
///
/// Work that finds every thread busy waits in the order it came. Threads start when they are needed
/// and end when they have been idle for a while.
#[derive(Debug, Clone)]
pub struct Bridge {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    threads: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    running: usize,
    /// Threads that wait for work. The last to come is the first to go: what it used last is still
    /// in the processor's caches, and the others come to their end when there is little to do.
    idle: Vec<Thread>,
    closed: bool,
    handles: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.name)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Bridge {
    /// A pool of at most `threads`.
    pub fn new(threads: usize) -> Self {
        Self::named("storage", threads)
    }

    /// A pool of at most `threads` that carry `name`.
    pub fn named(name: &'static str, threads: usize) -> Self {
        Self {
            pool: Arc::new(Pool {
                shared: Arc::new(Shared {
                    name,
                    threads: threads.max(1),
                    state: Mutex::default(),
                }),
            }),
        }
    }

    /// Runs `work` on the pool and waits for it. A panic in it is resumed here.
    ///
    /// Dropping the future does not undo work: what was queued runs to its end.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (send, receive) = oneshot::channel();
        let span = tracing::Span::current();
        self.pool.shared.push(Box::new(move || {
            let _entered = span.enter();
            // Nobody listens when the session is gone: the outcome is of no interest then.
            let _ = send.send(catch_unwind(AssertUnwindSafe(work)));
        }));
        match receive.await {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => resume_unwind(panic),
            // The pool answers every job, and it lives as long as `self`.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until everything that was given to the pool so far is done. Blocks: for the end of the
    /// process.
    pub fn close(&self) {
        self.pool.close();
    }
}

impl Pool {
    fn close(&self) {
        let handles = {
            let mut state = self.shared.lock();
            state.close();
            std::mem::take(&mut state.handles)
        };
        let own = std::thread::current().id();
        for handle in handles {
            // The last clone may be dropped by a job.
            if handle.thread().id() != own {
                let _ = handle.join();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Not joined: the last clone may go on a network thread, which must not block.
        self.shared.lock().close();
    }
}

impl State {
    fn close(&mut self) {
        self.closed = true;
        self.idle.drain(..).for_each(|thread| thread.unpark());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock, so a poisoned state is a sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        // Who is no longer among the idle looks at the jobs before it waits again.
        if let Some(thread) = state.idle.pop() {
            drop(state);
            thread.unpark();
            return;
        }
        if state.running < self.threads {
            let shared = Arc::clone(self);
            let spawned = std::thread::Builder::new()
                .name(self.name.to_owned())
                .spawn(move || shared.serve());
            match spawned {
                Ok(handle) => {
                    state.running += 1;
                    state.handles.retain(|handle| !handle.is_finished());
                    state.handles.push(handle);
                }
                // The threads there are will come to it; without any, the next push tries again.
                Err(error) => tracing::error!(%error, "cannot start a worker thread"),
            }
        }
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            let taken;
            (state, taken) = self.wait(state);
            if !taken && state.jobs.is_empty() {
                break;
            }
        }
        state.running -= 1;
    }

    /// Waits among the idle until it is taken from them; `false` when it was not for a long while.
    fn wait<'s>(&'s self, mut state: MutexGuard<'s, State>) -> (MutexGuard<'s, State>, bool) {
        let own = std::thread::current();
        let until = Instant::now() + IDLE;
        state.idle.push(own.clone());
        loop {
            drop(state);
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
            state = self.lock();
            let found = state.idle.iter().position(|idle| idle.id() == own.id());
            let Some(at) = found else {
                return (state, true);
            };
            if Instant::now() >= until {
                state.idle.remove(at);
                return (state, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn run_returns_what_the_work_returns() {
        let bridge = Bridge::new(2);
        assert_eq!(bridge.run(|| 6 * 7).await, 42);
    }

    #[tokio::test]
    async fn panic_in_work_reaches_its_caller_only() {
        let bridge = Bridge::new(1);
        let other = bridge.clone();
        let failed = tokio::spawn(async move { other.run(|| panic!("broken")).await }).await;
        assert!(failed.unwrap_err().is_panic());
        assert_eq!(bridge.run(|| 1).await, 1);
    }

    #[tokio::test]
    async fn work_beyond_the_threads_waits_for_its_turn() {
        let bridge = Bridge::new(3);
        let now = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let all: Vec<_> = (0..50)
            .map(|_| {
                let (bridge, now, most) = (bridge.clone(), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    bridge
                        .run(move || {
                            let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(running, Ordering::SeqCst);
                            std::thread::yield_now();
                            now.fetch_sub(1, Ordering::SeqCst);
                        })
                        .await;
                })
            })
            .collect();
        for one in all {
            one.await.unwrap();
        }
        assert!(most.load(Ordering::SeqCst) <= 3);
    }

    #[tokio::test]
    async fn work_runs_in_parallel_up_to_the_threads() {
        let bridge = Bridge::new(2);
        let barrier = Arc::new(Barrier::new(2));
        let (one, two) = (Arc::clone(&barrier), barrier);
        // Each waits for the other: on a single thread this would never end.
        let both = futures_util::future::join(
            bridge.run(move || one.wait().is_leader()),
            bridge.run(move || two.wait().is_leader()),
        );
        let (a, b) = both.await;
        assert_ne!(a, b);
    }

    #[tokio::test]
    async fn close_waits_for_queued_work() {
        let bridge = Bridge::new(1);
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let done = Arc::clone(&done);
            let run = bridge.run(move || {
                done.fetch_add(1, Ordering::SeqCst);
            });
            // Polled once and dropped: queued, and nobody waits for it.
            let mut run = Box::pin(run);
            let _ = futures_util::poll!(run.as_mut());
        }
        bridge.close();
        assert_eq!(done.load(Ordering::SeqCst), 10);
    }
}
