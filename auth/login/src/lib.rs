//! Who may log in: directory and password together, remembered, throttled.
//!
//! The exchange on the wire is `facteur-sasl`'s and the protocols'; how a password is stored is
//! `facteur-password`'s.

mod attempt;
mod authenticator;
mod hashing;
mod options;
mod ownership;
mod remembered;
mod throttle;

pub use attempt::{Attempt, LoginError};
pub use authenticator::Authenticator;
pub use options::Options;
