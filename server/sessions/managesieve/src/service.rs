//! The service that the listeners hand connections to.

use std::{fmt, pin::Pin, sync::Arc};

use facteur_login::Authenticator;
use facteur_runtime::{Bridge, Connection, Service};
use facteur_store::Store;

use crate::{Options, session::Driver};

/// Serves ManageSieve.
pub struct ManageSieveService {
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) authenticator: Authenticator,
    pub(crate) bridge: Bridge,
}

impl fmt::Debug for ManageSieveService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManageSieveService")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl ManageSieveService {
    /// A service on `store`, for those whom `authenticator` lets in. `bridge` runs what may block.
    pub fn new(
        options: Options,
        store: Store,
        authenticator: Authenticator,
        bridge: Bridge,
    ) -> Arc<Self> {
        Arc::new(Self {
            options,
            store,
            authenticator,
            bridge,
        })
    }
}

impl Service for ManageSieveService {
    fn serve(
        self: Arc<Self>,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(Driver::new(self, connection).run())
    }
}
