//! `facteur alias`

use std::process::ExitCode;

use facteur_address::{Address, Domain};
use facteur_directory::{Admin, AliasAddress, AliasEntry};

use super::{
    Context,
    directory::{print, with_sql},
    server::directory_changed,
};

const EXAMPLES: &str = "\
Examples:
  facteur alias add info@example.org bob@example.org alice@example.org
  facteur alias add @example.org bob@example.org
  facteur alias set bob@example.org bob@example.org bob@elsewhere.example
  facteur alias remove info@example.org";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add an alias.
    Add {
        /// An address, or @domain for everything in it that is nothing else.
        alias: AliasAddress,
        /// Where its mail goes.
        #[arg(required = true, value_name = "DESTINATION", value_parser = Address::parse)]
        destinations: Vec<Address>,
    },
    /// List aliases. An account's own alias is listed only where it forwards.
    List {
        /// Only those of this domain.
        #[arg(long, value_parser = Domain::parse)]
        domain: Option<Domain>,
        /// As JSON, accounts' own aliases among them.
        #[arg(long)]
        json: bool,
    },
    /// Show an alias.
    Show {
        /// An address or @domain.
        alias: AliasAddress,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change where an alias leads. An account's own alias is its forwarding: name the account among
    /// the destinations to keep a copy in its mailbox.
    Set {
        /// An address or @domain.
        alias: AliasAddress,
        /// Where its mail goes from now on; as it is if none is given.
        #[arg(value_name = "DESTINATION", value_parser = Address::parse)]
        destinations: Vec<Address>,
        /// Whether it exists.
        #[arg(long, value_name = "BOOL")]
        active: Option<bool>,
    },
    /// Remove an alias.
    Remove {
        /// An address or @domain.
        alias: AliasAddress,
    },
}

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let changes = !matches!(args.verb, Verb::List { .. } | Verb::Show { .. });
    with_sql(context, false, async |sql| {
        perform(args.verb, Admin::new(sql)).await
    })?;
    if changes {
        directory_changed(context)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn perform(verb: Verb, admin: Admin<'_>) -> anyhow::Result<()> {
    match verb {
        Verb::Add {
            alias,
            destinations,
        } => admin.add_alias(&alias, &destinations).await?,
        Verb::List { domain, json } => {
            let entries = admin.aliases(domain.as_ref()).await?;
            let own = |entry: &&AliasEntry| !entry.account || entry.goto != [entry.address.clone()];
            print(json, &entries, entries.iter().filter(own).map(line))?;
        }
        Verb::Show { alias, json } => {
            let entry = admin.alias(&alias).await?;
            print(json, &entry, [line(&entry)])?;
        }
        Verb::Set {
            alias,
            destinations,
            active,
        } => {
            anyhow::ensure!(
                !destinations.is_empty() || active.is_some(),
                "nothing to change: give destinations or --active"
            );
            let destinations = (!destinations.is_empty()).then_some(destinations.as_slice());
            admin.set_alias(&alias, destinations, active).await?;
        }
        Verb::Remove { alias } => admin.remove_alias(&alias).await?,
    }
    Ok(())
}

fn line(entry: &AliasEntry) -> String {
    let inactive = if entry.active { "" } else { " (inactive)" };
    format!("{} -> {}{inactive}", entry.address, entry.goto.join(", "))
}
