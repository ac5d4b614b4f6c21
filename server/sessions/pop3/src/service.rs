//! The service that the listeners hand connections to.

use std::{fmt, pin::Pin, sync::Arc};

use facteur_login::Authenticator;
use facteur_runtime::{Bridge, Connection, Service};
use facteur_store::Store;

use crate::{Locks, Options, session::Driver};

/// Serves POP3.
pub struct Pop3Service {
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) authenticator: Authenticator,
    pub(crate) bridge: Bridge,
    pub(crate) locks: Locks,
}

impl fmt::Debug for Pop3Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pop3Service")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Pop3Service {
    /// A service on `store`, for those whom `authenticator` lets in. `bridge` runs what may block.
    /// Services that follow each other (a reload) share `locks`.
    pub fn new(
        options: Options,
        store: Store,
        authenticator: Authenticator,
        bridge: Bridge,
        locks: Locks,
    ) -> Arc<Self> {
        Arc::new(Self {
            options,
            store,
            authenticator,
            bridge,
            locks,
        })
    }
}

impl Service for Pop3Service {
    fn serve(
        self: Arc<Self>,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(Driver::new(self, connection).run())
    }
}
