//! What the verbs that change the directory share: opening it, asking for a password, printing.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
use facteur_directory::Sql;
use serde::Serialize;

use super::Context;
use crate::wiring::Paths;

/// Longest password that is read.
const MAX_PASSWORD_LEN: u64 = 4096;

/// Runs `work` on the SQL directory of the configuration. A missing one is made before the server's
/// first start, and where that is `wanted`.
pub(crate) fn with_sql<T>(
    context: &Context,
    wanted: bool,
    work: impl AsyncFnOnce(&Sql) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let loaded = context.load()?;
    crate::privileges::prepare_data(&loaded.config)?;
    let create = wanted || !Paths::new(&loaded.config).state().exists();
    context.runtime()?.block_on(async {
        let sql = crate::wiring::directory::open_sql(&loaded.config, create).await?;
        work(&sql).await
    })
}

/// Asks for a password on the terminal, twice when it is a new one; without a terminal it is the
/// first line of the standard input. Never an argument: those stand in the list of processes.
pub(crate) fn ask_password(new: bool) -> anyhow::Result<String> {
    let password = if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ").context("no password read")?;
        if new && rpassword::prompt_password("Again: ").context("no password read")? != password {
            bail!("the two passwords differ");
        }
        password
    } else {
        let mut line = String::new();
        let input = std::io::stdin().lock();
        input
            .take(MAX_PASSWORD_LEN + 2)
            .read_line(&mut line)
            .context("no password read from the standard input")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        bail!("the password is empty");
    }
    if password.len() as u64 > MAX_PASSWORD_LEN || password.contains('\0') {
        bail!("the password is longer than {MAX_PASSWORD_LEN} octets or has a NUL in it");
    }
    Ok(password)
}

/// Prints a list or one entry: as JSON, or a line for each.
pub(crate) fn print<T: Serialize>(
    json: bool,
    entries: &T,
    lines: impl IntoIterator<Item = String>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, entries)?;
        writeln!(out)?;
        return Ok(());
    }
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
