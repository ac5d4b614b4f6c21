//! A directory in memory, for tests.

use std::{collections::HashMap, path::Path, sync::Arc};

use facteur_address::{Address, Domain};
use facteur_directory::{
    AccountRecord, Answer, Directory, DomainKind, DomainRecord, QuotaLimits, Unavailable,
};

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) domains: HashMap<Domain, DomainKind>,
    pub(crate) alias_domains: HashMap<Domain, Domain>,
    pub(crate) accounts: HashMap<Address, Arc<AccountRecord>>,
    pub(crate) aliases: HashMap<Address, Vec<String>>,
    pub(crate) catch_alls: HashMap<Domain, Vec<String>>,
    pub(crate) down: bool,
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

impl Memory {
    pub(crate) fn add_account(&mut self, text: &str, home: &Path, quota: QuotaLimits) -> &mut Self {
        let record = AccountRecord {
            address: address(text),
            password: Some("{PLAIN}secret".into()),
            home: home.join(text),
            format: facteur_model::MailFormat::Sdbox,
            quota,
        };
        self.accounts.insert(address(text), Arc::new(record));
        self
    }

    pub(crate) fn add_alias(&mut self, text: &str, destinations: &[&str]) -> &mut Self {
        let destinations = destinations.iter().map(|d| (*d).to_owned()).collect();
        match text.strip_prefix('@') {
            Some(name) => self.catch_alls.insert(domain(name), destinations),
            None => self.aliases.insert(address(text), destinations),
        };
        self
    }

    fn say<'a, T: Clone + Send + 'a>(&'a self, value: Option<&T>) -> Answer<'a, Option<T>> {
        let value = value.cloned();
        Box::pin(async move {
            if self.down {
                return Err(Unavailable("down".into()));
            }
            Ok(value)
        })
    }
}

impl Directory for Memory {
    fn domain<'a>(&'a self, name: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        let record = self.domains.get(name).map(|kind| DomainRecord {
            name: name.clone(),
            kind: *kind,
        });
        self.say(record.as_ref())
    }
    fn alias_domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Domain>> {
        self.say(self.alias_domains.get(domain))
    }
    fn account<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        self.say(self.accounts.get(address))
    }
    fn alias<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        self.say(self.aliases.get(address))
    }
    fn catch_all<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        self.say(self.catch_alls.get(domain))
    }
    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        Box::pin(async { Ok(self.accounts.keys().cloned().collect()) })
    }
    fn record_usage<'a>(&'a self, _: &'a Address, _: u64, _: u64) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn forget(&self) {}
}
