//! What a session tells its driver.

#[cfg(doc)]
use crate::client::Client;
use crate::{MalformedReply, Reply};

/// Which of the two protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 5321.
    Smtp,
    /// RFC 2033: LHLO, and a reply for each recipient after the data.
    Lmtp,
}

/// What came of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// 2yz: the peer has taken it over. 4yz: try again. 5yz: never.
    pub reply: Reply,
    /// Whether the peer said so; else it is our own finding.
    pub from_peer: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer is ready for a message; [`Client::capabilities`] holds.
    Ready,
    /// The peer wants no session with us: nothing can be sent.
    Refused(Reply),
    /// Begin the TLS handshake now, then call [`Client::tls_started`].
    TlsGoAhead,
    /// The peer cannot do TLS now; the session goes on in clear.
    TlsRefused(Reply),
    /// Hand the message over: [`Client::body`] until it ends, then [`Client::end_body`].
    BodyWanted,
    /// The transaction is over: what came of each recipient, in the message's order.
    Finished(Vec<Outcome>),
    /// The peer says goodbye; what is unfinished can be taken with [`Client::lost`].
    Closed,
}

/// Why the session cannot go on. Temporary: another connection may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A reply that is none.
    #[error("peer sent a malformed reply")]
    Malformed,
    /// A line, or a reply, beyond all measure.
    #[error("peer sent a reply that is too long")]
    TooLong,
    /// A reply to nothing.
    #[error("peer sent a reply that nothing asked for")]
    Unexpected,
}

impl From<MalformedReply> for Broken {
    fn from(_: MalformedReply) -> Self {
        Self::Malformed
    }
}
