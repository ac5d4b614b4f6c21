//! What an account may hold: what the directory says of it, and of the rest what all have.

use facteur_model::{MailboxName, QuotaLimits, QuotaRuleError, QuotaRules};

/// What accounts may hold unless the directory says otherwise (Dovecot's plugin `quota_rule`).
#[derive(Debug, Clone)]
pub struct QuotaDefaults {
    /// For every account.
    pub rules: QuotaRules,
    /// Separates the levels of folders' names in the directory's rules.
    pub separator: char,
}

impl Default for QuotaDefaults {
    fn default() -> Self {
        Self {
            rules: QuotaRules::default(),
            separator: MailboxName::SEPARATOR,
        }
    }
}

impl QuotaDefaults {
    /// The limits of an account of which the directory says `own`.
    pub(crate) fn limits(&self, own: QuotaRules) -> QuotaLimits {
        own.with_separator(self.separator).or(&self.rules).limits()
    }
}

/// The rules among a user's fields: `quota_rule`, `quota_rule2`, `quota_rule3` … up to the first that is
/// not there. One that cannot be read is told to `unreadable`.
pub(crate) fn rules<'a>(
    field: impl Fn(&str) -> Option<&'a str>,
    mut unreadable: impl FnMut(&'a str, QuotaRuleError),
) -> QuotaRules {
    let mut rules = QuotaRules::default();
    let names = std::iter::once("quota_rule".to_owned())
        .chain((2..).map(|number| format!("quota_rule{number}")));
    for rule in names.map_while(|name| field(&name)) {
        if let Err(error) = rules.add(rule) {
            unreadable(rule, error);
        }
    }
    rules
}
