//! One accepted connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{ListenerSpec, Tls, TlsMode};

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A network address (the PROXY header's where there is one).
    Inet(SocketAddr),
    /// A Unix socket.
    Unix,
}

impl Peer {
    /// Its IP address.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet(address) => Some(address.ip().to_canonical()),
            Self::Unix => None,
        }
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.ip().is_none_or(|ip| ip.is_loopback())
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inet(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What TLS agreed on; for Received and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// Such as `TLSv1.3`.
    pub version: &'static str,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The name the client asked for (SNI).
    pub server_name: Option<String>,
}

/// Bytes to and from the peer, in clear or through TLS.
#[derive(Debug)]
pub enum Stream {
    /// TCP in clear.
    Tcp(tokio::net::TcpStream),
    /// A Unix socket.
    Unix(tokio::net::UnixStream),
    /// TLS over TCP.
    Tls(Box<tokio_rustls::server::TlsStream<tokio::net::TcpStream>>),
    /// Nothing any more: a TLS handshake failed. Reads end at once, writes fail.
    Closed,
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr, closed => $closed:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
            Stream::Closed => Poll::Ready($closed),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(cx, buf), closed => Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(cx, bytes), closed => Err(io::ErrorKind::NotConnected.into()))
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write_vectored(cx, bytes), closed => Err(io::ErrorKind::NotConnected.into()))
    }
    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(s) => s.is_write_vectored(),
            Self::Unix(s) => s.is_write_vectored(),
            Self::Tls(s) => s.is_write_vectored(),
            Self::Closed => false,
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(cx), closed => Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(cx), closed => Ok(()))
    }
}

/// Tells a session that the server is stopping: it finishes its transaction and says goodbye.
#[derive(Debug, Clone)]
pub struct Drain {
    token: tokio_util::sync::CancellationToken,
}

impl Drain {
    /// One that `token` triggers.
    pub fn new(token: tokio_util::sync::CancellationToken) -> Self {
        Self { token }
    }
    /// Whether the server is stopping.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }
    /// Waits until it is.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }
}

/// One accepted connection, TLS already up on an implicit-TLS listener.
#[derive(Debug)]
pub struct Connection {
    /// Unique in this process; in every log line (`connection{id}`).
    pub id: u64,
    /// The bytes.
    pub stream: Stream,
    /// The other end.
    pub peer: Peer,
    /// Our end (the PROXY header's where there is one).
    pub local: Option<SocketAddr>,
    /// What TLS agreed on, once it is up.
    pub tls: Option<TlsInfo>,
    /// The listener it came in by.
    pub listener: Arc<ListenerSpec>,
    /// Whether the server is stopping.
    pub drain: Drain,
    /// What STARTTLS needs.
    pub(crate) starttls: Option<Tls>,
}

impl Connection {
    /// One that came in by no listener of this process, for tests and programs that bring their own
    /// socket. It counts against no limit; `starttls` is what STARTTLS would use.
    pub fn new(
        id: u64,
        stream: Stream,
        peer: Peer,
        listener: Arc<ListenerSpec>,
        drain: Drain,
        starttls: Option<Tls>,
    ) -> Self {
        Self {
            id,
            stream,
            peer,
            local: None,
            tls: None,
            listener,
            drain,
            starttls,
        }
    }

    /// Whether STARTTLS can be offered.
    pub fn can_start_tls(&self) -> bool {
        self.listener.tls == TlsMode::StartTls
            && self.starttls.is_some()
            && matches!(self.stream, Stream::Tcp(_))
    }

    /// Whether passwords may cross the connection as it is: under TLS, or from a loopback peer where
    /// the listener lets them.
    pub fn allows_passwords(&self) -> bool {
        self.listener.auth != Some(false)
            && (self.tls.is_some()
                || (self.listener.plaintext_auth_on_loopback && self.peer.is_loopback()))
    }

    /// Turns the stream to TLS after the go-ahead was written. The caller has dropped whatever it
    /// had read before.
    ///
    /// # Errors
    /// When the handshake fails: the connection is of no use then.
    pub async fn start_tls(&mut self) -> io::Result<()> {
        let Some(tls) = self.starttls.clone() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        self.handshake(&tls).await
    }

    pub(crate) async fn handshake(&mut self, tls: &Tls) -> io::Result<()> {
        match std::mem::replace(&mut self.stream, Stream::Closed) {
            Stream::Tcp(tcp) => {
                let (stream, info) = tls.accept(tcp).await?;
                self.stream = Stream::Tls(Box::new(stream));
                self.tls = Some(info);
                Ok(())
            }
            other => {
                self.stream = other;
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }
}
