//! Deliveries into a real store.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod filing;
mod house;
mod misbehaving;
mod outcomes;
mod sending;
