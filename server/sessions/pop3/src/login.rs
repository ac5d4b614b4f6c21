//! From a name and a password to a locked maildrop.

use facteur_login::{Attempt, LoginError};
use facteur_model::{AccountSpec, MailboxName, UidSet};
use facteur_pop3::{Maildrop, Message, ResponseCode};
use facteur_sasl::{Exchange, Mechanism, SaslError, Step};
use facteur_store::{Mailbox, Store, StoreError};
use facteur_wire::Secret;
use tracing::{debug, error, info};

use crate::{lock::Lock, session::Driver};

/// Who is logged in, and what became of the session so far.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) mailbox: Mailbox,
    /// UIDs whose `\Seen` flag QUIT sets.
    pub(crate) seen: UidSet,
    pub(crate) retrieved: u32,
    pub(crate) bytes: u64,
    pub(crate) deleted: u64,
    /// Keeps other sessions out, until QUIT has done its work.
    pub(crate) lock: Option<Lock>,
}

impl Driver {
    /// USER and PASS.
    pub(crate) async fn password_login(&mut self, user: String, password: Secret) {
        self.attempt(Attempt {
            authentication_identity: user,
            authorization_identity: String::new(),
            password,
            peer: self.connection.peer.ip(),
            service: "pop3",
        })
        .await;
    }

    /// AUTH (RFC 5034).
    pub(crate) async fn authenticate(&mut self, mechanism: &str, initial: Option<&[u8]>) {
        let Ok(mechanism) = mechanism.parse::<Mechanism>() else {
            self.session.refuse(None, "Unknown mechanism");
            return;
        };
        match Exchange::begin(mechanism, initial) {
            Ok((exchange, step)) => {
                self.exchange = Some(exchange);
                self.step(Ok(step)).await;
            }
            Err(error) => self.step(Err(error)).await,
        }
    }

    /// The client's answer to a challenge.
    pub(crate) async fn respond(&mut self, line: &[u8]) {
        let step = match &mut self.exchange {
            Some(exchange) => exchange.respond(line),
            None => Err(SaslError::Malformed),
        };
        self.step(step).await;
    }

    async fn step(&mut self, step: Result<Step, SaslError>) {
        match step {
            Ok(Step::Challenge(challenge)) => return self.session.challenge(&challenge),
            Ok(Step::Done(credentials)) => {
                let peer = self.connection.peer.ip();
                self.attempt(Attempt::new(credentials, peer, "pop3")).await;
            }
            Err(error) => self.session.refuse(None, &error.to_string()),
        }
        self.exchange = None;
    }

    async fn attempt(&mut self, attempt: Attempt) {
        let service = self.service.clone();
        let record = match service.authenticator.login(attempt).await {
            Ok(record) => record,
            Err(LoginError::Failed) => {
                let code = Some(ResponseCode::Auth);
                return self.session.refuse(code, "Authentication failed");
            }
            Err(LoginError::Unavailable) => return self.unavailable(),
        };
        let spec = facteur_account::spec(&record);
        let name = spec.id.to_string();
        let Some(lock) = service.locks.take(&spec.id) else {
            info!(user = %name, "pop3 maildrop is in use");
            let code = Some(ResponseCode::InUse);
            return self
                .session
                .refuse(code, "Another session has the maildrop");
        };
        let store = service.store.clone();
        match service.bridge.run(move || open(&store, &spec)).await {
            Ok((mailbox, maildrop)) => {
                let (messages, octets) = (maildrop.count(), maildrop.octets());
                let tls = self.connection.tls.is_some();
                debug!(user = %name, tls, messages, octets, "maildrop opened");
                self.session.logged_in(maildrop);
                self.user = Some(Box::new(User {
                    name,
                    mailbox,
                    seen: UidSet::new(),
                    retrieved: 0,
                    bytes: 0,
                    deleted: 0,
                    lock: Some(lock),
                }));
            }
            Err(cause) => {
                error!(user = %name, %cause, "maildrop could not be opened");
                self.unavailable();
            }
        }
    }

    fn unavailable(&mut self) {
        self.session
            .refuse(Some(ResponseCode::Temporary), "Try again later");
    }
}

/// Opens INBOX and takes down what is in it.
fn open(store: &Store, spec: &AccountSpec) -> Result<(Mailbox, Maildrop), StoreError> {
    let mailbox = store.account(spec)?.open(&MailboxName::inbox())?;
    let snapshot = mailbox.snapshot();
    let messages = snapshot.iter().map(|state| Message {
        uid: state.uid.value(),
        size: state.size,
    });
    let ids = mailbox.pop3_uidls().into_iter();
    let ids = ids.map(|(uid, id)| (uid.value(), id)).collect();
    let maildrop = Maildrop::new(mailbox.uid_validity().value(), messages.collect());
    let maildrop = maildrop.with_unique_ids(ids);
    Ok((mailbox, maildrop))
}
