//! One connection: moves bytes between the socket and the protocol's session, and answers its
//! events.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use facteur_pop3::{Event, Next, Session, Setting};
use facteur_runtime::{Connection, Received};
use facteur_sasl::Exchange;
use facteur_wire::Secret;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::{login::User, service::Pop3Service};

/// Room for what is read at a time: commands are short, and an idle connection holds this much.
const READ: usize = 512;

/// How long the end of a connection may take.
const CLOSE: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// By QUIT, or by a close of ours that the session has told the client.
    Said,
    /// The client was just gone.
    Gone,
    TimedOut,
    Draining,
}

impl End {
    fn reason(self) -> &'static str {
        match self {
            Self::Said => "logged out",
            Self::Gone => "connection closed",
            Self::TimedOut => "timed out",
            Self::Draining => "server stopping",
        }
    }
}

pub(crate) struct Driver {
    /// Who is logged in. Comes before the connection: the maildrop is free when the client sees the
    /// end.
    pub(crate) user: Option<Box<User>>,
    pub(crate) service: Arc<Pop3Service>,
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// A SASL exchange under way.
    pub(crate) exchange: Option<Exchange>,
    login_deadline: Instant,
}

impl Driver {
    pub(crate) fn new(service: Arc<Pop3Service>, connection: Connection) -> Self {
        let session = Session::new(setting(&connection), &service.options.greeting);
        Self {
            login_deadline: Instant::now() + service.options.login_timeout,
            service,
            connection,
            session,
            exchange: None,
            user: None,
        }
    }

    pub(crate) async fn run(mut self) {
        let reason = match self.converse().await {
            Ok(end) => {
                if let Some(user) = &mut self.user {
                    user.lock = None;
                }
                self.connection.close(CLOSE).await;
                end.reason().to_owned()
            }
            Err(error) => error.to_string(),
        };
        match &self.user {
            Some(user) => info!(
                user = %user.name,
                retrieved = user.retrieved,
                bytes = user.bytes,
                deleted = user.deleted,
                reason,
                "pop3 logout"
            ),
            None => debug!(reason, "pop3 connection ended without a login"),
        }
    }

    async fn converse(&mut self) -> io::Result<End> {
        loop {
            match self.session.advance() {
                Next::Flush => self.flush().await?,
                Next::Input => {
                    self.flush().await?;
                    match self.receive().await? {
                        Received::Bytes => {}
                        Received::Closed => return Ok(End::Gone),
                        // Without a word (RFC 1939 §3): nobody waits for one.
                        Received::TimedOut => return Ok(End::TimedOut),
                        Received::Draining => return self.goodbye().await,
                    }
                }
                Next::Close => {
                    self.flush().await?;
                    return Ok(End::Said);
                }
                Next::Event(event) => self.answer(event).await?,
            }
        }
    }

    async fn answer(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::StartTls => self.start_tls().await?,
            Event::Login { user, password } => self.password_login(user, password).await,
            Event::Authenticate {
                mechanism,
                initial_response,
            } => {
                self.authenticate(&mechanism, initial_response.as_ref().map(Secret::expose))
                    .await;
            }
            Event::Respond(line) => self.respond(line.expose()).await,
            Event::Retrieve { message, lines } => self.retrieve(message, lines).await?,
            Event::Update { delete } => self.update(delete).await,
        }
        Ok(())
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.connection.start_tls().await?;
        self.session.tls_started(setting(&self.connection));
        Ok(())
    }

    /// Sends what the session has to say, and gives its memory back.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let limit = self.service.options.write_timeout;
        let mut output = std::mem::take(self.session.output());
        self.connection.send(&mut output, limit).await
    }

    async fn receive(&mut self) -> io::Result<Received> {
        let limit = if self.session.is_authenticated() {
            self.service.options.autologout
        } else {
            self.login_deadline - Instant::now()
        };
        self.session.input().release();
        let buffer: &mut BytesMut = self.session.input().spare(READ);
        self.connection.receive(buffer, limit).await
    }

    /// Tells the client that we stop. Nothing is deleted: that takes QUIT (RFC 1939 §3).
    async fn goodbye(&mut self) -> io::Result<End> {
        self.session.close("Server is stopping");
        self.flush().await?;
        Ok(End::Draining)
    }
}

/// What may be offered on this connection as it is now.
fn setting(connection: &Connection) -> Setting {
    Setting {
        start_tls: connection.can_start_tls(),
        passwords: connection.allows_passwords(),
        mechanisms: &["PLAIN", "LOGIN"],
    }
}
