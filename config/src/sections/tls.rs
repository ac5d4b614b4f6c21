//! `[tls]`: certificates and versions.

use std::path::PathBuf;

use crate::{
    section::section,
    setting::{Period, choice},
};

choice! {
    /// The oldest version of TLS that is spoken.
    MinProtocol {
        /// RFC 5246
        Tls12 = "TLSv1.2",
        /// RFC 8446
        Tls13 = "TLSv1.3",
    }
}

section! {
    /// TLS of every listener. Certificates are read again on SIGHUP; when a new one is broken the
    /// old one stays.
    Tls {
        /// PEM file of the certificate and the chain above it. Without one, a certificate signed by
        /// itself is made in `data_directory`. More certificates, chosen by the name that the client
        /// asks for, are `[[certificate]]` entries.
        ssl_cert: Option<PathBuf> = None,
        /// PEM file of its private key.
        ssl_key: Option<PathBuf> = None,
        /// The oldest version that is spoken.
        ssl_min_protocol: MinProtocol = MinProtocol::Tls12,
        /// A handshake that takes longer is given up.
        ssl_handshake_timeout: Period = Period::seconds(30),
    }
}
