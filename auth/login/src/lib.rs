//! Who may log in: directory and password together, remembered, throttled.
//!
//! The exchange on the wire is `facteur-sasl`'s and the protocols'.

use std::{net::IpAddr, sync::Arc};

use facteur_address::Address;
use facteur_directory::{AccountRecord, Directory};
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

/// Verifies logins.
#[derive(Clone)]
pub struct Authenticator {
    _inner: Arc<()>,
}

impl Authenticator {
    /// Verifies against `directory`.
    pub fn new(_directory: Arc<dyn Directory>) -> Self {
        todo!()
    }

    /// Verifies one. Failures take their time here (throttling): the caller just waits.
    pub async fn login(&self, _attempt: Attempt) -> Result<Arc<AccountRecord>, LoginError> {
        todo!()
    }

    /// Whether `account` may act for `address`: its own, and aliases that lead to it.
    pub async fn owns(&self, _account: &Address, _address: &Address) -> Result<bool, LoginError> {
        todo!()
    }
}
