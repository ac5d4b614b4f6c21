//! Drives SMTP, submission and LMTP connections: the socket, its timeouts, AUTH, and the way from
//! the session's events to `facteur-intake` and back.
//!
//! What the bytes mean is `facteur-smtp`'s; what may come in, `facteur-intake`'s.

mod auth;
mod driver;
mod options;
mod patience;
mod service;

pub use options::Options;
pub use service::SmtpService;
