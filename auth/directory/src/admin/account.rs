//! Accounts.

use std::collections::HashMap;

use facteur_address::{Address, Domain};
use serde::Serialize;

use super::{Admin, AdminError, Change, MEGABYTE, domain, maildir, statement::Value};
use crate::{destinations::split_destinations, sql::Row, variable::lookup_text};

const COLUMNS: [&str; 5] = ["username", "name", "quota", "domain", "active"];

/// An account to add.
#[derive(Clone)]
pub struct NewAccount {
    /// Its address.
    pub address: Address,
    /// The stored password, hashed, with its scheme.
    pub password: String,
    /// Its owner's name.
    pub name: String,
    /// Quota in bytes, 0 unlimited; `None`: the domain's largest.
    pub quota: Option<u64>,
}

/// What to change of an account; `None` stays.
#[derive(Clone, Default)]
pub struct AccountChange {
    /// The stored password, hashed, with its scheme.
    pub password: Option<String>,
    /// Its owner's name.
    pub name: Option<String>,
    /// Quota in bytes, 0 unlimited.
    pub quota: Option<u64>,
    /// Whether it exists for mail and logins.
    pub active: Option<bool>,
}

/// An account as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountEntry {
    /// Its address.
    pub address: String,
    /// Its owner's name.
    pub name: String,
    /// Quota in bytes, 0 unlimited.
    pub quota: i64,
    /// Bytes it holds, as last counted.
    pub bytes: Option<i64>,
    /// Messages it holds, as last counted.
    pub messages: Option<i64>,
    /// Whether it exists for mail and logins.
    pub active: bool,
    /// Where its mail goes when not, or not only, into its mailbox.
    pub forwards_to: Vec<String>,
}

/// An account that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovedAccount {
    /// Aliases that still name it.
    pub aliases: Vec<String>,
}

impl Admin<'_> {
    /// Adds an account, and the alias that names itself which PostfixAdmin keeps for each.
    ///
    /// # Errors
    /// When it exists, its domain does not, or the domain's limits are reached.
    pub async fn add_account(&self, new: &NewAccount) -> Result<(), AdminError> {
        let address = new.address.folded();
        let (name, domain) = (lookup_text(&address), address.domain().clone());
        let mut change = self.begin("mailbox").await?;
        if change.account(&name).await?.is_some() {
            return Err(AdminError::Exists(format!("account {name}")));
        }
        let key = Some(("address", name.as_str()));
        if !change.select("alias", &["address"], key).await?.is_empty() {
            return Err(AdminError::Exists(format!("alias {name}")));
        }
        let quota = change
            .allowed_quota(&domain, &name, new.quota, true)
            .await?;
        let values = [
            ("username", Value::text(&name)),
            ("password", Value::text(&new.password)),
            ("name", Value::text(&new.name)),
            ("maildir", Value::text(maildir(&domain, address.local()))),
            ("quota", Value::Number(quota)),
            ("local_part", Value::text(address.local())),
            ("domain", Value::text(domain.as_str())),
            ("created", Value::Now),
            ("modified", Value::Now),
            ("active", Value::Truth(true)),
        ];
        change.insert("mailbox", &values).await?;
        if change.schema.has_table("alias") {
            change.insert_alias(&name, &domain, &name).await?;
        }
        self.commit(change).await
    }

    /// All accounts, or those of a domain, by address.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn accounts(&self, domain: Option<&Domain>) -> Result<Vec<AccountEntry>, AdminError> {
        let mut change = self.read("mailbox").await?;
        let key = domain.map(|domain| ("domain", domain.as_str()));
        let rows = change.select("mailbox", &COLUMNS, key).await?;
        let key = key.filter(|_| change.schema.has("alias", "domain"));
        let aliases = change.select("alias", &["address", "goto"], key).await?;
        let usage = change
            .select("quota2", &["username", "bytes", "messages"], None)
            .await?;
        let aliases = by(&aliases, "address");
        let usage = by(&usage, "username");
        let entries = rows.iter().map(|row| entry(row, &aliases, &usage));
        Ok(entries.collect())
    }

    /// One account.
    ///
    /// # Errors
    /// When there is none of that address.
    pub async fn account(&self, address: &Address) -> Result<AccountEntry, AdminError> {
        let name = lookup_text(&address.folded());
        let mut change = self.read("mailbox").await?;
        let row = change.account(&name).await?;
        let row = row.ok_or_else(|| missing(&name))?;
        let key = Some(("address", name.as_str()));
        let aliases = change.select("alias", &["address", "goto"], key).await?;
        let key = Some(("username", name.as_str()));
        let usage = change
            .select("quota2", &["username", "bytes", "messages"], key)
            .await?;
        Ok(entry(
            &row,
            &by(&aliases, "address"),
            &by(&usage, "username"),
        ))
    }

    /// Changes an account.
    ///
    /// # Errors
    /// When there is none of that address, or the domain's limits are reached.
    pub async fn set_account(
        &self,
        address: &Address,
        set: &AccountChange,
    ) -> Result<(), AdminError> {
        let address = address.folded();
        let name = lookup_text(&address);
        let mut change = self.begin("mailbox").await?;
        let mut values = vec![("modified", Value::Now)];
        if change.account(&name).await?.is_none() {
            return Err(missing(&name));
        }
        if set.quota.is_some() {
            let domain = address.domain();
            let quota = change
                .allowed_quota(domain, &name, set.quota, false)
                .await?;
            values.push(("quota", Value::Number(quota)));
        }
        let texts = [("password", &set.password), ("name", &set.name)];
        for (column, text) in texts {
            values.extend(text.as_ref().map(|text| (column, Value::text(text))));
        }
        if let Some(active) = set.active {
            values.push(("active", Value::Truth(active)));
            // PostfixAdmin switches the mailbox's own alias along with it.
            if change.schema.has_table("alias") {
                let values = [("active", Value::Truth(active)), ("modified", Value::Now)];
                change.update("alias", ("address", &name), &values).await?;
            }
        }
        change
            .update("mailbox", ("username", &name), &values)
            .await?;
        self.commit(change).await
    }

    /// Removes an account, its own alias and its count. Its mail stays where it lies.
    ///
    /// # Errors
    /// When there is none of that address.
    pub async fn remove_account(&self, address: &Address) -> Result<RemovedAccount, AdminError> {
        let name = lookup_text(&address.folded());
        let mut change = self.begin("mailbox").await?;
        if change.delete("mailbox", ("username", &name)).await? == 0 {
            return Err(missing(&name));
        }
        change.delete("alias", ("address", &name)).await?;
        change.delete("quota2", ("username", &name)).await?;
        let aliases = change.select("alias", &["address", "goto"], None).await?;
        let names_it = |row: &&Row| {
            let goto = split_destinations(row.text("goto"));
            goto.iter()
                .any(|address| address.eq_ignore_ascii_case(&name))
        };
        let aliases = aliases.iter().filter(names_it);
        let aliases = aliases
            .filter_map(|row| row.text("address"))
            .map(str::to_owned);
        let removed = RemovedAccount {
            aliases: aliases.collect(),
        };
        self.commit(change).await?;
        Ok(removed)
    }
}

impl Change {
    async fn account(&mut self, name: &str) -> Result<Option<Row>, AdminError> {
        let key = Some(("username", name));
        let rows = self.select("mailbox", &COLUMNS, key).await?;
        Ok(rows.into_iter().next())
    }

    /// The quota an account gets, in bytes, within the limits of its domain.
    async fn allowed_quota(
        &mut self,
        domain: &Domain,
        account: &str,
        wanted: Option<u64>,
        is_new: bool,
    ) -> Result<i64, AdminError> {
        let name = domain.as_str();
        let limits = self.domain(name).await?;
        let limits = limits.ok_or_else(|| domain::missing(name))?;
        let key = Some(("domain", name));
        let others = self.select("mailbox", &["username", "quota"], key).await?;
        let others: Vec<&Row> = others
            .iter()
            .filter(|row| row.text("username") != Some(account))
            .collect();
        let count = i64::try_from(others.len()).unwrap_or(i64::MAX);
        if is_new && !within(count, limits.number("mailboxes")) {
            return Err(AdminError::Limit(format!(
                "domain {name} may not have more than {} accounts",
                limits.number("mailboxes").max(0)
            )));
        }
        let bytes = |megabytes: i64| u64::try_from(megabytes).unwrap_or(0) * MEGABYTE;
        let largest = bytes(limits.number("maxquota"));
        let quota = wanted.unwrap_or(largest);
        if largest > 0 && (quota == 0 || quota > largest) {
            return Err(AdminError::Limit(format!(
                "domain {name} allows an account at most {} MB",
                limits.number("maxquota")
            )));
        }
        let together = bytes(limits.number("quota"));
        let used: u64 = others
            .iter()
            .map(|row| u64::try_from(row.number("quota")).unwrap_or(0))
            .sum();
        if together > 0 && (quota == 0 || used.saturating_add(quota) > together) {
            return Err(AdminError::Limit(format!(
                "domain {name} has {} MB for all its accounts, {} MB of them given out",
                limits.number("quota"),
                used / MEGABYTE
            )));
        }
        i64::try_from(quota).map_err(|_| AdminError::Limit("the quota is too large".to_owned()))
    }
}

/// Whether one more fits PostfixAdmin's limit: 0 unlimited, -1 none.
pub(super) fn within(count: i64, limit: i64) -> bool {
    limit == 0 || count < limit
}

fn by<'a>(rows: &'a [Row], column: &str) -> HashMap<&'a str, &'a Row> {
    let keyed = rows.iter().filter_map(|row| Some((row.text(column)?, row)));
    keyed.collect()
}

fn entry(row: &Row, aliases: &HashMap<&str, &Row>, usage: &HashMap<&str, &Row>) -> AccountEntry {
    let address = row.text("username").unwrap_or("").to_owned();
    let usage = usage.get(address.as_str());
    let goto = aliases
        .get(address.as_str())
        .and_then(|row| row.text("goto"));
    let goto = split_destinations(goto);
    AccountEntry {
        name: row.text("name").unwrap_or("").to_owned(),
        quota: row.number("quota"),
        bytes: usage.map(|row| row.number("bytes")),
        messages: usage.map(|row| row.number("messages")),
        active: row.truth("active", true),
        forwards_to: if goto == [address.clone()] {
            Vec::new()
        } else {
            goto
        },
        address,
    }
}

fn missing(name: &str) -> AdminError {
    AdminError::Missing(format!("account {name}"))
}
