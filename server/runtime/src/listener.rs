//! Listeners are data.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::Connection;

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RFC 5321, between servers.
    Smtp,
    /// RFC 6409; with [`TlsMode::Implicit`] RFC 8314's `submissions`.
    Submission,
    /// RFC 2033.
    Lmtp,
    /// RFC 3501 and on.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 5804.
    ManageSieve,
}

/// How TLS comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// Never.
    None,
    /// By the protocol's own command.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// One listener as configured.
#[derive(Debug, Clone)]
pub struct ListenerSpec {
    /// Its name in logs.
    pub name: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// `host:port`, or `unix:/path`.
    pub address: String,
    /// How TLS comes in.
    pub tls: TlsMode,
    /// Whether a PROXY protocol header (v1 or v2) must come first.
    pub proxy_protocol: bool,
    /// Whether AUTH is offered at all; `None` is the protocol's own default.
    pub auth: Option<bool>,
    /// Whether passwords may cross without TLS from a loopback peer.
    pub plaintext_auth_on_loopback: bool,
}

/// What serves the connections of a protocol: one driver in `server/sessions` each.
pub trait Service: Send + Sync + 'static {
    /// Serves one connection to its end.
    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<'static, ()>;
}
