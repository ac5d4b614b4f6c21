//! Trees that a real Dovecot wrote, opened by our store: nothing of them is lost.
//!
//! Needs `doveadm`; without it the tests note that they were skipped, and with `CI` set they fail.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is surprised"
)]

mod adoption;
mod compressed;
mod doveadm;
mod export;
mod maildir;
