//! The service that listeners hand their connections to.

use std::{future::Future, io, pin::Pin, sync::Arc};

use facteur_intake::Intake;
use facteur_login::Authenticator;
use facteur_runtime::{Connection, Protocol, Service};
use facteur_smtp::server;

use crate::{Options, driver::Driver};

/// Serves SMTP, submission and LMTP; which, the connection's listener says.
pub struct SmtpService {
    pub(crate) options: Options,
    pub(crate) intake: Intake,
    pub(crate) authenticator: Authenticator,
    smtp: Arc<server::Options>,
    submission: Arc<server::Options>,
    lmtp: Arc<server::Options>,
}

impl SmtpService {
    /// With `options`; messages go to `intake`, logins to `authenticator`.
    pub fn new(options: Options, intake: Intake, authenticator: Authenticator) -> Arc<Self> {
        Arc::new(Self {
            smtp: Arc::new(options.session(Protocol::Smtp)),
            submission: Arc::new(options.session(Protocol::Submission)),
            lmtp: Arc::new(options.session(Protocol::Lmtp)),
            options,
            intake,
            authenticator,
        })
    }

    pub(crate) fn session_options(&self, protocol: Protocol) -> Arc<server::Options> {
        Arc::clone(match protocol {
            Protocol::Lmtp => &self.lmtp,
            Protocol::Submission => &self.submission,
            _ => &self.smtp,
        })
    }
}

impl Service for SmtpService {
    fn serve(
        self: Arc<Self>,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(async move {
            tracing::debug!("connected");
            let outcome = Driver::new(self, connection).run().await;
            match outcome {
                Ok(()) => tracing::debug!("disconnected"),
                Err(error) if is_peers_doing(&error) => tracing::debug!(%error, "connection lost"),
                Err(error) => tracing::warn!(%error, "connection failed"),
            }
        })
    }
}

/// Most ends without QUIT are somebody's network, not an operator's concern.
fn is_peers_doing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::InvalidData
            | io::ErrorKind::NotConnected
    )
}
