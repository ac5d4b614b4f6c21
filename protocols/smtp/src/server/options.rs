//! What a session is told about the server and its connection.

/// Which of the three related protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Between servers (RFC 5321).
    Smtp,
    /// From the author's own program (RFC 6409).
    Submission,
    /// Local delivery, one reply per recipient (RFC 2033).
    Lmtp,
}

/// What all sessions of a listener share.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which protocol.
    pub flavour: Flavour,
    /// The server's name in the greeting and in EHLO.
    pub hostname: String,
    /// What the greeting says after the 220, instead of "hostname ESMTP Facteur". The name must
    /// come first (RFC 5321 §4.2).
    pub banner: Option<String>,
    /// Largest message in octets; 0 is no limit.
    pub message_size_limit: u64,
    /// Most recipients of one message; RFC 5321 §4.5.3.1.8 asks for 100 at least.
    pub recipient_limit: usize,
    /// After so many refused commands the connection is closed; 0 is never.
    pub hard_error_limit: u32,
    /// Commands that do nothing (NOOP, RSET, VRFY, …) count as errors after so many since the last
    /// message.
    pub junk_command_limit: u32,
    /// Announce `AUTH=` too, for clients of before RFC 2554.
    pub broken_sasl_auth_clients: bool,
}

impl Options {
    /// The defaults of `flavour`.
    pub fn new(flavour: Flavour, hostname: impl Into<String>) -> Self {
        Self {
            flavour,
            hostname: hostname.into(),
            banner: None,
            message_size_limit: 50 * 1024 * 1024,
            recipient_limit: 1000,
            hard_error_limit: if flavour == Flavour::Lmtp { 1000 } else { 20 },
            junk_command_limit: 100,
            broken_sasl_auth_clients: false,
        }
    }
}

/// What the connection allows as it stands: it changes when TLS comes up.
#[derive(Debug, Clone, Default)]
pub struct Channel {
    /// TLS is up.
    pub tls: bool,
    /// STARTTLS is offered.
    pub starttls: bool,
    /// Nothing but EHLO, NOOP, STARTTLS and QUIT before TLS (`smtpd_tls_security_level = encrypt`).
    pub tls_required: bool,
    /// SASL mechanisms that are offered.
    pub mechanisms: Vec<&'static str>,
    /// AUTH would be offered under TLS.
    pub auth_after_tls: bool,
    /// MAIL needs AUTH first (RFC 6409 §4.3).
    pub auth_required: bool,
}
