//! STARTTLS (RFC 3501 §6.2.1).

use std::time::Duration;

use facteur_imap::Tag;
use tokio::time::timeout;
use tracing::info;

use crate::{
    outcome::{Closed, Outcome, Reply},
    session::Session,
};

/// How long a client may take over its handshake.
const HANDSHAKE: Duration = Duration::from_secs(60);

impl Session {
    /// Answers by itself: what comes after the reply is TLS already.
    pub(crate) async fn starttls(&mut self, tag: &Tag) -> Outcome {
        if !self.starttls_allowed() {
            return Err(Reply::bad("STARTTLS is not available now").into());
        }
        // Whatever came in clear behind the command could be an attacker's.
        self.decoder.reset();
        self.reply(tag, &Reply::ok("Begin TLS negotiation now"));
        self.flush().await?;
        match timeout(HANDSHAKE, self.connection.start_tls()).await {
            Ok(Ok(())) => Err(crate::outcome::Stop::Answered),
            Ok(Err(cause)) => {
                info!(%cause, "TLS handshake failed");
                Err(Closed::Gone(cause).into())
            }
            Err(_) => Err(Closed::Gone(std::io::ErrorKind::TimedOut.into()).into()),
        }
    }
}
