//! `facteur domain`

use std::process::ExitCode;

use facteur_address::Domain;
use facteur_directory::{Admin, DomainChange, DomainEntry, DomainKind, NewDomain};

use super::{
    Context,
    directory::{print, with_sql},
    server::directory_changed,
};

const EXAMPLES: &str = "\
Examples:
  facteur domain add example.org
  facteur domain add example.net --alias-of example.org
  facteur domain add example.com --relay
  facteur domain set example.org --maxquota 5000
  facteur domain remove example.net";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add a domain.
    ///
    /// The server takes its mail from then on. With --relay it passes the mail on, to where the
    /// domain's MX record or `queue.transport_maps` leads. With --alias-of all its addresses are those
    /// of another domain. Counts and quotas that are not given are unlimited.
    Add {
        /// Its name.
        #[arg(value_parser = Domain::parse)]
        domain: Domain,
        /// Relay its mail instead of keeping it (PostfixAdmin's "backup MX").
        #[arg(long, conflicts_with = "alias_of")]
        relay: bool,
        /// Make it an alias of this domain: user@DOMAIN is user@TARGET.
        #[arg(long, value_name = "TARGET", value_parser = Domain::parse)]
        alias_of: Option<Domain>,
        #[command(flatten)]
        limits: Limits,
    },
    /// List all domains.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a domain.
    Show {
        /// Its name.
        #[arg(value_parser = Domain::parse)]
        domain: Domain,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change a domain.
    Set {
        /// Its name.
        #[arg(value_parser = Domain::parse)]
        domain: Domain,
        /// Relay its mail instead of keeping it.
        #[arg(long, value_name = "BOOL")]
        relay: Option<bool>,
        /// Whether it exists for mail and logins.
        #[arg(long, value_name = "BOOL")]
        active: Option<bool>,
        #[command(flatten)]
        limits: Limits,
    },
    /// Remove a domain that has no accounts and aliases any more.
    Remove {
        /// Its name.
        #[arg(value_parser = Domain::parse)]
        domain: Domain,
    },
}

/// PostfixAdmin's limits: 0 is unlimited, -1 none at all.
#[derive(Debug, clap::Args)]
struct Limits {
    /// For people.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Most aliases.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    aliases: Option<i64>,
    /// Most accounts.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    mailboxes: Option<i64>,
    /// Largest quota of an account, in MB.
    #[arg(long, value_name = "MB", allow_negative_numbers = true)]
    maxquota: Option<i64>,
    /// Quota of all accounts together, in MB.
    #[arg(long, value_name = "MB", allow_negative_numbers = true)]
    quota: Option<i64>,
}

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let changes = !matches!(args.verb, Verb::List { .. } | Verb::Show { .. });
    let adds = matches!(args.verb, Verb::Add { .. });
    with_sql(context, adds, async |sql| {
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
            domain,
            relay,
            alias_of,
            limits,
        } => {
            let unlimited = NewDomain::new(domain);
            let new = NewDomain {
                description: limits.description.unwrap_or_default(),
                kind: kind(relay),
                aliases: limits.aliases.unwrap_or(0),
                mailboxes: limits.mailboxes.unwrap_or(0),
                maxquota: limits.maxquota.unwrap_or(0),
                quota: limits.quota.unwrap_or(0),
                alias_of,
                ..unlimited
            };
            admin.add_domain(&new).await?;
        }
        Verb::List { json } => {
            let entries = admin.domains().await?;
            print(json, &entries, entries.iter().map(line))?;
        }
        Verb::Show { domain, json } => {
            let entry = admin.domain(&domain).await?;
            print(json, &entry, lines(&entry))?;
        }
        Verb::Set {
            domain,
            relay,
            active,
            limits,
        } => {
            let change = DomainChange {
                description: limits.description,
                kind: relay.map(kind),
                aliases: limits.aliases,
                mailboxes: limits.mailboxes,
                maxquota: limits.maxquota,
                quota: limits.quota,
                active,
            };
            admin.set_domain(&domain, &change).await?;
        }
        Verb::Remove { domain } => admin.remove_domain(&domain).await?,
    }
    Ok(())
}

fn kind(relay: bool) -> DomainKind {
    if relay {
        DomainKind::Relay
    } else {
        DomainKind::Local
    }
}

fn line(entry: &DomainEntry) -> String {
    let mut line = entry.domain.clone();
    if let Some(target) = &entry.alias_of {
        line.push_str(" -> ");
        line.push_str(target);
    }
    if entry.backupmx {
        line.push_str(" (relayed)");
    }
    if !entry.active {
        line.push_str(" (inactive)");
    }
    line
}

fn lines(entry: &DomainEntry) -> Vec<String> {
    let limit = |count: i64, unit: &str| match count {
        0 => "unlimited".to_owned(),
        count if count < 0 => "none".to_owned(),
        count => format!("{count}{unit}"),
    };
    vec![
        line(entry),
        format!("description:     {}", entry.description),
        format!("accounts:        {}", limit(entry.mailboxes, "")),
        format!("aliases:         {}", limit(entry.aliases, "")),
        format!("largest quota:   {}", limit(entry.maxquota, " MB")),
        format!("quota of all:    {}", limit(entry.quota, " MB")),
    ]
}
