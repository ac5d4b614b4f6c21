//! Aliases and catch-alls.

use std::{collections::HashSet, fmt, str::FromStr};

use facteur_address::{Address, AddressError, Domain};
use serde::Serialize;

use super::{Admin, AdminError, Change, account::within, domain, statement::Value};
use crate::{destinations::split_destinations, sql::Row, variable::lookup_text};

const COLUMNS: [&str; 4] = ["address", "goto", "domain", "active"];

/// What an alias stands for: an address, or (`@domain`) all of a domain that are nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasAddress {
    /// One address.
    Address(Address),
    /// The catch-all of a domain.
    CatchAll(Domain),
}

impl AliasAddress {
    /// Its domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        match self {
            Self::Address(address) => address.domain(),
            Self::CatchAll(domain) => domain,
        }
    }
}

impl FromStr for AliasAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(domain) => Self::CatchAll(Domain::parse(domain)?),
            None => Self::Address(Address::parse(text)?.folded()),
        })
    }
}

/// As the directory writes it.
impl fmt::Display for AliasAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(&lookup_text(address)),
            Self::CatchAll(domain) => write!(f, "@{domain}"),
        }
    }
}

/// An alias as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AliasEntry {
    /// What it stands for.
    pub address: String,
    /// Where its mail goes.
    pub goto: Vec<String>,
    /// Whether it exists.
    pub active: bool,
    /// Whether it belongs to an account of the same address.
    pub account: bool,
}

impl Admin<'_> {
    /// Adds an alias.
    ///
    /// # Errors
    /// When it exists, its domain does not, or the domain's limit is reached.
    pub async fn add_alias(
        &self,
        alias: &AliasAddress,
        destinations: &[Address],
    ) -> Result<(), AdminError> {
        let (name, domain) = (alias.to_string(), alias.domain());
        let mut change = self.begin("alias").await?;
        let limits = change.domain(domain.as_str()).await?;
        let limits = limits.ok_or_else(|| domain::missing(domain.as_str()))?;
        if change.alias(&name).await?.is_some() {
            return Err(AdminError::Exists(format!("alias {name}")));
        }
        if change.has_account(&name).await? {
            return Err(AdminError::Exists(format!("account {name}")));
        }
        let limit = limits.number("aliases");
        if !within(change.count_aliases(domain).await?, limit) {
            return Err(AdminError::Limit(format!(
                "domain {domain} may not have more than {} aliases",
                limit.max(0)
            )));
        }
        let goto = join(destinations);
        change.insert_alias(&name, domain, &goto).await?;
        self.commit(change).await
    }

    /// All aliases, or those of a domain, by address.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn aliases(&self, domain: Option<&Domain>) -> Result<Vec<AliasEntry>, AdminError> {
        let mut change = self.begin("alias").await?;
        let key = domain.map(|domain| ("domain", domain.as_str()));
        let rows = change.select("alias", &COLUMNS, key).await?;
        let accounts = change.select("mailbox", &["username"], None).await?;
        let accounts = names(&accounts, "username");
        let is_account = |row: &Row| row.text("address").is_some_and(|a| accounts.contains(a));
        let entries = rows.iter().map(|row| entry(row, is_account(row)));
        Ok(entries.collect())
    }

    /// One alias.
    ///
    /// # Errors
    /// When there is none of that address.
    pub async fn alias(&self, alias: &AliasAddress) -> Result<AliasEntry, AdminError> {
        let name = alias.to_string();
        let mut change = self.read("alias").await?;
        let row = change.alias(&name).await?.ok_or_else(|| missing(&name))?;
        let account = change.has_account(&name).await?;
        Ok(entry(&row, account))
    }

    /// Changes where an alias leads, or whether it exists. The alias of an account is its
    /// forwarding: one that no longer names the account keeps no copy there.
    ///
    /// # Errors
    /// When there is none of that address.
    pub async fn set_alias(
        &self,
        alias: &AliasAddress,
        destinations: Option<&[Address]>,
        active: Option<bool>,
    ) -> Result<(), AdminError> {
        let name = alias.to_string();
        let mut values = vec![("modified", Value::Now)];
        values.extend(destinations.map(|goto| ("goto", Value::text(join(goto)))));
        values.extend(active.map(|active| ("active", Value::Truth(active))));
        let mut change = self.begin("alias").await?;
        if !change.update("alias", ("address", &name), &values).await? {
            return Err(missing(&name));
        }
        self.commit(change).await
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// When there is none of that address, or it belongs to an account.
    pub async fn remove_alias(&self, alias: &AliasAddress) -> Result<(), AdminError> {
        let name = alias.to_string();
        let mut change = self.begin("alias").await?;
        if change.has_account(&name).await? {
            return Err(AdminError::InUse(format!(
                "{name} is an account: set its alias to {name} to end its forwarding"
            )));
        }
        if change.delete("alias", ("address", &name)).await? == 0 {
            return Err(missing(&name));
        }
        self.commit(change).await
    }
}

impl Change {
    async fn alias(&mut self, name: &str) -> Result<Option<Row>, AdminError> {
        let rows = self
            .select("alias", &COLUMNS, Some(("address", name)))
            .await?;
        Ok(rows.into_iter().next())
    }

    async fn has_account(&mut self, name: &str) -> Result<bool, AdminError> {
        let key = Some(("username", name));
        let rows = self.select("mailbox", &["username"], key).await?;
        Ok(!rows.is_empty())
    }

    /// Aliases of a domain that are not just an account's own.
    async fn count_aliases(&mut self, domain: &Domain) -> Result<i64, AdminError> {
        let key = Some(("domain", domain.as_str()));
        let aliases = self.select("alias", &["address"], key).await?;
        let accounts = self.select("mailbox", &["username"], key).await?;
        let accounts = names(&accounts, "username");
        let own = |row: &&Row| row.text("address").is_some_and(|a| !accounts.contains(a));
        let count = aliases.iter().filter(own).count();
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) async fn insert_alias(
        &mut self,
        name: &str,
        domain: &Domain,
        goto: &str,
    ) -> Result<(), AdminError> {
        let values = [
            ("address", Value::text(name)),
            ("goto", Value::text(goto)),
            ("domain", Value::text(domain.as_str())),
            ("created", Value::Now),
            ("modified", Value::Now),
            ("active", Value::Truth(true)),
        ];
        self.insert("alias", &values).await
    }
}

/// `a@b,c@d`; as in mail, quoted where it has to be, so that a comma in a local part survives.
fn join(destinations: &[Address]) -> String {
    let texts: Vec<String> = destinations.iter().map(Address::to_string).collect();
    texts.join(",")
}

fn names<'a>(rows: &'a [Row], column: &str) -> HashSet<&'a str> {
    rows.iter().filter_map(|row| row.text(column)).collect()
}

fn entry(row: &Row, account: bool) -> AliasEntry {
    AliasEntry {
        address: row.text("address").unwrap_or("").to_owned(),
        goto: split_destinations(row.text("goto")),
        active: row.truth("active", true),
        account,
    }
}

fn missing(name: &str) -> AdminError {
    AdminError::Missing(format!("alias {name}"))
}
