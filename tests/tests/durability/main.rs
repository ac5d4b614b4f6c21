//! 250 means safe: what was acknowledged survives a kill, and nothing is acknowledged before the
//! syncs that it needs have returned.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

mod crash;
mod forgetful;
mod kill;
mod order;
mod trace;
