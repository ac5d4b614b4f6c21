//! What intake is told.

use std::collections::HashMap;

use facteur_address::Domain;
use ipnet::IpNet;

use crate::Restrictions;

/// Settings of the whole server. Names are Postfix's and Dovecot's where they have one.
#[derive(Debug, Clone)]
pub struct Options {
    /// This host's name: in Received, and in notices.
    pub hostname: Domain,
    /// Clients that may relay.
    pub mynetworks: Vec<IpNet>,
    /// A message with more Received lines than this is going round in circles.
    pub hopcount_limit: usize,
    /// MAIL is put off (452 4.3.1) while less than this many octets are free where messages come in.
    pub queue_minfree: u64,
    /// A full mailbox is a temporary failure (452 4.2.2), not a permanent one (552 5.2.2).
    pub quota_full_tempfail: bool,
    /// Tell TLS version and cipher in Received.
    pub smtpd_tls_received_header: bool,
    /// Tell the authenticated account in Received.
    pub smtpd_sasl_authenticated_header: bool,
    /// Listeners with restrictions of their own, by listener name.
    pub listener_restrictions: HashMap<String, Restrictions>,
}

impl Options {
    /// The defaults, on `hostname`.
    pub fn new(hostname: Domain) -> Self {
        Self {
            hostname,
            mynetworks: ["127.0.0.0/8", "::1/128"]
                .iter()
                .filter_map(|net| net.parse().ok())
                .collect(),
            hopcount_limit: 50,
            queue_minfree: 0,
            quota_full_tempfail: false,
            smtpd_tls_received_header: true,
            smtpd_sasl_authenticated_header: false,
            listener_restrictions: HashMap::new(),
        }
    }
}
