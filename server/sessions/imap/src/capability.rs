//! CAPABILITY (RFC 3501 §6.1.1).

use facteur_sasl::Mechanism;

use crate::{
    outcome::{Outcome, Reply},
    session::Session,
};

/// What works before login, and after.
const ALWAYS: &str = "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE";
/// What works after login besides.
const LOGGED_IN: &str = "NAMESPACE CHILDREN SPECIAL-USE UIDPLUS UNSELECT MOVE CONDSTORE QUOTA \
                         QUOTA=RES-STORAGE QUOTA=RES-MESSAGE STATUS=SIZE WITHIN";

impl Session {
    /// Whether a password may cross as things stand.
    pub(crate) fn password_allowed(&self) -> bool {
        let listener = &self.connection.listener;
        listener.auth != Some(false)
            && (self.connection.tls.is_some()
                || (listener.plaintext_auth_on_loopback && self.connection.peer.is_loopback()))
    }

    /// Whether STARTTLS can come.
    pub(crate) fn starttls_allowed(&self) -> bool {
        self.user.is_none() && self.connection.tls.is_none() && self.connection.can_start_tls()
    }

    /// What we can do now: it changes with STARTTLS and login.
    pub(crate) fn capabilities(&self) -> String {
        let mut text = ALWAYS.to_owned();
        if self.user.is_some() {
            let limit = self.service.options.message_size_limit;
            text.push_str(&format!(" {LOGGED_IN}"));
            if limit != 0 {
                text.push_str(&format!(" APPENDLIMIT={limit}"));
            }
            return text;
        }
        if self.starttls_allowed() {
            text.push_str(" STARTTLS");
        }
        if self.password_allowed() {
            for mechanism in Mechanism::ALL {
                text.push_str(" AUTH=");
                text.push_str(mechanism.name());
            }
        } else {
            text.push_str(" LOGINDISABLED");
        }
        text
    }

    pub(crate) fn capability(&mut self) -> Outcome {
        let line = format!("* CAPABILITY {}\r\n", self.capabilities());
        self.out.extend_from_slice(line.as_bytes());
        Ok(Reply::ok("CAPABILITY completed"))
    }
}
