//! One connection, from greeting to close.

use std::{io, sync::Arc, time::Duration, time::SystemTime};

use facteur_intake::{Client, Transaction};
use facteur_runtime::{Connection, Protocol};
use facteur_sasl::{Exchange, Mechanism};
use facteur_smtp::{
    EnhancedStatus, Reply,
    server::{Channel, Event, Session},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

use crate::{SmtpService, patience::Patience};

/// Room to read commands into: a connection that waits holds no more than this.
const COMMAND_ROOM: usize = 2 * 1024;
/// Room to read messages into.
const BODY_ROOM: usize = 32 * 1024;
/// Replies that pile up beyond this are written before the next command is looked at.
const OUTPUT_LIMIT: usize = 16 * 1024;
/// How long, and for how many octets, a client that we hang up on is listened to, so that our last
/// reply is not lost to a reset (RFC 9293 §3.10.7.1 sends one when unread data is dropped).
const LINGER: (Duration, usize) = (Duration::from_secs(2), 256 * 1024);

pub(crate) struct Driver {
    pub(crate) service: Arc<SmtpService>,
    pub(crate) connection: Connection,
    pub(crate) client: Client,
    pub(crate) exchange: Option<Exchange>,
    transaction: Option<Transaction>,
    patience: Patience,
}

/// What came of waiting for input.
enum Input {
    Some,
    End,
}

impl Driver {
    pub(crate) fn new(service: Arc<SmtpService>, connection: Connection) -> Self {
        let client = Client {
            peer: connection.peer,
            helo: String::new(),
            extended: false,
            tls: connection.tls.clone(),
            account: None,
            listener: Arc::clone(&connection.listener),
        };
        Self {
            patience: Patience::new(service.options.smtpd_timeout),
            service,
            connection,
            client,
            exchange: None,
            transaction: None,
        }
    }

    pub(crate) async fn run(mut self) -> io::Result<()> {
        let protocol = self.connection.listener.protocol;
        let options = self.service.session_options(protocol);
        let mut session = Session::new(options, self.channel());
        loop {
            while let Some(event) = session.next_event() {
                match event {
                    Event::StartTls => session = self.start_tls(session).await?,
                    Event::Close => return self.close(session).await,
                    event => self.on_event(&mut session, event).await,
                }
                if session.output().len() > OUTPUT_LIMIT {
                    self.flush(&mut session).await?;
                }
            }
            self.flush(&mut session).await?;
            if let Input::End = self.read(&mut session).await? {
                return Ok(());
            }
        }
    }

    /// What the connection allows as it stands.
    fn channel(&self) -> Channel {
        let listener = &self.connection.listener;
        let submission = listener.protocol == Protocol::Submission;
        let tls = self.connection.tls.is_some();
        let starttls = !tls && self.connection.can_start_tls();
        let auth = listener.auth.unwrap_or(submission);
        let mechanisms = if auth && self.connection.allows_passwords() {
            Mechanism::ALL.iter().map(|one| one.name()).collect()
        } else {
            Vec::new()
        };
        Channel {
            tls,
            starttls,
            tls_required: listener.require_tls.unwrap_or(false),
            mechanisms,
            auth_after_tls: auth && starttls,
            auth_required: listener.require_auth.unwrap_or(submission),
        }
    }

    async fn on_event(&mut self, session: &mut Session, event: Event) {
        match event {
            Event::Hello { name, extended } => {
                self.transaction = None;
                self.client.helo = name;
                self.client.extended = extended;
                session.accept_hello();
            }
            Event::Auth(auth) => self.on_auth(session, &auth).await,
            Event::AuthResponse(line) => self.on_auth_response(session, &line).await,
            Event::Mail(mail) => {
                let begun = self
                    .service
                    .intake
                    .begin(&self.client, &mail, SystemTime::now());
                session.answer(match begun {
                    Ok(transaction) => {
                        self.transaction = Some(transaction);
                        Reply::new(250, EnhancedStatus::new(2, 1, 0), "Ok")
                    }
                    Err(reply) => reply,
                });
            }
            Event::Rcpt(rcpt) => {
                let reply = match &mut self.transaction {
                    Some(transaction) => {
                        let intake = &self.service.intake;
                        intake.recipient(&self.client, transaction, &rcpt).await
                    }
                    None => lost(),
                };
                session.answer(reply);
            }
            Event::BodyStart { pipelined } => self.on_body_start(session, pipelined),
            Event::Body(piece) => self.on_body(session, piece).await,
            Event::EndOfMessage => self.on_end_of_message(session).await,
            Event::Reset => self.transaction = None,
            Event::Refused(reply) => {
                if let Some(transaction) = self.transaction.take() {
                    self.service
                        .intake
                        .refused(&self.client, &transaction, &reply);
                }
            }
            Event::StartTls | Event::Close => {}
        }
    }

    fn on_body_start(&mut self, session: &mut Session, pipelined: bool) {
        let Some(transaction) = &mut self.transaction else {
            return session.answer(lost());
        };
        match self
            .service
            .intake
            .body_start(&self.client, transaction, pipelined)
        {
            Ok(()) => session.accept_body(),
            Err(refusal) => {
                self.transaction = None;
                if refusal.close {
                    session.close_with(&refusal.reply);
                } else {
                    session.answer(refusal.reply);
                }
            }
        }
    }

    async fn on_body(&mut self, session: &mut Session, piece: bytes::Bytes) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        let intake = &self.service.intake;
        if let Err(reply) = intake.body(transaction, piece).await {
            intake.refused(&self.client, transaction, &reply);
            self.transaction = None;
            session.refuse_body(reply);
        }
    }

    async fn on_end_of_message(&mut self, session: &mut Session) {
        let Some(transaction) = self.transaction.take() else {
            return session.answer(lost());
        };
        let intake = &self.service.intake;
        let finished = intake
            .finish(&self.client, transaction, SystemTime::now())
            .await;
        if self.connection.listener.protocol == Protocol::Lmtp {
            session.answer_each(&finished.each);
        } else {
            session.answer(finished.reply);
        }
    }

    async fn start_tls(&mut self, mut session: Session) -> io::Result<Session> {
        self.flush(&mut session).await?;
        let handshake = self.connection.start_tls();
        timeout(self.service.options.smtpd_timeout, handshake)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        // RFC 3207 §4.2: what was learnt in clear is forgotten.
        self.client.tls = self.connection.tls.clone();
        self.client.account = None;
        self.client.helo.clear();
        self.exchange = None;
        self.transaction = None;
        Ok(session.after_tls(self.channel()))
    }

    /// Writes the replies of one group of commands at once.
    async fn flush(&mut self, session: &mut Session) -> io::Result<()> {
        if session.output().is_empty() {
            return Ok(());
        }
        let options = &self.service.options;
        if session.errors() > options.smtpd_soft_error_limit {
            tokio::time::sleep(options.smtpd_error_sleep_time).await;
        }
        let limit = options.smtpd_timeout;
        self.connection.send(session.output(), limit).await?;
        self.patience.restart();
        Ok(())
    }

    async fn read(&mut self, session: &mut Session) -> io::Result<Input> {
        let in_body = session.in_body();
        let in_transaction = session.in_transaction();
        if !in_body {
            session.input().release();
        }
        let room = if in_body { BODY_ROOM } else { COMMAND_ROOM };
        let buffer = session.input().spare(room);
        let drain = self.connection.drain.clone();
        let read = timeout_at(
            self.patience.deadline(),
            self.connection.stream.read_buf(buffer),
        );
        tokio::select! {
            biased;
            // A transaction that has begun may come to its end.
            () = drain.requested(), if !in_transaction => {
                let status = EnhancedStatus::new(4, 3, 2);
                session.close_with(&Reply::new(421, status, "Service is shutting down"));
                Ok(Input::Some)
            }
            read = read => match read {
                Ok(Ok(0)) => Ok(Input::End),
                Ok(Ok(octets)) => {
                    if in_body {
                        self.patience.earn(octets);
                    }
                    Ok(Input::Some)
                }
                Ok(Err(error)) => Err(error),
                Err(_) => {
                    tracing::info!(in_body, "client timed out");
                    let status = EnhancedStatus::new(4, 4, 2);
                    session.close_with(&Reply::new(421, status, "Timeout, closing connection"));
                    Ok(Input::Some)
                }
            },
        }
    }

    async fn close(mut self, mut session: Session) -> io::Result<()> {
        self.flush(&mut session).await?;
        let (time, most) = LINGER;
        let deadline = Instant::now() + time;
        if timeout_at(deadline, self.connection.stream.shutdown())
            .await
            .is_err()
            || session.has_quit()
        {
            return Ok(());
        }
        let mut dropped = 0;
        let mut waste = [0; 1024];
        while dropped < most {
            match timeout_at(deadline, self.connection.stream.read(&mut waste)).await {
                Ok(Ok(octets)) if octets > 0 => dropped += octets,
                _ => break,
            }
        }
        Ok(())
    }
}

/// The session and the driver disagree about the transaction: a bug, not the client's fault.
fn lost() -> Reply {
    tracing::error!("transaction is lost");
    Reply::new(
        451,
        EnhancedStatus::new(4, 3, 0),
        "Temporary failure, try again later",
    )
}
