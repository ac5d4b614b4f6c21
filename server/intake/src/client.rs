//! Who sends.

use std::{net::IpAddr, sync::Arc};

use facteur_directory::AccountRecord;
use facteur_runtime::{ListenerSpec, Peer, Protocol, TlsInfo};
use ipnet::IpNet;

/// The client of a connection as it stands.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where it is.
    pub peer: Peer,
    /// What it said in EHLO, HELO or LHLO.
    pub helo: String,
    /// It said EHLO or LHLO, not HELO.
    pub extended: bool,
    /// What TLS agreed on.
    pub tls: Option<TlsInfo>,
    /// Who has logged in.
    pub account: Option<Arc<AccountRecord>>,
    /// The listener it came in by.
    pub listener: Arc<ListenerSpec>,
}

impl Client {
    /// For the log and the spool: its IP address, or `local`.
    pub fn name(&self) -> String {
        self.peer
            .ip()
            .map_or_else(|| "local".to_owned(), |ip| ip.to_string())
    }

    /// Whether messages from here are an author's own, and are made complete: Date and Message-ID
    /// added where they are missing, Bcc removed. Besides submission that is what comes from known
    /// networks, such as the reports of printers and programs (what Postfix's
    /// local_header_rewrite_clients is for). Mail of strangers, and of other servers of ours by LMTP,
    /// stays as it is.
    pub(crate) fn is_author(&self, networks: &[IpNet]) -> bool {
        match self.listener.protocol {
            Protocol::Submission => true,
            Protocol::Smtp => self.account.is_some() || self.is_in(networks),
            _ => false,
        }
    }

    /// Whether it is in one of `networks`, or of the listener's own in their place. A Unix socket
    /// is on this machine.
    pub(crate) fn is_in(&self, networks: &[IpNet]) -> bool {
        let networks = self.listener.mynetworks.as_deref().unwrap_or(networks);
        match self.peer.ip() {
            Some(ip) => networks.iter().any(|net| net.contains(&ip)),
            None => true,
        }
    }

    /// RFC 3848's name of how the message came.
    pub(crate) fn protocol(&self) -> &'static str {
        let secure = self.tls.is_some();
        let known = self.account.is_some();
        match (self.listener.protocol, secure, known) {
            (Protocol::Lmtp, false, _) => "LMTP",
            (Protocol::Lmtp, true, _) => "LMTPS",
            (_, _, _) if !self.extended => "SMTP",
            (_, false, false) => "ESMTP",
            (_, false, true) => "ESMTPA",
            (_, true, false) => "ESMTPS",
            (_, true, true) => "ESMTPSA",
        }
    }

    pub(crate) fn literal(&self) -> String {
        match self.peer.ip() {
            Some(IpAddr::V4(ip)) => format!("[{ip}]"),
            Some(IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
            None => "local".to_owned(),
        }
    }
}
