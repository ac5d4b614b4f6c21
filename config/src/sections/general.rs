//! The top level: what several parts share.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::{section::section, setting::Size};

pub(crate) fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"]
        .iter()
        .filter_map(|net| net.parse().ok())
        .collect()
}

section! {
    /// What several parts share. These keys stand above the first section.
    General {
        /// The name of this server, as it greets and as other servers know it. It should be the name
        /// that its address resolves to. Empty takes the system's own host name.
        myhostname: String = String::new(),
        /// Folder of everything the server itself keeps: directory, queue, certificates, and the
        /// mailboxes unless `mail_location` says otherwise.
        data_directory: PathBuf = PathBuf::from("/var/lib/facteur"),
        /// Who answers for this server: gets mail to `<postmaster>`, and to postmaster@ any domain of
        /// ours that has none (RFC 5321 section 4.5.1). Empty takes the postmaster of the domain that
        /// the server's name is in.
        postmaster_address: String = String::new(),
        /// Clients that may relay without a login. In a container, behind its proxy, every stranger
        /// seems to come from the gateway: leave that out.
        mynetworks: Vec<IpNet> = loopback(),
        /// What separates the user from the detail in `user+detail@example.org`. Each character is one;
        /// empty turns it off.
        recipient_delimiter: String = "+".to_owned(),
        /// Largest message that is accepted, in bytes, by SMTP, submission, LMTP and IMAP APPEND.
        message_size_limit: Size = Size::mib(50),
    }
}
