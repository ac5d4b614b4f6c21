//! AUTHENTICATE (RFC 5804 §2.1).

use facteur_login::{Attempt, LoginError};
use facteur_managesieve::Code;
use facteur_sasl::{Credentials, Exchange, Mechanism, SaslError, Step};
use tracing::error;

use crate::session::{Driver, User};

impl Driver {
    pub(crate) async fn authenticate(&mut self, mechanism: &str, initial: Option<&[u8]>) {
        let Ok(mechanism) = mechanism.parse::<Mechanism>() else {
            return self.session.no(None, "Unknown mechanism");
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
    pub(crate) async fn respond(&mut self, response: &[u8]) {
        let step = match &mut self.exchange {
            Some(exchange) => exchange.respond(response),
            None => Err(SaslError::Malformed),
        };
        self.step(step).await;
    }

    async fn step(&mut self, step: Result<Step, SaslError>) {
        match step {
            Ok(Step::Challenge(challenge)) => return self.session.challenge(&challenge),
            Ok(Step::Done(credentials)) => self.log_in(credentials).await,
            Err(error) => self.session.no(None, &error.to_string()),
        }
        self.exchange = None;
    }

    async fn log_in(&mut self, credentials: Credentials) {
        let attempt = Attempt::new(credentials, self.connection.peer.ip(), "sieve");
        let record = match self.service.authenticator.login(attempt).await {
            Ok(record) => record,
            Err(LoginError::Failed) => return self.session.no(None, "Authentication failed"),
            Err(LoginError::Unavailable) => {
                return self.session.no(Some(Code::TryLater), "Try again later");
            }
        };
        let spec = facteur_account::spec(&record);
        let name = spec.id.to_string();
        let store = self.service.store.clone();
        let opened = self.service.bridge.run(move || store.account(&spec)).await;
        match opened {
            Ok(account) => {
                self.session.authenticated(&name);
                self.user = Some(User { name, account });
            }
            Err(cause) => {
                error!(user = %name, %cause, "account could not be opened");
                self.session.no(Some(Code::TryLater), "Try again later");
            }
        }
    }
}
