//! A connection's way from accept(2) to its service: limits, the PROXY header, TLS.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    Connection, Drain, ListenerSpec, Peer, Protocol, ServerOptions, Service, Stream, Tls, TlsMode,
    limits::{Limits, Permit, Refused},
    proxy::{self, Proxied},
    socket::Accepting,
};

/// How long to wait before accepting again when the process is out of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// What the server and its connections share.
pub(crate) struct Shared {
    pub(crate) options: ArcSwap<ServerOptions>,
    pub(crate) limits: Limits,
    pub(crate) tls: Tls,
    pub(crate) connections: TaskTracker,
    /// Asks sessions to finish.
    pub(crate) drain: CancellationToken,
    /// Drops those that did not.
    pub(crate) kill: CancellationToken,
    pub(crate) next_id: AtomicU64,
    pub(crate) refusals: Refusals,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// What a listener's next connection is given to.
pub(crate) struct Binding {
    pub(crate) spec: Arc<ListenerSpec>,
    pub(crate) service: Arc<dyn Service>,
}

/// Accepts until `stop`; what is accepted is given to what `binding` holds then.
pub(crate) async fn accept_loop(
    shared: Arc<Shared>,
    binding: Arc<ArcSwap<Binding>>,
    accepting: Accepting,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepting.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => start(&shared, &binding.load(), stream, peer),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(listener = %binding.load().spec.name, %error, "cannot accept a connection");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Whether an error of accept(2) concerns only the connection that would have been accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

impl Accepting {
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                Ok((Stream::Tcp(stream), Peer::Inet(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

fn start(shared: &Arc<Shared>, binding: &Arc<Binding>, stream: Stream, peer: Peer) {
    let protocol = binding.spec.protocol;
    let permit = match shared.limits.admit() {
        Ok(permit) => permit,
        Err(refused) => {
            shared.refusals.log(&binding.spec, peer, refused);
            turn_away(&stream, protocol, binding.spec.tls);
            return;
        }
    };
    let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
    let local = local_addr(&stream);
    let connection = Connection {
        id,
        stream,
        peer,
        local,
        tls: None,
        listener: Arc::clone(&binding.spec),
        drain: Drain::new(shared.drain.clone()),
        starttls: match binding.spec.tls {
            TlsMode::StartTls => Some(shared.tls.clone()),
            TlsMode::None | TlsMode::Implicit => None,
        },
    };
    let (task, binding) = (Arc::clone(shared), Arc::clone(binding));
    shared.connections.spawn(async move {
        let kill = task.kill.clone();
        tokio::select! {
            () = serve(task, binding, connection, permit) => {}
            () = kill.cancelled() => {}
        }
    });
}

async fn serve(
    shared: Arc<Shared>,
    binding: Arc<Binding>,
    mut connection: Connection,
    mut permit: Permit,
) {
    // Boxed, so that an idle session does not carry what only its beginning needs.
    if let Err(error) = Box::pin(prepare(&shared, &mut connection, &mut permit)).await {
        tracing::info!(
            listener = %binding.spec.name, peer = %connection.peer, %error,
            "connection ended before it began"
        );
        return;
    }
    drop(shared);
    let span = tracing::info_span!(
        "connection", id = connection.id, listener = %binding.spec.name, peer = %connection.peer
    );
    let service = Arc::clone(&binding.service);
    drop(binding);
    service.serve(connection).instrument(span).await;
}

/// Everything before the session's first byte.
async fn prepare(
    shared: &Shared,
    connection: &mut Connection,
    permit: &mut Permit,
) -> io::Result<()> {
    let spec = Arc::clone(&connection.listener);
    if let Stream::Tcp(tcp) = &mut connection.stream {
        tcp.set_nodelay(true)?;
        if spec.proxy_protocol {
            let options = shared.options.load_full();
            let (peer, local) = proxied(&options, tcp, connection.peer).await?;
            connection.peer = peer;
            connection.local = local.or(connection.local);
        }
    }
    if let Some(ip) = connection.peer.ip() {
        permit.count(spec.protocol, ip).map_err(|refused| {
            shared.refusals.log(&spec, connection.peer, refused);
            turn_away(&connection.stream, spec.protocol, spec.tls);
            io::Error::other(refused)
        })?;
    }
    if spec.tls == TlsMode::Implicit {
        let tls = shared.tls.clone();
        connection.handshake(&tls).await?;
    }
    Ok(())
}

async fn proxied(
    options: &ServerOptions,
    stream: &mut TcpStream,
    peer: Peer,
) -> io::Result<(Peer, Option<SocketAddr>)> {
    let trusted = peer
        .ip()
        .is_some_and(|ip| options.proxy_networks.iter().any(|net| net.contains(&ip)));
    if !trusted {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the peer is not in haproxy_trusted_networks",
        ));
    }
    let header = tokio::time::timeout(options.proxy_timeout, proxy::read_header(stream))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the PROXY header took too long"))??;
    Ok(match header {
        Proxied::For {
            source,
            destination,
        } => (Peer::Inet(source), Some(destination)),
        Proxied::Own => (peer, None),
    })
}

fn local_addr(stream: &Stream) -> Option<SocketAddr> {
    match stream {
        Stream::Tcp(tcp) => tcp.local_addr().ok(),
        _ => None,
    }
}

/// Says in the protocol's own words that there are too many, without waiting for anybody.
fn turn_away(stream: &Stream, protocol: Protocol, tls: TlsMode) {
    if tls == TlsMode::Implicit {
        return;
    }
    let _ = match stream {
        Stream::Tcp(tcp) => tcp.try_write(protocol.busy()),
        Stream::Unix(unix) => unix.try_write(protocol.busy()),
        Stream::Tls(_) | Stream::Closed => Ok(0),
    };
}

/// Logs refusals, at most one a second: whoever floods the server must not flood the log.
#[derive(Default)]
pub(crate) struct Refusals {
    last: Mutex<Option<std::time::Instant>>,
    unlogged: AtomicU64,
}

impl Refusals {
    fn log(&self, spec: &ListenerSpec, peer: Peer, refused: Refused) {
        let now = std::time::Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.duration_since(last) < Duration::from_secs(1)) {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        *last = Some(now);
        drop(last);
        let unlogged = self.unlogged.swap(0, Ordering::Relaxed);
        tracing::warn!(
            listener = %spec.name, %peer, reason = %refused, more_since_last = unlogged,
            "connection refused"
        );
    }
}
