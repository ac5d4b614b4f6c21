//! `[[certificate]]`: one more certificate.

use std::path::PathBuf;

use crate::section::section;

section! {
    /// One more certificate, for clients that ask for one of the names in it (SNI). Without
    /// `tls.ssl_cert` the first of them stands in where no name fits.
    Certificate {
        /// PEM file of the certificate and the chain above it.
        ssl_cert: PathBuf = PathBuf::new(),
        /// PEM file of its private key.
        ssl_key: PathBuf = PathBuf::new(),
    }
}
