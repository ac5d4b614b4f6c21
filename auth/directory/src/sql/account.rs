//! Accounts.

use std::sync::Arc;

use facteur_address::{Address, Domain};

use super::{Row, Sql};
use crate::{
    AccountRecord, MailHome, QuotaLimits, QuotaRules, Unavailable, quota,
    variable::{Key, lookup_text},
};

impl Sql {
    pub(super) async fn find_account(
        &self,
        address: &Address,
    ) -> Result<Option<Arc<AccountRecord>>, Unavailable> {
        let address = address.folded();
        let text = lookup_text(&address);
        let key = Key::address(&text);
        let queries = &self.queries;
        if !queries.virtual_mailbox_maps.is_empty()
            && self
                .first_map(&queries.virtual_mailbox_maps, &key)
                .await?
                .is_none()
        {
            return Ok(None);
        }
        if queries.user_query.is_none() && queries.password_query.is_none() {
            return self.native_account(&address, text).await;
        }
        // One of the two alone answers for both, as with Dovecot's prefetch userdb.
        let user = match &queries.user_query {
            None => None,
            Some(query) => match self.query_rows(query, &key).await?.into_iter().next() {
                None => return Ok(None),
                row => row,
            },
        };
        let password = match &queries.password_query {
            None => None,
            Some(query) => self.query_rows(query, &key).await?.into_iter().next(),
        };
        if user.is_none() && password.is_none() {
            return Ok(None);
        }
        Ok(self.queried_record(address, user.as_ref(), password.as_ref()))
    }

    /// The columns Dovecot knows; a userdb's may stand in the password query as `userdb_…`.
    fn queried_record(
        &self,
        address: Address,
        user: Option<&Row>,
        password: Option<&Row>,
    ) -> Option<Arc<AccountRecord>> {
        let field = |name: &str| {
            user.and_then(|row| row.text(name))
                .or_else(|| password.and_then(|row| row.text(&format!("userdb_{name}"))))
        };
        let address = password
            .and_then(login_name)
            .and_then(|name| Address::parse(&name).ok())
            .map_or(address, |address| address.folded());
        let rules = quota::rules(field, |rule, error| {
            tracing::warn!(account = %address, rule, %error, "quota_rule cannot be read");
        });
        let quota = self.quota.limits(rules);
        self.record(address, password, quota, field("home"), field("mail"))
    }

    fn record(
        &self,
        address: Address,
        password: Option<&Row>,
        quota: QuotaLimits,
        home: Option<&str>,
        mail: Option<&str>,
    ) -> Option<Arc<AccountRecord>> {
        let MailHome { path: home, format } = match self.home.resolve(&address, home, mail) {
            Ok(home) => home,
            Err(error) => {
                tracing::warn!(account = %address, %error, "account has no usable mail home");
                return None;
            }
        };
        // `nopassword` would let anybody in; an account of ours always has a password.
        let password = password
            .filter(|row| row.text("nologin").is_none())
            .and_then(|row| row.text("password"))
            .filter(|password| !password.is_empty())
            .map(str::to_owned);
        Some(Arc::new(AccountRecord {
            address,
            password,
            home,
            format,
            quota,
        }))
    }

    async fn native_account(
        &self,
        address: &Address,
        text: String,
    ) -> Result<Option<Arc<AccountRecord>>, Unavailable> {
        let schema = self.schema().await?;
        if !schema.has_table("mailbox") {
            return Err(self.without_table("mailbox", "user_query or password_query"));
        }
        let (join, domain_active) = self.domain_of_mailbox(&schema);
        let sql = format!(
            "SELECT mailbox.username AS username, mailbox.password AS password{}{}{domain_active} \
             FROM mailbox {join} WHERE mailbox.username = {}",
            schema.select("mailbox", "quota", "quota"),
            schema.select("mailbox", "active", "active"),
            self.parameter(),
        );
        let rows = self.rows(sql, text.clone()).await?;
        let row = rows.iter().find(|row| {
            // MySQL's collations find `bob` for `böb`.
            is_active(row)
                && row
                    .text("username")
                    .is_some_and(|name| name.to_lowercase() == text)
        });
        let Some(row) = row else { return Ok(None) };
        let mut rules = QuotaRules::default();
        if row.text("quota").is_some() {
            rules = rules.with_bytes(row.number("quota"));
        }
        let quota = self.quota.limits(rules);
        Ok(self.record(address.clone(), Some(row), quota, None, None))
    }

    /// The join with its domain, and its `active` column.
    fn domain_of_mailbox(&self, schema: &super::Schema) -> (&'static str, String) {
        if schema.has_table("domain") && schema.has("mailbox", "domain") {
            (
                "JOIN domain ON domain.domain = mailbox.domain",
                schema.select("domain", "active", "domain_active"),
            )
        } else {
            ("", String::new())
        }
    }

    pub(super) async fn all_accounts(&self) -> Result<Vec<Address>, Unavailable> {
        if let Some(query) = &self.queries.iterate_query {
            let rows = self.query_rows(query, &Key::address("")).await?;
            let names = rows.iter().filter_map(login_name);
            return Ok(names.filter_map(|name| parse(&name)).collect());
        }
        let schema = self.schema().await?;
        if !schema.has_table("mailbox") {
            return Ok(Vec::new());
        }
        let (join, domain_active) = self.domain_of_mailbox(&schema);
        let sql: Arc<str> = format!(
            "SELECT mailbox.username AS username{}{domain_active} FROM mailbox {join}",
            schema.select("mailbox", "active", "active"),
        )
        .into();
        let rows = self.in_time(self.pool.rows(&sql, &[])).await?;
        let active = rows.iter().filter(|row| is_active(row));
        Ok(active
            .filter_map(|row| parse(row.text("username")?))
            .collect())
    }
}

fn is_active(row: &Row) -> bool {
    row.truth("active", true) && row.truth("domain_active", true)
}

/// `user`, or `username` with `domain` where the name has none (Dovecot's iterate_query).
fn login_name(row: &Row) -> Option<String> {
    let name = row.text("user").or_else(|| row.text("username"))?;
    match row.text("domain") {
        Some(domain) if !name.contains('@') => Some(format!("{name}@{domain}")),
        _ => Some(name.to_owned()),
    }
}

/// An address as a directory writes it: without the quotes RFC 5321 asks for.
fn parse(text: &str) -> Option<Address> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let domain = Domain::parse(domain).ok()?;
    Address::from_parts(local, domain)
        .ok()
        .map(|address| address.folded())
}
