//! `facteur quickstart`

use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder that everything goes into.
    #[arg(long, value_name = "DIR", default_value = "facteur-data")]
    pub(crate) data: PathBuf,
    /// Each protocol listens on this plus its standard port.
    #[arg(long, value_name = "PORT", default_value_t = 2000, value_parser = clap::value_parser!(u16).range(..=61_000))]
    pub(crate) port_base: u16,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    crate::quickstart::run(&args.data, args.port_base)
}
