//! `facteur quota`: what accounts hold.

use std::process::ExitCode;

use super::{Context, account::care};
use crate::maintenance::Work;

const EXAMPLES: &str = "\
The running server is asked; where none runs, the store is read where it lies.

Examples:
  facteur quota get bob@example.org
  facteur quota get --all --json
  facteur quota recalc --all";

/// Arguments of `facteur quota`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show what accounts hold, in the folders that count, and what they may hold.
    Get(care::Args),
    /// Count anew what accounts hold, from the messages in their indexes, and write it to the
    /// directory (quota2). That the indexes are as the files is what `facteur account check` says.
    Recalc(care::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Get(args) => care::run(Work::QuotaGet, args, context),
        Verb::Recalc(args) => care::run(Work::QuotaRecalc, args, context),
    }
}
