//! Everything between the kernel and a session: listeners, TLS, PROXY protocol, limits, drain and
//! reload, and the bridge from async sessions to the synchronous store.

mod bridge;
mod connection;
mod listener;

pub use bridge::Bridge;
pub use connection::{Connection, Drain, Peer, Stream, TlsInfo};
pub use listener::{ListenerSpec, Protocol, Service, TlsMode};
