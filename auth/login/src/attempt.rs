//! One try to log in.

use std::net::IpAddr;

use facteur_sasl::Credentials;
use facteur_wire::Secret;

/// One try to log in.
#[derive(Debug)]
pub struct Attempt {
    /// Whose password it is (RFC 4422 §2).
    pub authentication_identity: String,
    /// Who the client wants to act as; empty or equal in nearly every case.
    pub authorization_identity: String,
    /// The password.
    pub password: Secret,
    /// Where the client is; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// For the log: `imap`, `submission`, …
    pub service: &'static str,
}

impl Attempt {
    /// What a SASL exchange yielded.
    pub fn new(credentials: Credentials, peer: Option<IpAddr>, service: &'static str) -> Self {
        Self {
            authentication_identity: credentials.authentication_identity,
            authorization_identity: credentials.authorization_identity,
            password: credentials.password,
            peer,
            service,
        }
    }
}

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Unknown user, wrong password, not allowed: the client is not told which.
    #[error("authentication failed")]
    Failed,
    /// The directory does not answer: IMAP `[UNAVAILABLE]`, SMTP `454 4.7.0`.
    #[error("authentication is unavailable")]
    Unavailable,
}
