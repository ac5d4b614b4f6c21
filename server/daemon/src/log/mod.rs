//! Log lines, to standard error.

mod mail_log;

use std::io::IsTerminal as _;

use anyhow::Context as _;
use facteur_config::sections::{Log, LogFormat};
use mail_log::MailLog;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

/// Changes what is logged while the server runs.
pub(crate) struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
    mail_log: MailLog,
    format: LogFormat,
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    // A word alone would be taken for a part of the program of which all is logged, and of all others
    // nothing: a misspelt level would silence the server.
    for part in level.split(',').map(str::trim) {
        let is_level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        anyhow::ensure!(
            is_level || part.contains('='),
            "{part:?} is no level: use error, warn, info, debug or trace, or for a part of the program PART=LEVEL"
        );
    }
    // rustls warns of every client that connects by an address; only what is given for it by name
    // in the configuration comes before this.
    EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(format!("rustls=error,{level}"))
        .map_err(|error| anyhow::anyhow!("{level:?} is not a level: {error}"))
}

/// Whether the log's settings can be used.
pub(crate) fn check(log: &Log) -> anyhow::Result<()> {
    let Log {
        format: _,
        level,
        mail_log_events: _,
    } = log;
    filter(level).map(drop)
}

/// Begins to log what is amiss, for commands that do themselves what a server would: what the store has
/// to say of a damaged journal or index it says once.
pub(crate) fn start_warnings() {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .with_filter(
            // That the directory does not answer ends the command, and is said then.
            Targets::new()
                .with_default(LevelFilter::WARN)
                .with_target("facteur_directory", LevelFilter::OFF)
                .with_target("facteur::wiring::directory", LevelFilter::OFF),
        );
    // Somebody else logs already.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// Begins to log. Once in a process.
pub(crate) fn start(log: &Log) -> anyhow::Result<LogControl> {
    let Log {
        format,
        level,
        mail_log_events,
    } = log;
    let (filter, handle) = reload::Layer::new(filter(level)?);
    // The journal has a time for each line itself.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let mail_log = MailLog::new(mail_log_events);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let layer = match (format, journal) {
        (LogFormat::Json, _) => layer.json().flatten_event(true).boxed(),
        (LogFormat::Human, true) => layer.without_time().with_target(false).boxed(),
        (LogFormat::Human, false) => layer.with_target(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(layer.with_filter(mail_log.clone()))
        .try_init()
        .context("the log was started already")?;
    log_panics();
    Ok(LogControl {
        filter: handle,
        mail_log,
        format: *format,
    })
}

impl LogControl {
    /// Logs by other settings from now on.
    pub(crate) fn reload(&self, log: &Log) -> anyhow::Result<()> {
        let Log {
            format,
            level,
            mail_log_events,
        } = log;
        self.filter.reload(filter(level)?)?;
        self.mail_log.set(mail_log_events);
        if *format != self.format {
            tracing::warn!("log.format takes effect after a restart");
        }
        Ok(())
    }
}

/// A defect in one session must be seen, with the session it was in.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let what = panic
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.payload().downcast_ref::<String>().cloned());
        let trace = std::backtrace::Backtrace::capture();
        let trace = (trace.status() == std::backtrace::BacktraceStatus::Captured)
            .then(|| trace.to_string());
        tracing::error!(place, what, trace, "defect: a task has panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_level_is_refused_and_would_silence_nothing() {
        for level in ["info", "WARN", "off", "info,facteur_queue=debug"] {
            filter(level).unwrap();
        }
        for level in [
            "",
            "loud",
            "inof",
            "info,facteur_queue",
            "facteur_queue=loud",
        ] {
            filter(level).unwrap_err();
        }
    }
}
