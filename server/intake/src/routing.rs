//! From a forward-path to its final destinations.

use std::sync::Arc;

use facteur_address::Address;
use facteur_directory::{AccountRecord, Directory, Unavailable};

/// Where one address leads.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Accounts here, each once, with the `detail` of `user+detail` that led there.
    pub local: Vec<(Arc<AccountRecord>, Option<String>)>,
    /// Addresses elsewhere, each once.
    pub remote: Vec<Address>,
    /// The domain is ours but nothing answers to the address: 550 5.1.1.
    pub unknown: bool,
    /// The address itself belongs to a domain of ours or one we relay for: anybody may send to it.
    pub authorized_destination: bool,
}

/// Resolves addresses through alias domains, aliases, catch-all and `user+detail`, in Postfix's
/// order and with its limits. Clones share it.
#[derive(Clone)]
pub struct Router {
    directory: Arc<dyn Directory>,
    recipient_delimiter: Arc<str>,
}

impl Router {
    /// A router over `directory`.
    pub fn new(directory: Arc<dyn Directory>, recipient_delimiter: &str) -> Self {
        Self {
            directory,
            recipient_delimiter: Arc::from(recipient_delimiter),
        }
    }

    /// Resolves one address.
    ///
    /// # Errors
    /// When the directory does not answer: 451 4.3.0, never "user unknown".
    pub async fn resolve(&self, _address: &Address) -> Result<Route, Unavailable> {
        let _ = (&self.directory, &self.recipient_delimiter);
        todo!()
    }
}
