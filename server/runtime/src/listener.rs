//! Listeners are data.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use ipnet::IpNet;

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

impl Protocol {
    /// Its name in the configuration and the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Lmtp => "lmtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::ManageSieve => "managesieve",
        }
    }

    /// What a client that is one too many is told before the connection is closed.
    pub(crate) fn busy(self) -> &'static [u8] {
        match self {
            // RFC 5321 §3.8, RFC 3463 §3.8.
            Self::Smtp | Self::Submission | Self::Lmtp => {
                b"421 4.7.0 Too many connections, try again later\r\n"
            }
            // RFC 9051 §7.1.5, RFC 5530 §3.
            Self::Imap => b"* BYE [UNAVAILABLE] Too many connections, try again later\r\n",
            // RFC 3206 §4.
            Self::Pop3 => b"-ERR [SYS/TEMP] Too many connections, try again later\r\n",
            // RFC 5804 §1.3.
            Self::ManageSieve => b"BYE (TRYLATER) \"Too many connections, try again later\"\r\n",
        }
    }
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

impl TlsMode {
    /// Its name in the configuration and the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
        }
    }
}

/// One listener as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Whether nothing but EHLO, STARTTLS, NOOP and QUIT works before TLS is up (Postfix's
    /// `smtpd_tls_security_level = encrypt`); `None` is the protocol's own default.
    pub require_tls: Option<bool>,
    /// Whether MAIL needs AUTH first (`smtpd_client_restrictions = permit_sasl_authenticated,
    /// reject`); `None` is the protocol's own default.
    pub require_auth: Option<bool>,
    /// Clients on this listener that may relay, in place of the server's own `mynetworks`.
    pub mynetworks: Option<Vec<IpNet>>,
    /// Permissions of a Unix socket.
    pub mode: u32,
}

impl ListenerSpec {
    /// One with every setting at its default.
    pub fn new(name: &str, protocol: Protocol, address: &str, tls: TlsMode) -> Self {
        Self {
            name: name.to_owned(),
            protocol,
            address: address.to_owned(),
            tls,
            proxy_protocol: false,
            auth: None,
            plaintext_auth_on_loopback: false,
            require_tls: None,
            require_auth: None,
            mynetworks: None,
            mode: 0o660,
        }
    }
}

impl ListenerSpec {
    /// By which a socket is known to be this listener's over a reload: its address, and of port 0,
    /// which several may have, its name too.
    pub fn socket_key(&self) -> String {
        if self.address.ends_with(":0") {
            format!("{} {}", self.name, self.address)
        } else {
            self.address.clone()
        }
    }
}

/// What serves the connections of a protocol: one driver in `server/sessions` each.
pub trait Service: Send + Sync + 'static {
    /// Serves one connection to its end.
    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<'static, ()>;
}
