//! A running server: start, reload, stop.

use std::{path::Path, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use facteur_config::{Config, Loaded};
use facteur_runtime::{CertificateSource, OpenListener, ParentLink, Server, Tls, Wanted};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    log::{self, LogControl},
    source::{Gathered, Source},
    wiring::{self, Parts},
};

/// Serves as the child of a privileged parent.
pub(crate) fn as_child() -> anyhow::Result<ExitCode> {
    let link = ParentLink::from_stdin().context("standard input is not the parent's socket")?;
    run(Source::Parent(Arc::new(link)), |_| {})
}

/// Serves by itself, without anything that needs root.
pub(crate) fn directly(file: &Path) -> anyhow::Result<ExitCode> {
    run(Source::Direct(file.to_owned()), |_| {})
}

/// Serves until told to stop; `ready` is told the listeners once they are open.
pub(crate) fn run(source: Source, ready: impl FnOnce(&[OpenListener])) -> anyhow::Result<ExitCode> {
    // Mail is nobody else's business.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // Nothing we could run may give rights back. Where the kernel cannot promise that, it is as it was.
    let _ = rustix::thread::set_no_new_privs(true);
    let gathered = source.gather()?;
    let config = &gathered.loaded.config;
    wiring::check(&gathered.loaded)?;
    let log = log::start(&config.log)?;
    raise_file_limit(config.process.client_limit);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.process.network_threads > 0 {
        builder.worker_threads(config.process.network_threads);
    }
    let runtime = builder
        .enable_all()
        .thread_name("network")
        .build()
        .context("cannot start")?;
    runtime.block_on(serve(source, gathered, log, ready))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    source: Source,
    gathered: Gathered,
    log: LogControl,
    ready: impl FnOnce(&[OpenListener]),
) -> anyhow::Result<()> {
    // Before anything can go wrong slowly: a signal during start is not lost.
    let mut signals = Signals::new()?;
    let config = gathered.loaded.config.clone();
    let parts = Parts::open(&config).await?;
    let tls = tls(&gathered.loaded, &certificates(&gathered)?)?;
    doubt(&gathered.loaded);
    let mut running = Running {
        source,
        server: Server::new(wiring::server_options(&config), tls.clone()),
        tls,
        parts,
        log,
        config,
    };
    let listeners = running.listen(gathered)?;
    running.source.ready();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    ready(&listeners);
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => running.reload().await,
            name = stop(&mut signals.terminate, &mut signals.interrupt) => {
                tracing::info!(signal = name, "stopping");
                break;
            }
        }
    }
    running.stop().await
}

struct Running {
    source: Source,
    server: Server,
    tls: Tls,
    parts: Parts,
    log: LogControl,
    config: Config,
}

impl Running {
    /// Opens the listeners of a configuration, or changes to it.
    fn listen(&self, mut gathered: Gathered) -> anyhow::Result<Vec<OpenListener>> {
        let config = &gathered.loaded.config;
        let services = self.parts.services(config)?;
        let wanted = wiring::specs(config)
            .into_iter()
            .map(|spec| Wanted {
                service: services.of(spec.protocol),
                socket: gathered.sockets.remove(&spec.socket_key()),
                spec,
            })
            .collect();
        let open = self.server.listen(wanted)?;
        for listener in &open {
            announce(listener);
        }
        Ok(open)
    }

    async fn reload(&mut self) {
        match self.try_reload().await {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "configuration refused: the server goes on with the old one"
            ),
        }
    }

    async fn try_reload(&mut self) -> anyhow::Result<()> {
        let source = self.source.clone();
        let gathered = tokio::task::spawn_blocking(move || source.gather()).await??;
        let config = gathered.loaded.config.clone();
        wiring::check(&gathered.loaded)?;
        let certificates = certificates(&gathered)?;
        // What can fail comes first; a certificate that is broken changes nothing.
        tls(&gathered.loaded, &certificates)?;
        let directory = wiring::directory::open(&config, false).await?;
        doubt(&gathered.loaded);
        self.listen(gathered)?;
        self.tls
            .reload(&wiring::tls_options(&config), &certificates)?;
        self.parts.reconfigure(&config, directory)?;
        self.server.set_options(wiring::server_options(&config));
        self.log.reload(&config.log)?;
        for key in wiring::needs_restart(&self.config, &config) {
            tracing::warn!(key, "takes effect after a restart");
        }
        self.config = config;
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.source.stopping();
        let grace = self.config.process.shutdown_timeout.0;
        let dropped = self.server.drain(grace).await;
        if dropped > 0 {
            tracing::warn!(
                connections = dropped,
                "connections were dropped: they did not finish in time"
            );
        }
        self.parts.close(grace).await?;
        tracing::info!("stopped");
        Ok(())
    }
}

fn certificates(gathered: &Gathered) -> anyhow::Result<Vec<CertificateSource>> {
    wiring::certificates(gathered).map_err(|error| wiring::located(&gathered.loaded, error))
}

/// TLS with these certificates.
fn tls(loaded: &Loaded, certificates: &[CertificateSource]) -> anyhow::Result<Tls> {
    let config = &loaded.config;
    Tls::new(&wiring::tls_options(config), certificates)
        .map_err(|error| wiring::located(loaded, wiring::certificate_refused(config, error)))
}

/// Says what looks like a mistake. (Of lines in a passwd-file the directory speaks itself.)
fn doubt(loaded: &Loaded) {
    for doubt in wiring::doubts(loaded) {
        if doubt.key.starts_with("sieve.") {
            tracing::warn!(key = doubt.key, line = doubt.line, "{}", doubt.message);
        }
    }
}

fn announce(listener: &OpenListener) {
    let spec = &listener.spec;
    let address = listener
        .local
        .map_or_else(|| spec.address.clone(), |local| local.to_string());
    tracing::info!(
        listener = %spec.name,
        protocol = spec.protocol.name(),
        %address,
        tls = spec.tls.name(),
        proxy_protocol = spec.proxy_protocol,
        "listening"
    );
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let watch = |kind| signal(kind).context("cannot watch signals");
        Ok(Self {
            hangup: watch(SignalKind::hangup())?,
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
        })
    }
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// Allows as many files as the hard limit does: every connection is one, and its mail another.
fn raise_file_limit(connections: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
    let needed = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_mul(2);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        tracing::warn!(
            limit = limit.maximum,
            connections,
            "the limit of open files may not suffice for process.client_limit connections"
        );
    }
}
