//! Domains and alias domains.

use facteur_address::Domain;

use super::{Row, Sql};
use crate::{DomainKind, DomainRecord, MEGABYTE, Unavailable, variable::Key};

/// PostfixAdmin's row that stands for "every domain" in domain_admins; it is no domain.
const ALL: &str = "ALL";

impl Sql {
    pub(super) async fn find_domain(
        &self,
        domain: &Domain,
    ) -> Result<Option<DomainRecord>, Unavailable> {
        let key = Key::domain(domain);
        let record = |kind| {
            Some(DomainRecord {
                name: domain.clone(),
                kind,
            })
        };
        let queries = &self.queries;
        let local = &queries.virtual_mailbox_domains;
        let relay = &queries.relay_domains;
        if self.first_map(local, &key).await?.is_some() {
            return Ok(record(DomainKind::Local));
        }
        if self.first_map(relay, &key).await?.is_some() {
            return Ok(record(DomainKind::Relay));
        }
        if !local.is_empty() && !relay.is_empty() {
            return Ok(None);
        }
        // Where only one of the two is a query, the other still comes from the table.
        let kind = self.native_domain(domain).await?;
        Ok(match kind {
            Some(DomainKind::Local) if local.is_empty() => record(DomainKind::Local),
            Some(DomainKind::Relay) if relay.is_empty() => record(DomainKind::Relay),
            _ => None,
        })
    }

    async fn native_domain(&self, domain: &Domain) -> Result<Option<DomainKind>, Unavailable> {
        let schema = self.schema().await?;
        if !schema.has_table("domain") {
            return match self.queries.virtual_mailbox_domains.is_empty() {
                true => Err(self.without_table("domain", "virtual_mailbox_domains")),
                false => Ok(None),
            };
        }
        let sql = format!(
            "SELECT domain.domain AS domain{}{} FROM domain WHERE domain.domain = {}",
            schema.select("domain", "backupmx", "backupmx"),
            schema.select("domain", "active", "active"),
            self.parameter(),
        );
        let rows = self.rows(sql, domain.as_str().to_owned()).await?;
        let row = rows.iter().find(|row| {
            row.text("domain")
                .is_some_and(|name| name != ALL && name.eq_ignore_ascii_case(domain.as_str()))
        });
        Ok(row.filter(|row| row.truth("active", true)).map(|row| {
            if row.truth("backupmx", false) {
                DomainKind::Relay
            } else {
                DomainKind::Local
            }
        }))
    }

    /// PostfixAdmin's `domain.quota` is in MB; 0 is unlimited, less is "disabled".
    pub(super) async fn find_domain_quota(
        &self,
        domain: &Domain,
    ) -> Result<Option<u64>, Unavailable> {
        let schema = self.schema().await?;
        if !schema.has("domain", "quota") {
            return Ok(None);
        }
        let sql = format!(
            "SELECT domain.domain AS domain, domain.quota AS quota FROM domain WHERE domain.domain = {}",
            self.parameter(),
        );
        let rows = self.rows(sql, domain.as_str().to_owned()).await?;
        let row = rows.iter().find(|row| {
            row.text("domain")
                .is_some_and(|name| name.eq_ignore_ascii_case(domain.as_str()))
        });
        let quota = row.and_then(|row| u64::try_from(row.number("quota")).ok());
        Ok(quota
            .filter(|quota| *quota > 0)
            .map(|quota| quota.saturating_mul(MEGABYTE)))
    }

    pub(super) async fn find_alias_domain(
        &self,
        domain: &Domain,
    ) -> Result<Option<Domain>, Unavailable> {
        if !self.queries.alias_domain.is_empty() {
            let values = self
                .first_map(&self.queries.alias_domain, &Key::domain(domain))
                .await?;
            return Ok(values.as_deref().and_then(first_domain));
        }
        let schema = self.schema().await?;
        if !schema.has_table("alias_domain") {
            return Ok(None);
        }
        // PostfixAdmin keeps a row in `domain` for an alias domain too; it can be switched off
        // there.
        let join = if schema.has_table("domain") {
            "LEFT JOIN domain ON domain.domain = alias_domain.alias_domain"
        } else {
            ""
        };
        let sql = format!(
            "SELECT alias_domain.alias_domain AS name, alias_domain.target_domain AS target{}{} \
             FROM alias_domain {join} WHERE alias_domain.alias_domain = {}",
            schema.select("alias_domain", "active", "active"),
            schema.select("domain", "active", "domain_active"),
            self.parameter(),
        );
        let rows = self.rows(sql, domain.as_str().to_owned()).await?;
        let active = |row: &&Row| {
            row.truth("active", true)
                && row.truth("domain_active", true)
                && row
                    .text("name")
                    .is_some_and(|name| name.eq_ignore_ascii_case(domain.as_str()))
        };
        let target = rows.iter().find(active).and_then(|row| row.text("target"));
        Ok(target.and_then(|target| Domain::parse(target.trim()).ok()))
    }

    /// The only parameter of a native query.
    pub(super) fn parameter(&self) -> String {
        let mut sql = String::new();
        self.pool.dialect().push_parameter(&mut sql, 1);
        sql
    }
}

fn first_domain(values: &[String]) -> Option<Domain> {
    let value = values.first()?;
    // A map for `@alias` that answers `@target` is understood as well.
    Domain::parse(value.trim().trim_start_matches('@')).ok()
}
