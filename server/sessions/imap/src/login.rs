//! LOGIN (RFC 3501 §6.2.3), and what every login ends in.

use facteur_login::{Attempt, LoginError};
use facteur_store::StoreError;
use facteur_wire::Secret;
use tracing::{debug, error, info};

use crate::{
    outcome::{Closed, Outcome, Reply},
    session::{Session, User},
};

/// So many failed logins end the connection.
const MAX_FAILED_LOGINS: u8 = 10;

impl Session {
    pub(crate) async fn login(&mut self, username: Vec<u8>, password: Secret) -> Outcome {
        self.may_log_in()?;
        let Ok(authentication_identity) = String::from_utf8(username) else {
            return Err(self.login_failed().into());
        };
        self.attempt(Attempt {
            authentication_identity,
            authorization_identity: String::new(),
            password,
            peer: self.connection.peer.ip(),
            service: "imap",
        })
        .await
    }

    pub(crate) fn may_log_in(&self) -> Result<(), Reply> {
        if self.user.is_some() {
            return Err(Reply::bad("Already logged in"));
        }
        if self.connection.listener.auth == Some(false) {
            return Err(Reply::no("[CANNOT] Logins are not taken here"));
        }
        if !self.password_allowed() {
            return Err(Reply::no("[PRIVACYREQUIRED] Use STARTTLS first"));
        }
        Ok(())
    }

    fn login_failed(&mut self) -> Reply {
        self.failed_logins += 1;
        Reply::no("[AUTHENTICATIONFAILED] Authentication failed")
    }

    /// Verifies, and opens the account.
    pub(crate) async fn attempt(&mut self, attempt: Attempt) -> Outcome {
        if self.failed_logins >= MAX_FAILED_LOGINS {
            return Err(Closed::Bye("Too many failed logins").into());
        }
        let record = match self.service.authenticator.login(attempt).await {
            Ok(record) => record,
            Err(LoginError::Failed) => return Err(self.login_failed().into()),
            Err(LoginError::Unavailable) => {
                return Err(Reply::no("[UNAVAILABLE] Try again later").into());
            }
        };
        let spec = facteur_account::spec(&record);
        let limit = self.service.options.mail_max_userip_connections;
        let peer = self.connection.peer.ip();
        let Some(slot) = self.service.slots.take(&spec.id, peer, limit) else {
            info!(user = %spec.id, "too many imap connections from one address");
            return Err(Reply::no(
                "[LIMIT] Maximum number of connections from user+IP exceeded \
                 (mail_max_userip_connections)",
            )
            .into());
        };
        let store = self.service.store.clone();
        let name = spec.id.to_string();
        let account = match self.blocking(move || store.account(&spec)).await {
            Ok(account) => account,
            Err(cause @ (StoreError::NoSpace | StoreError::Io(_))) => {
                error!(user = %name, %cause, "account cannot be opened");
                return Err(
                    Reply::no("[UNAVAILABLE] Mail cannot be opened now, try again later").into(),
                );
            }
            Err(cause) => return Err(cause.into()),
        };
        // That somebody logged in, the login itself has written.
        debug!(user = %name, tls = self.connection.tls.is_some(), "imap session opened");
        self.user = Some(Box::new(User {
            name,
            account,
            selected: None,
            condstore: false,
            _slot: slot,
        }));
        self.logged_in();
        let text = format!("[CAPABILITY {}] Logged in", self.capabilities());
        Ok(Reply::ok(text))
    }
}
