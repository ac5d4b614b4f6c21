//! AUTH (RFC 4954).

use facteur_login::{Attempt, LoginError};
use facteur_runtime::Protocol;
use facteur_sasl::{Credentials, Exchange, Mechanism, SaslError, Step};
use facteur_smtp::{EnhancedStatus, Reply, command::Auth, server::Session};
use facteur_wire::Secret;

use crate::driver::Driver;

impl Driver {
    pub(crate) async fn on_auth(&mut self, session: &mut Session, auth: &Auth) {
        // The session has let only mechanisms through that were offered.
        let Ok(mechanism) = auth.mechanism.parse::<Mechanism>() else {
            let status = EnhancedStatus::new(5, 5, 4);
            return session.answer(Reply::new(504, status, "Mechanism is not offered"));
        };
        let initial = auth.initial_response.as_ref().map(Secret::expose);
        match Exchange::begin(mechanism, initial) {
            Ok((exchange, step)) => {
                self.exchange = Some(exchange);
                self.on_step(session, step).await;
            }
            Err(error) => session.answer(reply_for(error)),
        }
    }

    pub(crate) async fn on_auth_response(&mut self, session: &mut Session, line: &Secret) {
        let responded = match &mut self.exchange {
            Some(exchange) => exchange.respond(line.expose()),
            None => Err(SaslError::Malformed),
        };
        match responded {
            Ok(step) => self.on_step(session, step).await,
            Err(error) => {
                self.exchange = None;
                session.answer(reply_for(error));
            }
        }
    }

    async fn on_step(&mut self, session: &mut Session, step: Step) {
        match step {
            Step::Challenge(text) => session.challenge(&text),
            Step::Done(credentials) => {
                self.exchange = None;
                let reply = self.log_in(credentials).await;
                session.answer(reply);
            }
        }
    }

    async fn log_in(&mut self, credentials: Credentials) -> Reply {
        let service = match self.connection.listener.protocol {
            Protocol::Submission => "submission",
            Protocol::Lmtp => "lmtp",
            _ => "smtp",
        };
        let attempt = Attempt::new(credentials, self.connection.peer.ip(), service);
        match self.service.authenticator.login(attempt).await {
            Ok(account) => {
                self.client.account = Some(account);
                let status = EnhancedStatus::new(2, 7, 0);
                Reply::new(235, status, "Authentication successful")
            }
            Err(LoginError::Failed) => {
                let status = EnhancedStatus::new(5, 7, 8);
                Reply::new(535, status, "Authentication failed")
            }
            Err(LoginError::Unavailable) => {
                let status = EnhancedStatus::new(4, 7, 0);
                Reply::new(454, status, "Temporary authentication failure")
            }
        }
    }
}

fn reply_for(error: SaslError) -> Reply {
    match error {
        // RFC 4954 §4.
        SaslError::TooLong => {
            let status = EnhancedStatus::new(5, 5, 6);
            Reply::new(500, status, "Authentication exchange line is too long")
        }
        SaslError::Cancelled => {
            let status = EnhancedStatus::new(5, 7, 0);
            Reply::new(501, status, "Authentication cancelled")
        }
        SaslError::Base64 | SaslError::Malformed => {
            let status = EnhancedStatus::new(5, 5, 2);
            Reply::new(501, status, "Cannot decode response")
        }
    }
}
