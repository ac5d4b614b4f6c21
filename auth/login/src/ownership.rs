//! Whose address is it? What submission asks before it lets a sender through.

use std::collections::HashSet;

use facteur_address::Address;

use crate::{Authenticator, LoginError, authenticator::Inner};

/// Most addresses looked at on the way to an answer.
const MAX_VISITED: usize = 1000;

impl Authenticator {
    /// Whether `account` may send as `address`: its own, in the forms of alias domains and with a
    /// detail, and aliases that lead to it, over other aliases too. An address with a mailbox of
    /// its own belongs to that alone, even if it forwards. Queries of the configuration
    /// (smtpd_sender_login_maps) have the only say where they are given.
    ///
    /// # Errors
    /// When the directory does not answer.
    pub async fn owns(&self, account: &Address, address: &Address) -> Result<bool, LoginError> {
        let owned = self.inner.owns(account, address).await;
        owned.map_err(|_| LoginError::Unavailable)
    }
}

impl Inner {
    async fn owns(
        &self,
        account: &Address,
        address: &Address,
    ) -> Result<bool, facteur_directory::Unavailable> {
        let account = account.folded();
        if let Some(mut logins) = self.directory.sender_login(address).await? {
            // As Postfix looks a table up: with the detail, then without.
            let delimiters = &self.options.recipient_delimiter;
            if logins.is_empty()
                && let Some((base, _)) = address.split_detail(delimiters)
            {
                logins = self
                    .directory
                    .sender_login(&base)
                    .await?
                    .unwrap_or_default();
            }
            let mine = |login: &String| parse(login).is_some_and(|login| login == account);
            return Ok(logins.iter().any(mine));
        }
        let mut seen = HashSet::new();
        let mut open = vec![address.folded()];
        while let Some(address) = open.pop() {
            if address == account {
                return Ok(true);
            }
            if !seen.insert(address.clone()) {
                continue;
            }
            if seen.len() > MAX_VISITED {
                tracing::warn!(%account, "too many aliases to tell whose address it is");
                return Ok(false);
            }
            self.lead(address, &mut open).await?;
        }
        Ok(false)
    }

    /// Adds where mail to `address` would go next, in the order of delivery: its mailbox (where
    /// the way ends), its alias, the alias domain's target, without its detail, the catch-all.
    async fn lead(
        &self,
        address: Address,
        open: &mut Vec<Address>,
    ) -> Result<(), facteur_directory::Unavailable> {
        if self.directory.account(&address).await?.is_some() {
            return Ok(());
        }
        if let Some(destinations) = self.directory.alias(&address).await? {
            open.extend(destinations.iter().filter_map(|text| parse(text)));
            return Ok(());
        }
        if let Some(target) = self.directory.alias_domain(address.domain()).await? {
            open.extend(Address::from_parts(address.local(), target).ok());
            return Ok(());
        }
        let delimiters = &self.options.recipient_delimiter;
        if let Some((base, _)) = address.split_detail(delimiters) {
            open.push(base);
            return Ok(());
        }
        if let Some(destinations) = self.directory.catch_all(address.domain()).await? {
            open.extend(destinations.iter().filter_map(|text| parse(text)));
        }
        Ok(())
    }
}

fn parse(text: &str) -> Option<Address> {
    Address::parse(text.trim())
        .ok()
        .map(|address| address.folded())
}
