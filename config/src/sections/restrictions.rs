//! Lists of restrictions, as Postfix has them.

use toml::de::DeValue;
use toml_edit::Value;

use crate::Setting;

/// Names of rules, one or several in each string.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restrictions(pub Vec<String>);

/// Every rule there is. (The daemon's tests hold them against intake's.)
const NAMES: &str = "permit, reject, permit_mynetworks, permit_sasl_authenticated, \
    permit_auth_destination, reject_unauth_destination, reject_unauth_pipelining, \
    reject_authenticated_sender_login_mismatch, reject_non_fqdn_sender, reject_non_fqdn_recipient, \
    reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_plaintext_session";

impl Setting for Restrictions {
    fn expected() -> String {
        format!("a list of these names, the first that applies decides: {NAMES}")
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        Vec::from_toml(value).map(Self)
    }
    fn to_toml(&self) -> Option<Value> {
        self.0.to_toml()
    }
}
