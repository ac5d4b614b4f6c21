//! From a forward-path to its final destinations.

mod postmaster;

use std::{collections::HashSet, sync::Arc};

use facteur_address::{Address, Domain};
use facteur_directory::{AccountRecord, Directory, DomainKind, Unavailable};

pub use postmaster::NoPostmaster;
use postmaster::Postmaster;

/// Where one address leads.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Accounts here, each once, with the `detail` of `user+detail` that led there.
    pub local: Vec<(Arc<AccountRecord>, Option<String>)>,
    /// Addresses elsewhere, each once.
    pub remote: Vec<Address>,
    /// The domain is ours but nothing answers to the address: 550 5.1.1.
    pub unknown: bool,
    /// The address itself belongs to a domain of ours or one we relay for: anybody may send to it.
    pub authorized_destination: bool,
}

/// Resolves addresses through alias domains, aliases, catch-all and `user+detail`, in Postfix's
/// order and with its limits. Clones share it.
///
/// For each form of the address (whole, then without detail), in its own domain and then in the one
/// that an alias domain points to: the alias, else the account. After that the catch-all. What an
/// alias yields is looked up again; an address met again among what it expanded to (an alias that
/// names itself, two users who forward to each other) is the mailbox of that name.
#[derive(Clone)]
pub struct Router {
    directory: Arc<dyn Directory>,
    recipient_delimiter: Arc<str>,
    postmaster: Option<Arc<Postmaster>>,
}

/// Most addresses that one may expand to (Postfix's virtual_alias_expansion_limit).
const EXPANSION_LIMIT: usize = 1000;

/// An address to be looked up, with the detail that an alias passed on to it.
#[derive(Debug, Clone)]
struct Step {
    address: Address,
    detail: Option<String>,
    /// Index of the alias that named it.
    parent: Option<usize>,
}

fn is_own_descendant(tree: &[Step], step: &Step) -> bool {
    let mut parent = step.parent;
    while let Some(ancestor) = parent.and_then(|at| tree.get(at)) {
        if ancestor.address.folded() == step.address.folded() {
            return true;
        }
        parent = ancestor.parent;
    }
    false
}

/// What one look-up finds.
enum Found {
    /// Look these up.
    Alias(Vec<Step>),
    /// A mailbox here.
    Account(Arc<AccountRecord>, Option<String>),
    /// Not ours to deliver; ours to relay if `authorized`.
    Elsewhere { authorized: bool },
    /// Ours, and nothing is there.
    Nothing,
}

impl Router {
    /// A router over `directory`.
    pub fn new(directory: Arc<dyn Directory>, recipient_delimiter: &str) -> Self {
        Self {
            directory,
            recipient_delimiter: Arc::from(recipient_delimiter),
            postmaster: None,
        }
    }

    /// Resolves one address.
    ///
    /// # Errors
    /// When the directory does not answer, or the address expands beyond all measure: 451 4.3.0,
    /// never "user unknown".
    pub async fn resolve(&self, address: &Address) -> Result<Route, Unavailable> {
        let route = self.expand(address).await?;
        self.or_postmaster(address, route).await
    }

    async fn expand(&self, address: &Address) -> Result<Route, Unavailable> {
        let mut route = Route::default();
        let mut seen = HashSet::new();
        let mut tree = vec![Step {
            address: address.clone(),
            detail: None,
            parent: None,
        }];
        let mut next = 0;
        while let Some(step) = tree.get(next).cloned() {
            let is_own_descendant = is_own_descendant(&tree, &step);
            if seen.insert(step.address.folded()) || is_own_descendant {
                let found = self.find(&step, !is_own_descendant).await?;
                if next == 0 {
                    route.authorized_destination =
                        !matches!(found, Found::Elsewhere { authorized: false });
                }
                match found {
                    Found::Alias(steps) => {
                        tree.extend(steps.into_iter().map(|child| Step {
                            parent: Some(next),
                            ..child
                        }));
                    }
                    Found::Account(account, detail) => route.add_local(account, detail),
                    Found::Elsewhere { .. } => route.add_remote(self.with_detail(step)),
                    Found::Nothing if next == 0 => {}
                    Found::Nothing => {
                        tracing::warn!(recipient = %address, destination = %step.address,
                            "alias leads to an address that does not exist");
                    }
                }
            }
            if tree.len() > EXPANSION_LIMIT {
                let text = format!("{address} expands to more than {EXPANSION_LIMIT} addresses");
                return Err(Unavailable(text));
            }
            next += 1;
        }
        route.unknown = route.local.is_empty() && route.remote.is_empty();
        Ok(route)
    }

    async fn find(&self, step: &Step, aliases: bool) -> Result<Found, Unavailable> {
        let folded = step.address.folded();
        let domain = folded.domain();
        if domain.is_literal() {
            return Ok(Found::Elsewhere { authorized: false });
        }
        let target = self.directory.alias_domain(domain).await?;
        let kind = self
            .directory
            .domain(domain)
            .await?
            .map(|record| record.kind);
        if kind.is_none() && target.is_none() {
            return Ok(Found::Elsewhere { authorized: false });
        }
        let domains: Vec<&Domain> = std::iter::once(domain).chain(&target).collect();
        let base = folded.split_detail(&self.recipient_delimiter);
        let whole = (&folded, step.detail.clone());
        let without = base.as_ref().map(|(base, detail)| {
            let written = step.address.split_detail(&self.recipient_delimiter);
            // As written: a script may look at its case.
            (
                base,
                Some(written.map_or(*detail, |(_, detail)| detail).to_owned()),
            )
        });
        for (address, detail) in std::iter::once(whole).chain(without) {
            for domain in &domains {
                let Ok(candidate) = Address::from_parts(address.local(), (*domain).clone()) else {
                    continue;
                };
                if aliases && let Some(destinations) = self.directory.alias(&candidate).await? {
                    return Ok(Found::Alias(steps(
                        &destinations,
                        &candidate,
                        detail.as_ref(),
                    )));
                }
                if let Some(account) = self.directory.account(&candidate).await? {
                    return Ok(Found::Account(account, detail));
                }
            }
        }
        for domain in domains.iter().filter(|_| aliases) {
            if let Some(destinations) = self.directory.catch_all(domain).await? {
                return Ok(Found::Alias(steps(&destinations, &folded, None)));
            }
        }
        Ok(match kind {
            Some(DomainKind::Relay) => Found::Elsewhere { authorized: true },
            Some(DomainKind::Local) | None => Found::Nothing,
        })
    }

    /// Puts the detail that an alias passed on back into an address elsewhere, as Postfix's
    /// propagate_unmatched_extensions does.
    fn with_detail(&self, step: Step) -> Address {
        let delimiter = self.recipient_delimiter.chars().next();
        let (Some(detail), Some(delimiter)) = (&step.detail, delimiter) else {
            return step.address;
        };
        if step
            .address
            .split_detail(&self.recipient_delimiter)
            .is_some()
        {
            return step.address;
        }
        let local = format!("{}{delimiter}{detail}", step.address.local());
        Address::from_parts(&local, step.address.domain().clone()).unwrap_or(step.address)
    }
}

/// What an alias names. `@domain` keeps the local part. What is no address cannot get mail: it is
/// passed over, and said so.
fn steps(destinations: &[String], of: &Address, detail: Option<&String>) -> Vec<Step> {
    let parse = |text: &String| {
        let text = text.trim();
        let address = match text.strip_prefix('@') {
            Some(domain) => Domain::parse(domain)
                .ok()
                .and_then(|domain| Address::from_parts(of.local(), domain).ok()),
            None => Address::parse(text).ok(),
        };
        if address.is_none() && !text.is_empty() {
            tracing::warn!(alias = %of, destination = text, "alias names something that is no address");
        }
        address
    };
    let step = |address| Step {
        address,
        detail: detail.cloned(),
        parent: None,
    };
    destinations.iter().filter_map(parse).map(step).collect()
}

impl Route {
    fn add_local(&mut self, account: Arc<AccountRecord>, detail: Option<String>) {
        let same =
            |(other, _): &&(Arc<AccountRecord>, Option<String>)| other.address == account.address;
        if self.local.iter().find(same).is_none() {
            self.local.push((account, detail));
        }
    }

    fn add_remote(&mut self, address: Address) {
        if !self.remote.contains(&address) {
            self.remote.push(address);
        }
    }
}

#[cfg(test)]
mod tests;
