//! Aliases and catch-alls.

use facteur_address::{Address, Domain};

use super::{Row, Sql};
use crate::{
    Unavailable,
    destinations::split_destinations,
    variable::{Key, lookup_text},
};

impl Sql {
    pub(super) async fn find_alias(
        &self,
        address: &Address,
    ) -> Result<Option<Vec<String>>, Unavailable> {
        self.destinations(lookup_text(&address.folded())).await
    }

    pub(super) async fn find_catch_all(
        &self,
        domain: &Domain,
    ) -> Result<Option<Vec<String>>, Unavailable> {
        self.destinations(format!("@{domain}")).await
    }

    async fn destinations(&self, key: String) -> Result<Option<Vec<String>>, Unavailable> {
        let maps = &self.queries.virtual_alias_maps;
        if !maps.is_empty() {
            let values = self.first_map(maps, &Key::address(&key)).await?;
            return Ok(values.map(|values| split_destinations(values.iter().map(String::as_str))));
        }
        let schema = self.schema().await?;
        if !schema.has_table("alias") {
            return Ok(None);
        }
        let join = if schema.has_table("domain") && schema.has("alias", "domain") {
            "JOIN domain ON domain.domain = alias.domain"
        } else {
            ""
        };
        let domain_active = if join.is_empty() {
            String::new()
        } else {
            schema.select("domain", "active", "domain_active")
        };
        let sql = format!(
            "SELECT alias.address AS address, alias.goto AS goto{}{domain_active} FROM alias {join} \
             WHERE alias.address = {}",
            schema.select("alias", "active", "active"),
            self.parameter(),
        );
        let rows = self.rows(sql, key.clone()).await?;
        let mine = |row: &&Row| {
            row.truth("active", true)
                && row.truth("domain_active", true)
                && row
                    .text("address")
                    .is_some_and(|address| address.to_lowercase() == key)
        };
        let goto = rows.iter().find(mine).and_then(|row| row.text("goto"));
        let destinations = goto.map(|goto| split_destinations([goto]));
        Ok(destinations.filter(|destinations| !destinations.is_empty()))
    }

    /// Logins that may use a sender address; `None` when no query says so.
    pub(super) async fn find_sender_login(
        &self,
        address: &Address,
    ) -> Result<Option<Vec<String>>, Unavailable> {
        let maps = &self.queries.smtpd_sender_login_maps;
        if maps.is_empty() {
            return Ok(None);
        }
        let key = lookup_text(&address.folded());
        let mut values = self.first_map(maps, &Key::address(&key)).await?;
        if values.is_none() {
            let key = format!("@{}", address.domain());
            values = self.first_map(maps, &Key::address(&key)).await?;
        }
        let values = values.unwrap_or_default();
        Ok(Some(split_destinations(values.iter().map(String::as_str))))
    }
}
