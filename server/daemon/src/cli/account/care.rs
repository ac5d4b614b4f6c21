//! `facteur account sync|check|rebuild|optimize|forget`

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use facteur_address::Address;
use facteur_config::Config;
use facteur_control::{Progress, Verbs};
use facteur_runtime::Bridge;
use facteur_store::{Checked, Finding, FindingKind, Forgotten, Optimized, Rebuilt, Remedy, Synced};
use serde_json::Value;

use crate::{
    cli::{
        Context,
        bar::Bar,
        server::{self, Listener},
    },
    maintenance::{self, Outcome, Report, Wanted, Work},
    wiring::Paths,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The accounts' addresses.
    #[arg(value_parser = Address::parse, value_name = "ADDRESS", required_unless_present = "all")]
    addresses: Vec<Address>,
    /// Every account of the directory.
    #[arg(long, conflicts_with = "addresses")]
    all: bool,
    /// One JSON object a line for each account instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ForgetArgs {
    /// The accounts' addresses; the directory need not know them any more.
    #[arg(value_parser = Address::parse, value_name = "ADDRESS", required = true)]
    addresses: Vec<Address>,
    /// One JSON object a line for each account instead of text.
    #[arg(long)]
    json: bool,
}

impl From<ForgetArgs> for Args {
    fn from(args: ForgetArgs) -> Self {
        let ForgetArgs { addresses, json } = args;
        Self {
            addresses,
            all: false,
            json,
        }
    }
}

/// Status 0: done, and nothing is wrong with any account; 1: not.
pub(in crate::cli) fn run(work: Work, args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let wanted = Wanted {
        accounts: (!args.all).then(|| args.addresses.iter().map(Address::to_string).collect()),
    };
    let mut printer = Printer {
        json: args.json,
        wrong: false,
        count: 0,
        bar: Bar::new(),
    };
    let state = Paths::new(&config).state();
    let asked = match server::ask(&state, work.verb(), &wanted, &mut printer) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => offline(&config, work, &wanted, &mut printer, context),
        Err(error) => Err(error),
    };
    printer.bar.clear();
    match asked {
        // Whoever read has seen enough.
        Err(error) if is_broken_pipe(&error) => {}
        other => other?,
    }
    if args.all && !args.json && printer.count == 0 {
        println!("There are no accounts.");
    }
    Ok(if printer.wrong {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Without a server: its work is done here, as its user.
fn offline(
    config: &Config,
    work: Work,
    wanted: &Wanted,
    printer: &mut Printer,
    context: &Context,
) -> anyhow::Result<()> {
    let Some(store) = server::open_store(config)? else {
        anyhow::bail!("there is no mail store yet: no server ever ran with this configuration");
    };
    let bridge = Bridge::new(1);
    let asked = context.runtime()?.block_on(async {
        let parts = maintenance::Parts {
            store: store.clone(),
            directory: crate::wiring::directory::open(config, false).await?,
            bridge: bridge.clone(),
        };
        let verbs = maintenance::verbs(Verbs::default(), &parts);
        anyhow::Ok(server::ask_here(&verbs, work.verb(), wanted, printer).await?)
    });
    bridge.close();
    let closed = store.close();
    asked?;
    Ok(closed?)
}

/// Prints reports as they come.
struct Printer {
    json: bool,
    /// Whether anything is wrong with an account, or could not be done.
    wrong: bool,
    count: usize,
    bar: Bar,
}

impl Listener for Printer {
    fn item(&mut self, item: Value) -> io::Result<()> {
        self.bar.clear();
        self.count += 1;
        let mut out = io::stdout().lock();
        let report: Report = serde_json::from_value(item)?;
        self.wrong |= match &report.outcome {
            Outcome::Failed(_) => true,
            Outcome::Checked(checked) => !checked.findings.is_empty(),
            Outcome::Quota(report) => {
                let recount = report.recount.as_ref();
                recount.is_some_and(|recount| recount.not_mirrored.is_some())
            }
            _ => false,
        };
        if self.json {
            serde_json::to_writer(&mut out, &report)?;
            return writeln!(out);
        }
        for line in lines(&report) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn progress(&mut self, progress: &Progress) {
        self.bar.show(progress);
    }
}

fn lines(report: &Report) -> Vec<String> {
    let account = &report.account;
    let (said, more) = match &report.outcome {
        Outcome::Synced(synced) => (of_sync(*synced).to_owned(), Vec::new()),
        Outcome::Checked(checked) => of_check(checked, account),
        Outcome::Rebuilt(rebuilt) => (of_rebuild(*rebuilt), Vec::new()),
        Outcome::Optimized(optimized) => (of_optimize(*optimized), Vec::new()),
        Outcome::Forgotten(forgotten) => (of_forget(*forgotten), Vec::new()),
        Outcome::Quota(report) => (report.line(), Vec::new()),
        Outcome::Failed(why) => (format!("failed: {why}"), Vec::new()),
    };
    let mut lines = vec![format!("{account}: {said}")];
    lines.extend(more);
    lines
}

const NEVER_USED: &str = "never used: it has no mail home";

fn of_sync(synced: Synced) -> &'static str {
    match synced {
        Synced {
            never_used: true, ..
        } => NEVER_USED,
        Synced { in_use: true, .. } => "synced; it is in use",
        Synced { .. } => "synced",
    }
}

fn of_rebuild(rebuilt: Rebuilt) -> String {
    if rebuilt.never_used {
        return NEVER_USED.to_owned();
    }
    let Rebuilt {
        messages,
        flags_kept,
        was_damaged,
        ..
    } = rebuilt;
    if was_damaged {
        format!(
            "rebuilt: {messages} messages; the old index was damaged, and told the flags of {flags_kept}"
        )
    } else {
        format!("rebuilt: {messages} messages")
    }
}

fn of_optimize(optimized: Optimized) -> String {
    if optimized.never_used {
        return NEVER_USED.to_owned();
    }
    let (before, after) = (optimized.before, optimized.after);
    format!("index optimized: {before} octets before, {after} now")
}

fn of_forget(forgotten: Forgotten) -> String {
    match forgotten {
        Forgotten { changes: 0, .. } => "the journal has nothing of it".to_owned(),
        Forgotten { changes, messages } => {
            format!("given up: {changes} changes, {messages} messages among them")
        }
    }
}

fn of_check(checked: &Checked, account: &str) -> (String, Vec<String>) {
    if checked.never_used {
        return (NEVER_USED.to_owned(), Vec::new());
    }
    let Checked {
        mailboxes,
        messages,
        octets,
        findings,
        ..
    } = checked;
    let what = format!("{messages} messages of {octets} octets in {mailboxes} mailboxes");
    if findings.is_empty() {
        return (format!("sound: {what}"), Vec::new());
    }
    let mut lines: Vec<String> = findings.findings.iter().map(of_finding).collect();
    if findings.unlisted > 0 {
        lines.push(format!("  and {} more", findings.unlisted));
    }
    let remedies = findings.remedies();
    lines.extend(
        remedies
            .into_iter()
            .map(|remedy| of_remedy(remedy, account)),
    );
    (format!("not sound: {what}"), lines)
}

fn of_finding(finding: &Finding) -> String {
    let place = match (&finding.mailbox, finding.uid) {
        (Some(mailbox), Some(uid)) => format!("{mailbox} UID {uid}: "),
        (Some(mailbox), None) => format!("{mailbox}: "),
        (None, _) => String::new(),
    };
    let kind = match finding.kind {
        FindingKind::IndexMissing => "index missing",
        FindingKind::IndexDamaged => "index damaged",
        FindingKind::MailboxUnknown => "mailbox unknown",
        FindingKind::MailboxMissing => "mailbox missing",
        FindingKind::UidValidityMissing => "uidvalidity missing",
        FindingKind::FileMissing => "file missing",
        FindingKind::FileUnknown => "file unknown",
        FindingKind::FileDamaged => "file damaged",
        FindingKind::SizeDiffers => "size differs",
        FindingKind::ScriptLinkBroken => "script link broken",
    };
    format!("  {place}{kind}: {}", finding.detail)
}

fn of_remedy(remedy: Remedy, account: &str) -> String {
    match remedy {
        Remedy::Rebuild => format!("  to mend it: facteur account rebuild {account}"),
        Remedy::NextUse => "  the account's next use mends it".to_owned(),
        Remedy::Restore => format!(
            "  to mend it: restore the file from a backup, then facteur account rebuild {account}"
        ),
        Remedy::Activate => "  to mend it: let its owner activate a script".to_owned(),
    }
}
