//! `[process]`: the process and its limits.

use ipnet::IpNet;

use crate::{section::section, setting::Period};

section! {
    /// The process and its limits.
    Process {
        /// The user that the server becomes when it is started as root. Mail belongs to this user.
        user: String = "facteur".to_owned(),
        /// Its group; empty is the user's own.
        group: String = String::new(),
        /// Most connections at once.
        client_limit: usize = 10_000,
        /// Most connections at once from one address (of IPv6, one /64) to each smtp listener's port.
        /// `mynetworks` is exempt; 0 is no limit.
        smtpd_client_connection_count_limit: usize = 50,
        /// The same for every other protocol, all of them together: a whole office may be behind one
        /// address.
        client_connection_count_limit: usize = 1000,
        /// Networks whose PROXY headers are believed on listeners with `proxy_protocol`. Nobody else
        /// may connect to those: a header says where a client is, and so what it may do.
        haproxy_trusted_networks: Vec<IpNet> = Vec::new(),
        /// A PROXY header that takes longer is given up.
        haproxy_timeout: Period = Period::seconds(3),
        /// How long a client of IMAP, POP3 or ManageSieve may leave what it was sent unread.
        client_write_timeout: Period = Period::minutes(5),
        /// Threads of the network; 0 is one for each processor.
        network_threads: usize = 0,
        /// Most threads that wait for the disk.
        storage_threads: usize = 64,
        /// How long sessions may take to finish when the server stops.
        shutdown_timeout: Period = Period::seconds(30),
    }
}
