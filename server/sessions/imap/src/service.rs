//! The service that the listeners hand connections to.

use std::{pin::Pin, sync::Arc};

use facteur_login::Authenticator;
use facteur_runtime::{Bridge, Connection, Service};
use facteur_store::Store;

use crate::{Namespace, Options, session::Session, slots::Slots};

/// Serves IMAP.
pub struct ImapService {
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) authenticator: Authenticator,
    pub(crate) bridge: Bridge,
    pub(crate) slots: Slots,
}

impl std::fmt::Debug for ImapService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImapService")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl ImapService {
    /// A service on `store`, for those whom `authenticator` lets in. `bridge` runs what may block.
    /// Services that follow each other (a reload) share `slots`.
    pub fn new(
        mut options: Options,
        store: Store,
        authenticator: Authenticator,
        bridge: Bridge,
        slots: Slots,
    ) -> Arc<Self> {
        if options.namespaces.is_empty() {
            options.namespaces.push(Namespace::default());
        }
        Arc::new(Self {
            options,
            store,
            authenticator,
            bridge,
            slots,
        })
    }
}

impl Service for ImapService {
    fn serve(
        self: Arc<Self>,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(Session::new(self, connection).run())
    }
}
