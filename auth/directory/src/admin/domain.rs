//! Domains and alias domains.

use facteur_address::Domain;
use serde::Serialize;

use super::{Admin, AdminError, Change, statement::Value};
use crate::{DomainKind, sql::Row};

const COLUMNS: [&str; 8] = [
    "domain",
    "description",
    "aliases",
    "mailboxes",
    "maxquota",
    "quota",
    "backupmx",
    "active",
];

/// A domain to add. Limits are PostfixAdmin's: 0 is unlimited, -1 none at all; quotas in MB.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// Its name.
    pub name: Domain,
    /// For people.
    pub description: String,
    /// Ours, or relayed.
    pub kind: DomainKind,
    /// Most aliases.
    pub aliases: i64,
    /// Most accounts.
    pub mailboxes: i64,
    /// Largest quota of an account, in MB.
    pub maxquota: i64,
    /// Quota of all accounts together, in MB.
    pub quota: i64,
    /// Makes it an alias of this domain.
    pub alias_of: Option<Domain>,
}

impl NewDomain {
    /// A local domain without limits.
    #[must_use]
    pub fn new(name: Domain) -> Self {
        Self {
            name,
            description: String::new(),
            kind: DomainKind::Local,
            aliases: 0,
            mailboxes: 0,
            maxquota: 0,
            quota: 0,
            alias_of: None,
        }
    }
}

/// What to change of a domain; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DomainChange {
    /// For people.
    pub description: Option<String>,
    /// Ours, or relayed.
    pub kind: Option<DomainKind>,
    /// Most aliases.
    pub aliases: Option<i64>,
    /// Most accounts.
    pub mailboxes: Option<i64>,
    /// Largest quota of an account, in MB.
    pub maxquota: Option<i64>,
    /// Quota of all accounts together, in MB.
    pub quota: Option<i64>,
    /// Whether it exists for mail and logins.
    pub active: Option<bool>,
}

/// A domain as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainEntry {
    /// Its name.
    pub domain: String,
    /// For people.
    pub description: String,
    /// Most aliases.
    pub aliases: i64,
    /// Most accounts.
    pub mailboxes: i64,
    /// Largest quota of an account, in MB.
    pub maxquota: i64,
    /// Quota of all accounts together, in MB.
    pub quota: i64,
    /// Relayed, not ours.
    pub backupmx: bool,
    /// Whether it exists for mail and logins.
    pub active: bool,
    /// The domain it is an alias of.
    pub alias_of: Option<String>,
}

impl Admin<'_> {
    /// Adds a domain; with `alias_of` a row in alias_domain too.
    ///
    /// # Errors
    /// When it exists, or the target does not.
    pub async fn add_domain(&self, new: &NewDomain) -> Result<(), AdminError> {
        let name = new.name.as_str();
        let mut change = self.begin("domain").await?;
        if change.domain(name).await?.is_some() {
            return Err(AdminError::Exists(format!("domain {name}")));
        }
        let relay = new.kind == DomainKind::Relay;
        let values = [
            ("domain", Value::text(name)),
            ("description", Value::text(&new.description)),
            ("aliases", Value::Number(new.aliases)),
            ("mailboxes", Value::Number(new.mailboxes)),
            ("maxquota", Value::Number(new.maxquota)),
            ("quota", Value::Number(new.quota)),
            ("transport", Value::text("virtual")),
            ("backupmx", Value::Truth(relay)),
            ("created", Value::Now),
            ("modified", Value::Now),
            ("active", Value::Truth(true)),
        ];
        change.insert("domain", &values).await?;
        if let Some(target) = &new.alias_of {
            change.add_alias_domain(name, target.as_str()).await?;
        }
        self.commit(change).await
    }

    /// All domains, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn domains(&self) -> Result<Vec<DomainEntry>, AdminError> {
        let mut change = self.read("domain").await?;
        let rows = change.select("domain", &COLUMNS, None).await?;
        let targets = change.targets(None).await?;
        let entries = rows.iter().map(|row| entry(row, &targets));
        Ok(entries.filter(|entry| entry.domain != "ALL").collect())
    }

    /// One domain.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn domain(&self, name: &Domain) -> Result<DomainEntry, AdminError> {
        let name = name.as_str();
        let mut change = self.read("domain").await?;
        let row = change.domain(name).await?;
        let targets = change.targets(Some(name)).await?;
        row.map(|row| entry(&row, &targets))
            .ok_or_else(|| missing(name))
    }

    /// Changes a domain.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn set_domain(&self, name: &Domain, set: &DomainChange) -> Result<(), AdminError> {
        let mut values = vec![("modified", Value::Now)];
        let numbers = [
            ("aliases", set.aliases),
            ("mailboxes", set.mailboxes),
            ("maxquota", set.maxquota),
            ("quota", set.quota),
        ];
        for (column, number) in numbers {
            values.extend(number.map(|number| (column, Value::Number(number))));
        }
        let description = set.description.as_ref();
        values.extend(description.map(|text| ("description", Value::text(text))));
        let relay = set.kind.map(|kind| kind == DomainKind::Relay);
        values.extend(relay.map(|relay| ("backupmx", Value::Truth(relay))));
        values.extend(set.active.map(|active| ("active", Value::Truth(active))));
        let mut change = self.begin("domain").await?;
        let key = ("domain", name.as_str());
        if !change.update("domain", key, &values).await? {
            return Err(missing(name.as_str()));
        }
        self.commit(change).await
    }

    /// Removes a domain that has nothing in it any more.
    ///
    /// # Errors
    /// When there is none of that name, or accounts, aliases or alias domains need it.
    pub async fn remove_domain(&self, name: &Domain) -> Result<(), AdminError> {
        let name = name.as_str();
        let mut change = self.begin("domain").await?;
        for (table, column, key, what) in [
            ("mailbox", "domain", "username", "accounts"),
            ("alias", "domain", "address", "aliases"),
            (
                "alias_domain",
                "target_domain",
                "alias_domain",
                "alias domains",
            ),
        ] {
            if !change.schema.has(table, column) {
                continue;
            }
            let rows = change.select(table, &[key], Some((column, name))).await?;
            if let Some(first) = rows.first().and_then(|row| row.text(key)) {
                return Err(AdminError::InUse(format!(
                    "domain {name} still has {what} ({}, such as {first}): remove them first",
                    rows.len()
                )));
            }
        }
        change
            .delete("alias_domain", ("alias_domain", name))
            .await?;
        if change.delete("domain", ("domain", name)).await? == 0 {
            return Err(missing(name));
        }
        self.commit(change).await
    }
}

impl Change {
    pub(super) async fn domain(&mut self, name: &str) -> Result<Option<Row>, AdminError> {
        let rows = self
            .select("domain", &COLUMNS, Some(("domain", name)))
            .await?;
        Ok(rows.into_iter().next())
    }

    async fn add_alias_domain(&mut self, name: &str, target: &str) -> Result<(), AdminError> {
        if !self.schema.has_table("alias_domain") {
            return Err(AdminError::NoTable("alias_domain"));
        }
        if name == target {
            return Err(AdminError::InUse(format!("{name} cannot be its own alias")));
        }
        if self.domain(target).await?.is_none() {
            return Err(missing(target));
        }
        if !self.targets(Some(target)).await?.is_empty() {
            return Err(AdminError::InUse(format!(
                "{target} is an alias domain itself"
            )));
        }
        let values = [
            ("alias_domain", Value::text(name)),
            ("target_domain", Value::text(target)),
            ("created", Value::Now),
            ("modified", Value::Now),
            ("active", Value::Truth(true)),
        ];
        self.insert("alias_domain", &values).await
    }

    async fn targets(&mut self, name: Option<&str>) -> Result<Vec<Row>, AdminError> {
        let columns = ["alias_domain", "target_domain"];
        let key = name.map(|name| ("alias_domain", name));
        self.select("alias_domain", &columns, key).await
    }
}

fn entry(row: &Row, targets: &[Row]) -> DomainEntry {
    let text = |name| row.text(name).unwrap_or("").to_owned();
    let domain = text("domain");
    let target = targets
        .iter()
        .find(|target| target.text("alias_domain") == Some(domain.as_str()));
    DomainEntry {
        alias_of: target
            .and_then(|target| target.text("target_domain"))
            .map(str::to_owned),
        description: text("description"),
        aliases: row.number("aliases"),
        mailboxes: row.number("mailboxes"),
        maxquota: row.number("maxquota"),
        quota: row.number("quota"),
        backupmx: row.truth("backupmx", false),
        active: row.truth("active", true),
        domain,
    }
}

pub(super) fn missing(name: &str) -> AdminError {
    AdminError::Missing(format!("domain {name}"))
}
