//! AUTHENTICATE (RFC 3501 §6.2.2, RFC 4959).

use std::str::FromStr as _;

use facteur_imap::Line;
use facteur_login::Attempt;
use facteur_sasl::{Exchange, MAX_RESPONSE_LEN, Mechanism, SaslError, Step};
use facteur_wire::Secret;

use crate::{
    outcome::{Closed, Outcome, Reply, Stop},
    session::Session,
};

impl Session {
    pub(crate) async fn authenticate(
        &mut self,
        mechanism: &str,
        initial_response: Option<Secret>,
    ) -> Outcome {
        self.may_log_in()?;
        let Ok(mechanism) = Mechanism::from_str(mechanism) else {
            return Err(Reply::no("[CANNOT] Mechanism is not supported").into());
        };
        let initial = initial_response.as_ref().map(Secret::expose);
        let (mut exchange, mut step) = Exchange::begin(mechanism, initial).map_err(refused)?;
        loop {
            match step {
                Step::Done(credentials) => {
                    let peer = self.connection.peer.ip();
                    return self.attempt(Attempt::new(credentials, peer, "imap")).await;
                }
                Step::Challenge(text) => {
                    let line = format!("+ {text}\r\n");
                    self.out.extend_from_slice(line.as_bytes());
                    let response = self.next_line(MAX_RESPONSE_LEN).await?;
                    step = exchange.respond(response.expose()).map_err(refused)?;
                }
            }
        }
    }

    /// A line that is no command.
    async fn next_line(&mut self, limit: usize) -> Result<Secret, Closed> {
        loop {
            match self.decoder.poll_line(limit) {
                Line::Whole(line) => return Ok(line),
                Line::TooLong => return Err(Closed::Bye("Line is too long")),
                Line::NeedMore => self.wait().await?,
            }
        }
    }
}

fn refused(error: SaslError) -> Stop {
    Reply::bad(error.to_string()).into()
}
