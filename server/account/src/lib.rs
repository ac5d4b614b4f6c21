//! An account goes by one name everywhere: what the directory and the store call it, translated.
//!
//! Neither knows of the other; whoever opens an account that the directory named asks here, so that
//! all open the same one.

use facteur_address::Address;
use facteur_directory::AccountRecord;
use facteur_model::{AccountId, AccountSpec};

/// What the store needs to know of an account.
pub fn spec(record: &AccountRecord) -> AccountSpec {
    AccountSpec {
        id: AccountId::new(&record.address.to_string()),
        home: record.home.clone(),
        format: record.format,
        quota: record.quota.clone(),
    }
}

/// Whose account it is; `None` when [`spec`] gave no such name.
pub fn address(id: &AccountId) -> Option<Address> {
    Address::parse(id.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_an_account_leads_back_to_its_address() {
        for text in ["bob@example.org", "\"b o\\\"b\"@example.org"] {
            let record = AccountRecord {
                address: Address::parse(text).unwrap(),
                password: None,
                home: "/srv/mail/bob".into(),
                format: facteur_directory::MailFormat::Maildir,
                quota: facteur_directory::QuotaLimits {
                    bytes: Some(7),
                    ..facteur_directory::QuotaLimits::default()
                },
            };
            let spec = spec(&record);
            assert_eq!(address(&spec.id), Some(record.address));
            assert_eq!((spec.home, spec.quota.bytes), (record.home, Some(7)));
        }
    }
}
