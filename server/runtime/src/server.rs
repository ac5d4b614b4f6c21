//! Accepting connections and handing them to their service.

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
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    Connection, Drain, LimitOptions, ListenAddress, ListenSocket, ListenerSpec, Peer, Protocol,
    Service, Stream, Tls, TlsMode,
    limits::{Limits, Permit, Refused},
    proxy::{self, Proxied},
    socket::Accepting,
};

/// How long to wait before accepting again when the process is out of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// What holds for every listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// How many connections there may be.
    pub limits: LimitOptions,
    /// A PROXY header that takes longer is given up.
    pub proxy_timeout: Duration,
    /// Who may send a PROXY header. Nobody else may: a header says where the client is, and with that
    /// what it may do.
    pub proxy_networks: Vec<IpNet>,
}

/// The listeners of the process and their connections.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Mutex<Vec<Listening>>,
}

struct Shared {
    options: ArcSwap<ServerOptions>,
    limits: Limits,
    tls: Tls,
    connections: TaskTracker,
    /// Asks sessions to finish.
    drain: CancellationToken,
    /// Drops those that did not.
    kill: CancellationToken,
    next_id: AtomicU64,
    refusals: Refusals,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

struct Listening {
    key: String,
    address: ListenAddress,
    local: Option<SocketAddr>,
    binding: Arc<ArcSwap<Binding>>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What a listener's next connection is given to.
struct Binding {
    spec: Arc<ListenerSpec>,
    service: Arc<dyn Service>,
}

/// A listener to have, with its socket if it is not open yet.
pub struct Wanted {
    /// What it is.
    pub spec: Arc<ListenerSpec>,
    /// What serves its connections.
    pub service: Arc<dyn Service>,
    /// Its socket, when somebody else opened it.
    pub socket: Option<ListenSocket>,
}

/// A listener could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({protocol}): {cause}{}", listen_hint(.address, .cause))]
pub struct ListenError {
    /// Where.
    pub address: String,
    /// For what.
    pub protocol: &'static str,
    /// Why.
    pub cause: io::Error,
}

/// What an operator may do about a listener that cannot be had: to stand behind the cause.
pub fn listen_hint(address: &str, cause: &io::Error) -> &'static str {
    match cause.kind() {
        _ if address.starts_with("unix:") => "",
        io::ErrorKind::AddrInUse => "; another program has it: `ss -lntp` says which",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root, CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start=0"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    }
}

/// A listener that is open.
#[derive(Debug, Clone)]
pub struct OpenListener {
    /// What it is.
    pub spec: Arc<ListenerSpec>,
    /// Where it listens: of a port 0 the port it got; `None` of a Unix socket.
    pub local: Option<SocketAddr>,
}

impl Server {
    /// One without listeners.
    pub fn new(options: ServerOptions, tls: Tls) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits: Limits::new(options.limits.clone()),
                options: ArcSwap::from_pointee(options),
                tls,
                connections: TaskTracker::new(),
                drain: CancellationToken::new(),
                kill: CancellationToken::new(),
                next_id: AtomicU64::new(1),
                refusals: Refusals::default(),
            }),
            listeners: Mutex::default(),
        }
    }

    /// Uses other options for connections from now on.
    pub fn set_options(&self, options: ServerOptions) {
        self.shared.limits.set(options.limits.clone());
        self.shared.options.store(Arc::new(options));
    }

    /// What sessions, and whatever else runs beside them, watch to know that the server stops.
    pub fn drain_token(&self) -> Drain {
        Drain::new(self.shared.drain.clone())
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.shared.limits.total()
    }

    /// Makes the open listeners those of `wanted`: opens, rebinds and closes. Connections stay, with
    /// the settings they began with. When one cannot be opened nothing is changed.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub fn listen(&self, wanted: Vec<Wanted>) -> Result<Vec<OpenListener>, ListenError> {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut ready = Vec::with_capacity(wanted.len());
        for want in wanted {
            let failed = |cause: io::Error| ListenError {
                address: want.spec.address.clone(),
                protocol: want.spec.protocol.name(),
                cause,
            };
            let address = ListenAddress::parse(&want.spec.address)
                .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
            let known = listeners
                .iter()
                .any(|open| open.key == want.spec.socket_key());
            let opened = if known {
                None
            } else {
                let socket = match want.socket {
                    Some(socket) => socket,
                    None => ListenSocket::open(&address, want.spec.mode).map_err(&failed)?,
                };
                let local = socket.local_addr().map_err(&failed)?;
                Some((socket.into_accepting().map_err(&failed)?, local))
            };
            let binding = Binding {
                spec: want.spec,
                service: want.service,
            };
            ready.push((address, binding, opened));
        }
        let mut now = Vec::with_capacity(ready.len());
        for (address, binding, opened) in ready {
            match opened {
                Some((accepting, local)) => now.push(self.open(address, local, binding, accepting)),
                None => {
                    let key = binding.spec.socket_key();
                    if let Some(at) = listeners.iter().position(|open| open.key == key) {
                        let known = listeners.swap_remove(at);
                        known.binding.store(Arc::new(binding));
                        now.push(known);
                    }
                }
            }
        }
        for gone in std::mem::replace(&mut *listeners, now) {
            tracing::info!(address = %gone.address, "listener closed");
            gone.close();
        }
        Ok(listeners.iter().map(Listening::describe).collect())
    }

    fn open(
        &self,
        address: ListenAddress,
        local: Option<SocketAddr>,
        binding: Binding,
        accepting: Accepting,
    ) -> Listening {
        let key = binding.spec.socket_key();
        let binding = Arc::new(ArcSwap::from_pointee(binding));
        let stop = self.shared.drain.child_token();
        let accept = accept_loop(
            Arc::clone(&self.shared),
            Arc::clone(&binding),
            accepting,
            stop.clone(),
        );
        tokio::spawn(accept);
        Listening {
            key,
            address,
            local,
            binding,
            stop,
        }
    }

    /// Stops: no connection is accepted any more, sessions are asked to finish, and after `grace`
    /// those that did not are dropped. Returns how many.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.shared.drain.cancel();
        for listening in self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            listening.close();
        }
        self.shared.connections.close();
        let finished = tokio::time::timeout(grace, self.shared.connections.wait()).await;
        if finished.is_ok() {
            return 0;
        }
        let left = self.shared.connections.len();
        self.shared.kill.cancel();
        self.shared.connections.wait().await;
        left
    }
}

impl Listening {
    fn describe(&self) -> OpenListener {
        OpenListener {
            spec: Arc::clone(&self.binding.load().spec),
            local: self.local,
        }
    }

    fn close(&self) {
        self.stop.cancel();
        if let ListenAddress::Unix(path) = &self.address {
            // Best effort: the folder may belong to the privileged parent, which does it then.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn accept_loop(
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
struct Refusals {
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

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
