//! The parts of a running server.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use anyhow::Context as _;
use facteur_config::Config;
use facteur_delivery::{Deliverer, DomainQuota, QuotaMirror, QuotaWarner};
use facteur_directory::Directory;
use facteur_intake::{Intake, Router};
use facteur_login::Authenticator;
use facteur_model::AccountId;
use facteur_queue::{Queue, SystemClock};
use facteur_runtime::{Bridge, Protocol, Service};
use facteur_session_imap::ImapService;
use facteur_session_managesieve::ManageSieveService;
use facteur_session_pop3::Pop3Service;
use facteur_session_smtp::SmtpService;
use facteur_store::{Gate, Store, StoreError};

use crate::maintenance;

use super::{
    CurrentDirectory, Paths, control, delivery, directory, imap, login, managesieve, pop3, queue,
    smtp, store,
};

/// Threads of the queue: its commits wait for the disk, and clients' must not wait for them.
const QUEUE_THREADS: usize = 8;

/// Threads of the operator's work on accounts: it takes long, and nobody's session waits for it.
const MAINTENANCE_THREADS: usize = 2;

/// What lives as long as the process: a reload builds new services over the same parts.
pub(crate) struct Parts {
    control: facteur_control::Server,
    maintenance_bridge: Bridge,
    store: Store,
    bridge: Bridge,
    queue_bridge: Bridge,
    directory: Arc<CurrentDirectory>,
    /// The first; those of a reload take over from it who fails to log in.
    authenticator: Authenticator,
    maildrops: facteur_session_pop3::Locks,
    /// How many IMAP connections each user has, over reloads.
    imap_slots: facteur_session_imap::Slots,
    queue: Queue,
    quota: QuotaMirror,
    warner: QuotaWarner,
    domains: Option<DomainQuota>,
}

/// What serves connections from now on.
pub(crate) struct Services {
    smtp: Arc<SmtpService>,
    imap: Arc<ImapService>,
    pop3: Arc<Pop3Service>,
    managesieve: Arc<ManageSieveService>,
}

/// Why the store cannot be opened, and for the commonest reason what to do.
fn store_not_opened(paths: &Paths, error: StoreError) -> anyhow::Error {
    let denied =
        matches!(&error, StoreError::Io(error) if error.kind() == ErrorKind::PermissionDenied);
    let state = paths.state();
    let context = match denied {
        true => format!(
            "cannot open the mail store {} (all in the data folder must belong to the server's user, {} here)",
            state.display(),
            rustix::process::geteuid().as_raw()
        ),
        false => format!("cannot open the mail store {}", state.display()),
    };
    anyhow::Error::from(error).context(context)
}

impl Parts {
    /// Opens the store, where what an earlier process left half done is ended first, and starts the
    /// queue.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let paths = Paths::new(config);
        paths.create()?;
        let first_start = !paths.state().exists();
        if first_start {
            tracing::info!(data = %paths.data.display(), "there is nothing of a server's in the data folder: taken for the first start");
        }
        let store = Store::open(store::options(config)?)
            .map_err(|error| store_not_opened(&paths, error))?;
        if let Err(error) = store.look_at_mail_root() {
            tracing::error!(%error, "mail cannot be stored, and nobody can log in");
        }
        store.compress_with(store::zlib_save(config));
        let directory = CurrentDirectory::new(directory::open(config, first_start).await?);
        let quota = QuotaMirror::new();
        let warner = QuotaWarner::new(super::quota::warnings(config)?);
        let domains = config.quota.domain_quota.then(DomainQuota::default);
        follow_usage(&store, &quota, &warner, domains.as_ref());
        tokio::spawn(
            quota
                .clone()
                .run(Arc::clone(&directory) as Arc<dyn Directory>),
        );
        tokio::spawn(warner.clone().run(store.clone()));
        if let Some(domains) = &domains {
            let directory = Arc::clone(&directory) as Arc<dyn Directory>;
            tokio::spawn(domains.clone().run(store.clone(), directory));
        }
        let router = router(config, &directory)?;
        warn_without_postmaster(router.clone());
        let queue_bridge = Bridge::named("queue", QUEUE_THREADS);
        let queue = Queue::start(
            facteur_queue::Parts {
                store: store.clone(),
                bridge: queue_bridge.clone(),
                router,
                directory: Arc::clone(&directory) as Arc<dyn Directory>,
                deliverer: deliverer(config, &store, domains.as_ref())?,
                clock: Arc::new(SystemClock),
            },
            queue::options(config)?,
        )
        .context("cannot start the queue")?;
        let maintenance_bridge = Bridge::named("maintenance", MAINTENANCE_THREADS);
        let control = control::serve(
            &paths.state(),
            &queue,
            &maintenance::Parts {
                store: store.clone(),
                directory: Arc::clone(&directory) as Arc<dyn Directory>,
                bridge: maintenance_bridge.clone(),
            },
        )?;
        Ok(Self {
            control,
            maintenance_bridge,
            store,
            bridge: Bridge::new(config.process.storage_threads),
            queue_bridge,
            authenticator: Authenticator::new(
                Arc::clone(&directory) as Arc<dyn Directory>,
                login::options(config)?,
            ),
            directory,
            maildrops: facteur_session_pop3::Locks::default(),
            imap_slots: facteur_session_imap::Slots::default(),
            queue,
            quota,
            warner,
            domains,
        })
    }

    /// Builds the services by the configuration.
    pub(crate) fn services(&self, config: &Config) -> anyhow::Result<Services> {
        let authenticator = self.authenticator.with_options(login::options(config)?);
        let (store, bridge) = (&self.store, &self.bridge);
        let intake = Intake::new(
            smtp::intake(config)?,
            facteur_intake::Parts {
                router: router(config, &self.directory)?,
                authenticator: authenticator.clone(),
                store: store.clone(),
                deliverer: deliverer(config, store, self.domains.as_ref())?,
                bridge: bridge.clone(),
            },
        );
        Ok(Services {
            smtp: SmtpService::new(smtp::session(config)?, intake, authenticator.clone()),
            imap: ImapService::new(
                imap::options(config, self.domains.as_ref()),
                store.clone(),
                authenticator.clone(),
                bridge.clone(),
                self.imap_slots.clone(),
            ),
            pop3: Pop3Service::new(
                pop3::options(config),
                store.clone(),
                authenticator.clone(),
                bridge.clone(),
                self.maildrops.clone(),
            ),
            managesieve: ManageSieveService::new(
                managesieve::options(config),
                store.clone(),
                authenticator,
                bridge.clone(),
            ),
        })
    }

    /// Changes what outlives a reload: nothing here can fail after a check.
    pub(crate) fn reconfigure(
        &self,
        config: &Config,
        directory: Arc<dyn Directory>,
    ) -> anyhow::Result<()> {
        let deliverer = deliverer(config, &self.store, self.domains.as_ref())?;
        self.warner.reconfigure(super::quota::warnings(config)?);
        self.store.compress_with(store::zlib_save(config));
        self.directory.replace(directory);
        if let Some(domains) = &self.domains {
            domains.refresh();
        }
        self.queue.reconfigure(
            queue::options(config)?,
            router(config, &self.directory)?,
            deliverer,
        );
        Ok(())
    }

    /// Ends background work and makes everything durable, sessions being over.
    pub(crate) async fn close(self, grace: Duration) -> anyhow::Result<()> {
        self.control.stop().await;
        self.queue.stop(grace).await;
        let bridges = [self.bridge, self.queue_bridge, self.maintenance_bridge];
        tokio::task::spawn_blocking(move || {
            for bridge in bridges {
                bridge.close();
            }
        })
        .await?;
        if tokio::time::timeout(grace, self.warner.finish(&self.store))
            .await
            .is_err()
        {
            tracing::warn!("a quota warning's command has not ended");
        }
        self.quota.flush(self.directory.as_ref()).await;
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.close())
            .await?
            .context("cannot close the mail store")
    }
}

/// Everybody who wants to know what accounts hold. They are called with an account locked: none may
/// call the store.
fn follow_usage(
    store: &Store,
    mirror: &QuotaMirror,
    warner: &QuotaWarner,
    domains: Option<&DomainQuota>,
) {
    let (mirror, warner, counted) = (mirror.clone(), warner.clone(), domains.cloned());
    store.on_usage_changed(Arc::new(move |change| {
        mirror.note(&change.account.id, change.now);
        warner.note(change);
        if let Some(domains) = &counted {
            domains.note(change);
        }
    }));
    let domains = domains.cloned();
    store.set_gate(domains.map(|domains| {
        let gate = move |account: &AccountId, added, grace| domains.reserve(account, added, grace);
        Arc::new(gate) as Gate
    }));
}

fn deliverer(
    config: &Config,
    store: &Store,
    domains: Option<&DomainQuota>,
) -> anyhow::Result<Deliverer> {
    let deliverer = Deliverer::new(store.clone(), delivery::options(config)?);
    Ok(deliverer.with_domain_quota(domains.cloned()))
}

/// In the background: the directory may take its time.
fn warn_without_postmaster(router: Router) {
    tokio::spawn(async move {
        if let Err(error) = router.check_postmaster().await {
            tracing::warn!("{error}");
        }
    });
}

fn router(config: &Config, directory: &Arc<CurrentDirectory>) -> anyhow::Result<Router> {
    let directory = Arc::clone(directory) as Arc<dyn Directory>;
    let router = Router::new(directory, &config.general.recipient_delimiter);
    Ok(router.with_postmaster(smtp::hostname(config)?, smtp::postmaster(config)?))
}

impl Services {
    /// What serves a protocol.
    pub(crate) fn of(&self, protocol: Protocol) -> Arc<dyn Service> {
        match protocol {
            Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => Arc::clone(&self.smtp) as _,
            Protocol::Imap => Arc::clone(&self.imap) as _,
            Protocol::Pop3 => Arc::clone(&self.pop3) as _,
            Protocol::ManageSieve => Arc::clone(&self.managesieve) as _,
        }
    }
}
