//! What the verbs share that ask the running server, or do themselves what it would.

use std::{cell::RefCell, io, path::Path};

use anyhow::{Context as _, bail};
use facteur_config::Config;
use facteur_control::{AskError, Progress, Verbs};
use facteur_store::Store;
use serde::Serialize;
use serde_json::Value;

use super::Context;
use crate::wiring::{self, Paths};

/// Takes what is said: items and progress.
pub(super) trait Listener {
    /// One of the things asked for; an error ends the asking.
    fn item(&mut self, item: Value) -> io::Result<()>;
    /// How far it is.
    fn progress(&mut self, _progress: &Progress) {}
}

/// Asks the running server; `None` when none runs.
pub(super) fn ask(
    state: &Path,
    verb: &str,
    arguments: &impl Serialize,
    listener: &mut dyn Listener,
) -> anyhow::Result<Option<Value>> {
    let socket = facteur_control::path(state);
    let listener = RefCell::new(listener);
    let asked = facteur_control::ask(
        &socket,
        verb,
        arguments,
        &mut |item| listener.borrow_mut().item(item),
        &mut |progress| listener.borrow_mut().progress(progress),
    );
    match asked {
        Ok(answer) => Ok(answer),
        Err(AskError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(error.into()),
        Err(AskError::Io(error)) => {
            Err(error).with_context(|| format!("cannot talk to the server at {}", socket.display()))
        }
        Err(AskError::Failed(why)) => bail!(why),
    }
}

/// As [`ask`], of `verbs` themselves.
pub(super) async fn ask_here(
    verbs: &Verbs,
    verb: &str,
    arguments: &impl Serialize,
    listener: &mut dyn Listener,
) -> anyhow::Result<Value> {
    let listener = RefCell::new(listener);
    let mut item = |item| listener.borrow_mut().item(item);
    let mut progress = |progress: &Progress| listener.borrow_mut().progress(progress);
    match facteur_control::ask_here(verbs, verb, arguments, &mut item, &mut progress).await {
        Ok(answer) => Ok(answer),
        Err(AskError::Io(error)) => Err(error.into()),
        Err(AskError::Failed(why)) => bail!(why),
    }
}

/// Tells the running server that the directory is not as it was. Without a server there is nobody
/// to tell; one that cannot be told finds out by itself, later.
pub(super) fn directory_changed(context: &Context) -> anyhow::Result<()> {
    struct Nothing;
    impl Listener for Nothing {
        fn item(&mut self, _item: Value) -> io::Result<()> {
            Ok(())
        }
    }
    let state = Paths::new(&context.load()?.config).state();
    let changed = wiring::Changed { account: None };
    if let Err(error) = ask(&state, wiring::DIRECTORY_CHANGED, &changed, &mut Nothing) {
        eprintln!(
            "facteur: the running server could not be told ({error:#}): it notices within directory.cache_ttl"
        );
    }
    Ok(())
}

/// Opens the store where no server runs, as the server's user; `None` when no server ever ran.
pub(super) fn open_store(config: &Config) -> anyhow::Result<Option<Store>> {
    let state = Paths::new(config).state();
    if !state.exists() {
        return Ok(None);
    }
    crate::privileges::become_owner(&state)?;
    crate::log::start_warnings();
    let store = Store::open(wiring::store_options(config)?).with_context(|| {
        format!(
            "cannot open the mail store {}, and no server answers at {}",
            state.display(),
            facteur_control::path(&state).display()
        )
    })?;
    Ok(Some(store))
}
