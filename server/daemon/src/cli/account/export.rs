//! `facteur account export`

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use facteur_address::Address;
use facteur_config::Config;
use facteur_control::Progress;
use facteur_model::AccountSpec;
use facteur_store::{ExportFormat, Exported, Store};
use serde::Serialize;

use crate::{
    cli::{Context, bar::Bar, server},
    wiring::{self, Paths},
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["to_dovecot"]))]
pub(super) struct Args {
    /// As a tree that Dovecot opens.
    #[arg(long)]
    to_dovecot: bool,
    /// The account's address.
    #[arg(value_parser = Address::parse)]
    address: Address,
    /// The folder to write: missing or empty.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// How the copy keeps its messages: mail_location is sdbox:DIR or maildir:DIR.
    #[arg(long, value_enum, default_value_t = Format::Sdbox)]
    format: Format,
    /// Do not copy messages: give the account's own files a second name, where the file system allows
    /// it. It is done at once and takes no room, but chown and chmod of the copy reach the account.
    #[arg(long)]
    link: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// The same files as the account's, and Dovecot's index with flags and keywords.
    Sdbox,
    /// Maildir++: 26 keywords a mailbox, and no dot in mailboxes' names.
    Maildir,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    account: String,
    dir: PathBuf,
    format: Format,
    #[serde(flatten)]
    exported: Exported,
}

/// Status 0: the copy is whole and durable; 1: there is none.
pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let state = Paths::new(&config).state();
    refuse_if_running(&state)?;
    let dir = std::path::absolute(&args.dir)?;
    let made = prepare(&dir, &state)?;
    let report = export(args, &dir, &config, context);
    if report.is_err() && made {
        // Only if nothing is in it.
        let _ = fs::remove_dir(&dir);
    }
    print(&report?, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The server has the mail in its memory: only it could export meanwhile.
fn refuse_if_running(state: &Path) -> anyhow::Result<()> {
    let lock = state.join("lock");
    if !lock.exists() {
        bail!("there is no mail store yet: no server ever ran with this configuration");
    }
    let free = facteur_disk::Disk::real().lock(&lock);
    let free = free.with_context(|| format!("cannot open {}", lock.display()))?;
    if free.is_none() {
        bail!(
            "the server is running: stop it first (systemctl stop facteur, or docker compose stop), export, and start it again"
        );
    }
    Ok(())
}

/// Makes the folder, for the server's user as whom the export goes on; says whether it was made.
fn prepare(dir: &Path, state: &Path) -> anyhow::Result<bool> {
    let made = match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {
            let mut entries = fs::read_dir(dir)?;
            anyhow::ensure!(entries.next().is_none(), "{} is not empty", dir.display());
            false
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot make {}", dir.display()));
        }
    };
    let (server, owner) = (fs::metadata(state)?, fs::metadata(dir)?);
    if rustix::process::geteuid().is_root() && server.uid() != owner.uid() {
        std::os::unix::fs::chown(dir, Some(server.uid()), Some(server.gid()))
            .with_context(|| format!("cannot give {} to the server's user", dir.display()))?;
    }
    Ok(made)
}

fn export(args: &Args, dir: &Path, config: &Config, context: &Context) -> anyhow::Result<Report> {
    let Some(store) = server::open_store(config)? else {
        bail!("there is no mail store yet: no server ever ran with this configuration");
    };
    let exported = export_from(&store, args, dir, config, context);
    let closed = store.close();
    let exported = exported?;
    closed?;
    Ok(Report {
        account: args.address.to_string(),
        dir: dir.to_owned(),
        format: args.format,
        exported,
    })
}

fn export_from(
    store: &Store,
    args: &Args,
    dir: &Path,
    config: &Config,
    context: &Context,
) -> anyhow::Result<Exported> {
    let spec = context
        .runtime()?
        .block_on(look_up(config, &args.address))?;
    let format = match (args.format, args.link) {
        (Format::Sdbox, true) => ExportFormat::LinkedSdbox,
        (Format::Sdbox, false) => ExportFormat::Sdbox,
        (Format::Maildir, false) => ExportFormat::Maildir,
        (Format::Maildir, true) => bail!("a Maildir's files are others: --link is for sdbox"),
    };
    let mut bar = Bar::new();
    let what = spec.id.to_string();
    let mut progress = |done, total| {
        // Not every message is worth a line.
        if done % 64 == 0 || done == total {
            bar.show(&Progress {
                done,
                total,
                what: what.clone(),
            });
        }
    };
    let exported = store.export_account(&spec, format, dir, &mut progress);
    bar.clear();
    exported.with_context(|| format!("cannot export {} to {}", args.address, dir.display()))
}

async fn look_up(config: &Config, address: &Address) -> anyhow::Result<AccountSpec> {
    let directory = wiring::directory::open(config, false).await?;
    match directory.account(&address.folded()).await? {
        Some(record) => Ok(facteur_account::spec(&record)),
        None => bail!("there is no account {address}"),
    }
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
        return Ok(());
    }
    let Exported {
        mailboxes,
        messages,
        linked,
        scripts,
        lost_keywords,
    } = &report.exported;
    let location = match report.format {
        Format::Sdbox => "sdbox",
        Format::Maildir => "maildir",
    };
    writeln!(
        out,
        "{}: {messages} messages in {mailboxes} mailboxes, {scripts} scripts",
        report.account
    )?;
    if *linked > 0 {
        writeln!(
            out,
            "{linked} messages are the account's own files: chown reaches them"
        )?;
    }
    for lost in lost_keywords {
        writeln!(out, "keyword left out, a Maildir has 26 a mailbox: {lost}")?;
    }
    writeln!(out, "mail_location = {location}:{}", report.dir.display())?;
    Ok(())
}
