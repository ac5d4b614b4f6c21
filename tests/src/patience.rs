//! Waiting for what others do.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::PATIENCE;

/// Waits until `probe` gives something: for what nobody tells us of.
///
/// # Panics
/// When it does not come; `what` is for the panic.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
