//! `facteur serve`

use std::process::ExitCode;

use super::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take listeners, keys and configuration from the privileged parent on standard input.
    #[arg(long, hide = true)]
    pub(crate) from_parent: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.from_parent {
        crate::serve::as_child()
    } else if rustix::process::geteuid().is_root() {
        crate::privileges::as_parent(&context.config)
    } else {
        crate::serve::directly(&context.config)
    }
}
