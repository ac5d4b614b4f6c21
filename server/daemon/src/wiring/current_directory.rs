//! The directory of the configuration as it is now: a reload puts another in its place, and
//! everything that knows this one uses it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use facteur_address::{Address, Domain};
use facteur_directory::{AccountRecord, Answer, Directory, DomainRecord};

/// Passes every question on to the directory of the moment.
pub(crate) struct CurrentDirectory {
    now: ArcSwap<Arc<dyn Directory>>,
}

impl CurrentDirectory {
    pub(crate) fn new(directory: Arc<dyn Directory>) -> Arc<Self> {
        Arc::new(Self {
            now: ArcSwap::from_pointee(directory),
        })
    }

    /// Asks `directory` from now on.
    pub(crate) fn replace(&self, directory: Arc<dyn Directory>) {
        self.now.store(Arc::new(directory));
    }
}

macro_rules! pass_on {
    ($($call:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        $(
            fn $call<'a>(&'a self, $($argument: $type),*) -> Answer<'a, $answer> {
                let now = self.now.load_full();
                Box::pin(async move { now.$call($($argument),*).await })
            }
        )+
    };
}

impl Directory for CurrentDirectory {
    pass_on! {
        domain(domain: &'a Domain) -> Option<DomainRecord>;
        alias_domain(domain: &'a Domain) -> Option<Domain>;
        account(address: &'a Address) -> Option<Arc<AccountRecord>>;
        alias(address: &'a Address) -> Option<Vec<String>>;
        catch_all(domain: &'a Domain) -> Option<Vec<String>>;
        sender_login(address: &'a Address) -> Option<Vec<String>>;
        domain_quota(domain: &'a Domain) -> Option<u64>;
        record_usage(account: &'a Address, bytes: u64, messages: u64) -> ();
        forget_account(address: &'a Address) -> ();
    }

    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        let now = self.now.load_full();
        Box::pin(async move { now.accounts().await })
    }

    fn forget(&self) {
        self.now.load().forget();
    }
}
