//! The listeners of the process: opened, bound to other settings, closed, drained.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Drain, LimitOptions, ListenAddress, ListenSocket, ListenerSpec, Service, Tls,
    accept::{Binding, Refusals, Shared, accept_loop},
    limits::Limits,
    socket::Accepting,
};

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

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
