//! Everything between the kernel and a session: listeners, TLS, PROXY protocol, limits, drain and
//! reload, and the bridge from async sessions to the synchronous store.

mod accept;
mod bridge;
mod connection;
mod limits;
mod listener;
mod notify;
mod privileged;
mod proxy;
mod server;
mod socket;
mod timed;
mod tls;

pub use bridge::Bridge;
pub use connection::{Connection, Drain, Peer, Stream, TlsInfo};
pub use limits::{LimitOptions, Refused};
pub use listener::{ListenerSpec, Protocol, Service, TlsMode};
pub use notify::{notify_ready, notify_stopping};
pub use privileged::{Item, Kind, ParentLink, Supplier, run_parent};
pub use server::{ListenError, OpenListener, Server, ServerOptions, Wanted, listen_hint};
pub use socket::{BadAddress, ListenAddress, ListenSocket};
pub use timed::Received;
pub use tls::{CertificateSource, MinProtocol, Tls, TlsError, TlsOptions, self_signed};
