//! How much accounts may hold, and who is told when they come near to it.

use anyhow::{Context as _, ensure};
use facteur_address::Address;
use facteur_config::{Config, sections::Quota};
use facteur_delivery::{QuotaWarning, QuotaWarningOptions};
use facteur_directory::{QuotaDefaults, QuotaRules};

use super::{Paths, imap, key::Key, smtp};

/// What accounts have unless the directory says otherwise.
pub(crate) fn defaults(config: &Config) -> anyhow::Result<QuotaDefaults> {
    let separator = imap::separator(config);
    let mut rules = QuotaRules::default();
    for rule in &config.quota.quota_rule {
        let added = rules.add(rule);
        added.with_context(|| Key::new("quota.quota_rule").with(rule))?;
    }
    Ok(QuotaDefaults {
        rules: rules.with_separator(separator),
        separator,
    })
}

/// What peers are told of a full mailbox: one line of any protocol.
pub(crate) fn exceeded_message(config: &Config) -> anyhow::Result<String> {
    let text = &config.quota.quota_exceeded_message;
    let fits = !text.trim().is_empty()
        && text.len() <= 400
        && text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    ensure_key(
        fits,
        "quota.quota_exceeded_message",
        "a line of ASCII text, of 400 characters at most",
    )?;
    Ok(text.clone())
}

/// When accounts are warned, and how.
pub(crate) fn warnings(config: &Config) -> anyhow::Result<QuotaWarningOptions> {
    let Quota {
        quota_warning,
        quota_warning_programs,
        quota_warning_subject,
        quota_warning_message,
        // The directory's, delivery's and the parts'.
        quota_rule: _,
        quota_full_tempfail: _,
        quota_grace: _,
        quota_exceeded_message: _,
        domain_quota: _,
    } = &config.quota;
    let program = |name: &str| {
        let mut known = quota_warning_programs.0.iter();
        known
            .find(|(known, _)| known == name)
            .map(|(_, path)| path.clone())
    };
    let warnings = quota_warning.iter().map(|text| {
        let key = || Key::new("quota.quota_warning").with(text);
        QuotaWarning::parse(text, program).with_context(key)
    });
    let hostname = smtp::hostname(config)?;
    let from = match smtp::postmaster(config)? {
        Some(address) => address,
        None => Address::from_parts("postmaster", hostname).context(Key::new("myhostname"))?,
    };
    Ok(QuotaWarningOptions {
        warnings: warnings.collect::<anyhow::Result<_>>()?,
        from,
        hostname: Paths::new(config).hostname,
        subject: quota_warning_subject.clone(),
        text: quota_warning_message.clone(),
    })
}

fn ensure_key(holds: bool, key: &str, expected: &str) -> anyhow::Result<()> {
    let check = || {
        ensure!(holds, "expected {expected}");
        Ok(())
    };
    check().context(Key::new(key))
}
