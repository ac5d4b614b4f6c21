//! One connection to another server: drives `facteur-smtp`'s client over a socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use facteur_smtp::client::{self, Client, Dialect, Event, Message};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tracing::debug;

use crate::{Options, TlsPolicy, outcome::Outcome, resolve::Candidate, tls::server_name};

/// Read at a time; replies are short.
const READ: usize = 4096;
/// Written at most at a time.
const WRITE: usize = 64 * 1024;

/// A body that is handed over piece by piece.
pub(crate) trait BodySource: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

/// A session that is ready for a message.
#[derive(Debug)]
pub(crate) struct Session {
    stream: Stream,
    client: Client,
    /// `host[address]:port`, for the log and `Remote-MTA`.
    relay: String,
    used: bool,
    since: Instant,
}

/// Why no session came about.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// This server cannot take mail now: another may.
    Unusable(Outcome),
    /// The TLS handshake failed: in clear it may do.
    Tls(String),
    /// It is ourselves.
    Loop(Outcome),
}

/// What sending a message came to.
#[derive(Debug)]
pub(crate) struct Sent {
    /// For each recipient.
    pub(crate) outcomes: Vec<Outcome>,
    /// What may be done at once for those who were delayed.
    pub(crate) after: After,
}

/// What may be done at once for those whom a session delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The session had been used before, and the peer ended it ahead of the message: another one
    /// with the same server may do.
    Reconnect,
    /// Another server may do.
    NextHost,
    /// Nothing: the peer may have taken the message without our hearing of it.
    Nothing,
}

/// In clear or through TLS.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Session {
    /// Connects, greets, and begins TLS where the peer offers it and `tls` is given.
    pub(crate) async fn open(
        candidate: &Candidate,
        dialect: Dialect,
        options: &Options,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, OpenError> {
        let relay = format!(
            "{}[{}]:{}",
            candidate.host,
            candidate.address.ip(),
            candidate.address.port()
        );
        let failed = |error: &io::Error| {
            OpenError::Unusable(Outcome::delayed(
                "4.4.1",
                format!("connect to {relay}: {error}"),
            ))
        };
        let stream = connect(candidate.address, options)
            .await
            .map_err(|error| failed(&error))?;
        let mut session = Self {
            stream: Stream::Tcp(stream),
            client: Client::new(dialect, options.hostname.as_str()),
            relay,
            used: false,
            since: Instant::now(),
        };
        session.until_ready().await?;
        if dialect == Dialect::Smtp
            && session
                .client
                .greeting()
                .eq_ignore_ascii_case(options.hostname.as_str())
        {
            let text = format!("{} greets with our own name: mail loops", session.relay);
            return Err(OpenError::Loop(Outcome::failed("5.4.6", text)));
        }
        if let Some(config) = tls.filter(|_| options.tls != TlsPolicy::None)
            && session.client.capabilities().start_tls
        {
            session = session.start_tls(config, candidate).await?;
        }
        if options.tls == TlsPolicy::Encrypt && !session.is_encrypted() {
            let text = format!(
                "{} does not offer TLS, which is required here",
                session.relay
            );
            return Err(OpenError::Unusable(Outcome::delayed("4.7.4", text)));
        }
        debug!(relay = %session.relay, tls = session.is_encrypted(), "connected");
        Ok(session)
    }

    /// Whether another message can be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.client.is_idle()
    }

    /// Whether it has lasted long enough: a better server may be back, or the DNS may say
    /// something else (Postfix's smtp_connection_reuse_time_limit).
    pub(crate) fn is_old(&self) -> bool {
        const LONGEST: Duration = Duration::from_secs(300);
        self.since.elapsed() >= LONGEST
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    async fn until_ready(&mut self) -> Result<(), OpenError> {
        match self.step().await {
            Ok(Event::Ready) => Ok(()),
            Ok(Event::Refused(reply)) => {
                // Another host of the domain may not refuse: not final, whatever the code.
                let text = format!("{} refused to talk to us: {reply}", self.relay);
                Err(OpenError::Unusable(Outcome::delayed("4.3.2", text)))
            }
            Ok(_) => Err(self.broken("closed the connection")),
            Err(error) => Err(self.broken(&error.to_string())),
        }
    }

    fn broken(&self, what: &str) -> OpenError {
        let text = format!("{}: {what} while greeting", self.relay);
        OpenError::Unusable(Outcome::delayed("4.4.2", text))
    }

    async fn start_tls(
        mut self,
        config: &Arc<ClientConfig>,
        candidate: &Candidate,
    ) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::Tls(error.to_string());
        self.client.start_tls();
        match self.step().await.map_err(failed)? {
            Event::TlsGoAhead => {}
            Event::TlsRefused(reply) => {
                debug!(relay = %self.relay, %reply, "STARTTLS refused; going on in clear");
                return Ok(self);
            }
            _ => return Err(OpenError::Tls("peer closed the connection".to_owned())),
        }
        let Stream::Tcp(tcp) = self.stream else {
            return Ok(self);
        };
        let name = server_name(&candidate.host, candidate.address.ip());
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, tcp);
        let stream = timeout(self.client.patience(), handshake).await;
        let stream = stream
            .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
            .map_err(failed)?;
        self.stream = Stream::Tls(Box::new(stream));
        self.client.tls_started();
        match self.step().await.map_err(failed)? {
            Event::Ready => Ok(self),
            _ => Err(OpenError::Tls(
                "peer refused EHLO after STARTTLS".to_owned(),
            )),
        }
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, message: Message, body: &mut impl BodySource) -> Sent {
        let reused = std::mem::replace(&mut self.used, true);
        let recipients = message.forward_paths.len();
        self.client.send(message);
        let (mut wanted, mut ended) = (false, false);
        let why = loop {
            match self.step().await {
                Ok(Event::BodyWanted) => {
                    wanted = true;
                    if let Err(error) = self.send_body(body).await {
                        // The peer may have said why before it hung up.
                        if let Ok(Event::Finished(outcomes)) = self.step().await {
                            return self.sent(&outcomes, After::NextHost);
                        }
                        break error.to_string();
                    }
                    ended = true;
                }
                Ok(Event::Finished(outcomes)) => {
                    // It may be about to hang up ("too many messages").
                    let anew = reused && !wanted && !self.client.is_idle();
                    return self.sent(
                        &outcomes,
                        if anew {
                            After::Reconnect
                        } else {
                            After::NextHost
                        },
                    );
                }
                Ok(_) => break "peer closed the connection".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        let after = if ended {
            After::Nothing
        } else if reused && !wanted {
            After::Reconnect
        } else {
            After::NextHost
        };
        match self.client.lost(&why) {
            Some(outcomes) => self.sent(&outcomes, after),
            None => Sent {
                outcomes: vec![Outcome::delayed("4.4.2", why); recipients],
                after,
            },
        }
    }

    fn sent(&self, outcomes: &[client::Outcome], after: After) -> Sent {
        Sent {
            outcomes: self.outcomes(outcomes),
            after,
        }
    }

    fn outcomes(&self, outcomes: &[client::Outcome]) -> Vec<Outcome> {
        outcomes
            .iter()
            .map(|outcome| Outcome::from_client(outcome, &self.relay))
            .collect()
    }

    async fn send_body(&mut self, body: &mut impl BodySource) -> io::Result<()> {
        while let Some(piece) = body.next().await? {
            self.client.body(&piece);
            if self.client.output().len() >= WRITE {
                self.flush().await?;
            }
        }
        self.client.end_body();
        Ok(())
    }

    /// Waits for the peer to hang up (or to say something unasked for).
    pub(crate) async fn closed(&mut self) {
        let _ = self.stream.read_buf(self.client.input().spare(READ)).await;
    }

    /// Says goodbye, without waiting long for the answer.
    pub(crate) async fn quit(mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        self.client.quit();
        let _ = timeout(PATIENCE, async {
            if self.flush().await.is_ok() {
                let _ = self.step().await;
            }
            let _ = self.stream.shutdown().await;
        })
        .await;
    }

    /// Writes what is to be written and reads until something happens.
    async fn step(&mut self) -> io::Result<Event> {
        loop {
            let event = self.client.next_event().map_err(io::Error::other)?;
            if let Some(event) = event {
                return Ok(event);
            }
            self.flush().await?;
            let patience = self.client.patience();
            let read = self.stream.read_buf(self.client.input().spare(READ));
            match timeout(patience, read).await {
                Ok(Ok(0)) => return Err(io::Error::other("peer closed the connection")),
                Ok(result) => result?,
                Err(_) => return Err(io::Error::other("timed out")),
            };
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let patience = self.client.patience();
        let output = self.client.output();
        if output.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all_buf(output).await?;
            self.stream.flush().await
        };
        timeout(patience, write)
            .await
            .map_err(|_| io::Error::other("timed out"))?
    }
}

async fn connect(address: SocketAddr, options: &Options) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let family = |bind: &&IpAddr| bind.is_ipv4() == address.is_ipv4();
    if let Some(bind) = options.bind_addresses.iter().find(family) {
        socket.bind(SocketAddr::new(*bind, 0))?;
    }
    let stream = timeout(options.connect_timeout, socket.connect(address)).await;
    let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(cx, bytes))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(cx))
    }
}
