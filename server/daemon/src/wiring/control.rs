//! What the control socket can be asked.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use facteur_address::Address;
use facteur_control::{Answers, Refused, Server, Verbs};
use facteur_directory::Directory;
use facteur_queue::{Queue, control};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::maintenance;

/// What tells the server that the directory was changed.
pub(crate) const DIRECTORY_CHANGED: &str = "directory.changed";

/// What was changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Changed {
    /// Only this account; `None` when it may be anything.
    pub(crate) account: Option<String>,
}

/// Listens in the state folder.
pub(super) fn serve(
    state: &Path,
    queue: &Queue,
    parts: &maintenance::Parts,
) -> anyhow::Result<Server> {
    let queue = queue.clone();
    let directory = Arc::clone(&parts.directory);
    let verbs = Verbs::default()
        .with(control::VERB, move |request, answers| {
            control::carry_out(queue.clone(), request, answers)
        })
        .with(DIRECTORY_CHANGED, move |changed, _: Answers| {
            forget(Arc::clone(&directory), changed)
        });
    let socket = facteur_control::path(state);
    facteur_control::serve(&socket, maintenance::verbs(verbs, parts))
        .with_context(|| format!("cannot listen on {}", socket.display()))
}

async fn forget(directory: Arc<dyn Directory>, changed: Changed) -> Result<Value, Refused> {
    match changed.account {
        Some(account) => {
            let address = Address::parse(&account).map_err(Refused::because)?;
            let forgotten = directory.forget_account(&address.folded()).await;
            forgotten.map_err(Refused::because)?;
        }
        None => directory.forget(),
    }
    Ok(Value::Null)
}
