//! `facteur account`

pub(super) mod care;
mod export;
mod test;

use std::process::ExitCode;

use facteur_address::{Address, Domain};
use facteur_config::Size;
use facteur_directory::{AccountChange, AccountEntry, Admin, NewAccount};

use super::{
    Context,
    directory::{ask_password, print, with_sql},
    server::directory_changed,
};
use crate::maintenance::Work;

const EXAMPLES: &str = "\
Examples:
  facteur account add bob@example.org --quota 2G
  facteur account add alice@example.org <password-file
  facteur account set bob@example.org --password
  facteur account set bob@example.org --active false
  facteur account list --domain example.org
  facteur account test bob@example.org
  facteur account check --all
  facteur account sync bob@example.org
  facteur account export --to-dovecot bob@example.org /srv/dovecot/bob";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add an account. Its password is asked for, or read from the standard input.
    ///
    /// Its domain must be there: see `facteur domain add`. The password is stored as Argon2id. Its
    /// mailbox is made when it is first used.
    Add {
        /// Its address; also the login name.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Its owner's name.
        #[arg(long, default_value = "")]
        name: String,
        /// How much it may hold, such as 500M; 0 is unlimited. Without it: what the domain allows.
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        quota: Option<u64>,
    },
    /// List accounts.
    List {
        /// Only those of this domain.
        #[arg(long, value_parser = Domain::parse)]
        domain: Option<Domain>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show an account.
    Show {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change an account.
    Set {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
        /// Give it a new password: asked for, or read from the standard input.
        #[arg(long)]
        password: bool,
        /// Its owner's name.
        #[arg(long)]
        name: Option<String>,
        /// How much it may hold, such as 500M; 0 is unlimited.
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        quota: Option<u64>,
        /// Whether it exists for mail and logins.
        #[arg(long, value_name = "BOOL")]
        active: Option<bool>,
    },
    /// Remove an account from the directory. Its mail stays where it lies.
    Remove {
        /// Its address.
        #[arg(value_parser = Address::parse)]
        address: Address,
    },
    /// Say what the directory knows of an address, and whether a password fits.
    Test(test::Args),
    /// Bring everything of an account into its files, durably, so that rsync can copy it.
    ///
    /// The running server does it without stopping; an account that nobody uses is left as after a
    /// stop of the server, and its copy opens at once. The copy of one that somebody uses has all
    /// that was acknowledged until now, and is looked through when it is opened.
    Sync(care::Args),
    /// Compare an account's index with its files; say what is wrong, and what would mend it.
    ///
    /// Every message's file is opened. Nothing is changed, and the account can be used meanwhile.
    /// With --json each account is an object with the member `checked` and in it `findings`, whose
    /// `kind` is one of index_missing, index_damaged, mailbox_unknown, mailbox_missing,
    /// uid_validity_missing, file_missing, file_unknown, file_damaged, size_differs,
    /// script_link_broken, and `remedy` one of rebuild, next_use, restore, activate.
    ///
    /// Status 0: all is well; 1: something is wrong.
    Check(care::Args),
    /// Build an account's index anew from its files.
    ///
    /// Flags and keywords stay, as far as the old index can be read. The account's sessions are
    /// disconnected; until it is done its logins and mail are put off, other accounts notice
    /// nothing.
    Rebuild(care::Args),
    /// Make an account's index as small and as quick as its content allows.
    ///
    /// It is rewritten, and needs as much room again for the time it takes; the account's sessions
    /// wait so long.
    Optimize(care::Args),
    /// Give up what the journal keeps for an account whose mail home is gone for good.
    ///
    /// What could not be brought into a home, because it is not there, stays in the journal until it
    /// is: the log says so. Where it will not come back, that is given up here: messages that were
    /// acknowledged and are nowhere else are lost. An account whose home is there is left alone, and
    /// so is one whose disk seems not to be mounted.
    Forget(care::ForgetArgs),
    /// Write a copy of an account for another server: the way back.
    ///
    /// Dovecot opens the copy and sees every mailbox, message, flag, keyword, UID, UIDVALIDITY, GUID
    /// and date, and the subscriptions; clients notice nothing. Sieve scripts are in sieve/, the
    /// active one is dovecot.sieve. The account itself is not changed.
    ///
    /// The server must not run. The copy belongs to the server's user: give it to Dovecot's with
    /// chown -R.
    ///
    /// Status 0: the copy is whole and on the disk; 1: nothing was written.
    Export(export::Args),
}

impl Verb {
    /// Whether the directory may be another afterwards.
    fn changes(&self) -> bool {
        matches!(
            self,
            Self::Add { .. } | Self::Set { .. } | Self::Remove { .. }
        )
    }
}

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Test(args) => test::run(args, context),
        Verb::Sync(args) => care::run(Work::Sync, &args, context),
        Verb::Check(args) => care::run(Work::Check, &args, context),
        Verb::Rebuild(args) => care::run(Work::Rebuild, &args, context),
        Verb::Optimize(args) => care::run(Work::Optimize, &args, context),
        Verb::Forget(args) => care::run(Work::Forget, &args.into(), context),
        Verb::Export(args) => export::run(&args, context),
        verb => {
            let changes = verb.changes();
            with_sql(context, false, async |sql| {
                perform(verb, Admin::new(sql)).await
            })?;
            if changes {
                directory_changed(context)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn perform(verb: Verb, admin: Admin<'_>) -> anyhow::Result<()> {
    match verb {
        Verb::Add {
            address,
            name,
            quota,
        } => {
            let password = facteur_password::hash(ask_password(true)?.as_bytes())?;
            let new = NewAccount {
                address,
                password,
                name,
                quota,
            };
            admin.add_account(&new).await?;
        }
        Verb::List { domain, json } => {
            let entries = admin.accounts(domain.as_ref()).await?;
            print(json, &entries, entries.iter().map(line))?;
        }
        Verb::Show { address, json } => {
            let entry = admin.account(&address).await?;
            print(json, &entry, lines(&entry))?;
        }
        Verb::Set {
            address,
            password,
            name,
            quota,
            active,
        } => {
            let any = password || name.is_some() || quota.is_some() || active.is_some();
            anyhow::ensure!(any, "nothing to change: see facteur account set --help");
            let password = if password {
                Some(facteur_password::hash(ask_password(true)?.as_bytes())?)
            } else {
                None
            };
            let change = AccountChange {
                password,
                name,
                quota,
                active,
            };
            admin.set_account(&address, &change).await?;
        }
        Verb::Remove { address } => {
            let removed = admin.remove_account(&address).await?;
            if !removed.aliases.is_empty() {
                eprintln!("aliases still lead there: {}", removed.aliases.join(", "));
            }
        }
        Verb::Test(_)
        | Verb::Sync(_)
        | Verb::Check(_)
        | Verb::Rebuild(_)
        | Verb::Optimize(_)
        | Verb::Forget(_)
        | Verb::Export(_) => {}
    }
    Ok(())
}

fn quota(bytes: i64) -> String {
    match u64::try_from(bytes) {
        Ok(0) | Err(_) => "unlimited".to_owned(),
        Ok(bytes) => Size(bytes).to_string(),
    }
}

fn line(entry: &AccountEntry) -> String {
    let mut line = entry.address.clone();
    if entry.quota > 0 {
        line.push_str(" quota ");
        line.push_str(&quota(entry.quota));
    }
    if !entry.forwards_to.is_empty() {
        line.push_str(" -> ");
        line.push_str(&entry.forwards_to.join(", "));
    }
    if !entry.active {
        line.push_str(" (inactive)");
    }
    line
}

fn lines(entry: &AccountEntry) -> Vec<String> {
    let count = |count: Option<i64>| count.map_or("not counted".to_owned(), |n| n.to_string());
    vec![
        line(entry),
        format!("name:        {}", entry.name),
        format!("quota:       {}", quota(entry.quota)),
        format!("bytes:       {}", count(entry.bytes)),
        format!("messages:    {}", count(entry.messages)),
    ]
}

/// `500M`, `2G`, or bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_ascii_uppercase();
    let number = upper.trim_end_matches('B');
    let (digits, unit) = match number.chars().last() {
        Some('K') => (number.trim_end_matches('K'), 1 << 10),
        Some('M') => (number.trim_end_matches('M'), 1 << 20),
        Some('G') => (number.trim_end_matches('G'), 1 << 30),
        Some('T') => (number.trim_end_matches('T'), 1_u64 << 40),
        _ => (number, 1),
    };
    let count: Option<u64> = digits.trim().parse().ok();
    count
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| "a size is a number of bytes, or such as 500M or 2G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_their_units() {
        assert_eq!(parse_size("1000"), Ok(1000));
        assert_eq!(parse_size("500m"), Ok(500 << 20));
        assert_eq!(parse_size("2GB"), Ok(2 << 30));
        for text in ["", "M", "-1", "1X", "99999999999T"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
