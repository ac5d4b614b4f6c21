//! From async to synchronous.

/// Runs blocking work (the store, password hashing) on a bounded pool of threads. Clones share it.
#[derive(Debug, Clone)]
pub struct Bridge {}

impl Bridge {
    /// A pool of at most `threads`.
    pub fn new(_threads: usize) -> Self {
        Self {}
    }

    /// Runs `work` on the pool and waits for it. A panic in it is resumed here.
    pub async fn run<T: Send + 'static>(&self, _work: impl FnOnce() -> T + Send + 'static) -> T {
        todo!()
    }
}
