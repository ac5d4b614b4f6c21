//! `[[certificate]]`: one more certificate.

use std::path::PathBuf;

use crate::section::section;

section! {
    /// One more certificate, for clients that ask for one of the names in it (SNI).
    Certificate {
        /// PEM file of the certificate and the chain above it.
        ssl_cert: PathBuf = PathBuf::new(),
        /// PEM file of its private key.
        ssl_key: PathBuf = PathBuf::new(),
    }
}
