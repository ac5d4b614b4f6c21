//! Delivery and Sieve.

use anyhow::Context as _;
use facteur_address::Address;
use facteur_config::{
    Config, Map,
    sections::{Lmtp, Quota, Sieve, StatusType},
};
use facteur_delivery::{Options, RedirectSender, SieveOptions, sieve::Score};

use super::{Paths, imap, key::Key, quota};

/// How messages are delivered.
pub(crate) fn options(config: &Config) -> anyhow::Result<Options> {
    let Quota {
        quota_full_tempfail,
        quota_grace,
        ..
    } = &config.quota;
    let Lmtp {
        lmtp_save_to_detail_mailbox,
    } = &config.lmtp;
    Ok(Options {
        hostname: Paths::new(config).hostname,
        quota_grace: u8::try_from(*quota_grace).unwrap_or(100),
        quota_full_tempfail: *quota_full_tempfail,
        quota_exceeded_message: quota::exceeded_message(config)?,
        lda_mailbox_autocreate: config.sieve.lda_mailbox_autocreate,
        lmtp_save_to_detail_mailbox: *lmtp_save_to_detail_mailbox,
        separator: imap::separator(config),
        alias_prefixes: imap::alias_prefixes(config),
        sieve: sieve(config)?,
    })
}

fn sieve(config: &Config) -> anyhow::Result<SieveOptions> {
    let Sieve {
        sieve_before,
        sieve_default,
        sieve_after,
        sieve_global,
        sieve_max_redirects,
        sieve_max_actions,
        sieve_max_cpu_time,
        sieve_memory,
        sieve_threads,
        lda_mailbox_autocreate: _,
        sieve_redirect_envelope_from,
        sieve_vacation_min_period,
        sieve_vacation_default_period,
        sieve_vacation_max_period,
        sieve_duplicate_max_period,
        sieve_spamtest_status_header,
        sieve_spamtest_status_type,
        sieve_spamtest_max_value,
        sieve_spamtest_text_values,
        sieve_virustest_status_header,
        sieve_virustest_status_type,
        sieve_virustest_max_value,
        sieve_virustest_text_values,
    } = &config.sieve;
    Ok(SieveOptions {
        before: sieve_before.clone(),
        default: sieve_default.clone(),
        after: sieve_after.clone(),
        global: sieve_global.clone(),
        max_redirects: *sieve_max_redirects,
        max_actions: *sieve_max_actions,
        hopcount_limit: config.smtp.hopcount_limit,
        max_time: sieve_max_cpu_time.0,
        memory: usize::try_from(sieve_memory.0).unwrap_or(usize::MAX),
        threads: *sieve_threads,
        redirect_envelope_from: redirect_sender(sieve_redirect_envelope_from)?,
        vacation_min_period: sieve_vacation_min_period.0.as_secs(),
        vacation_default_period: sieve_vacation_default_period.0.as_secs(),
        vacation_max_period: sieve_vacation_max_period.0.as_secs(),
        duplicate_max_period: sieve_duplicate_max_period.0.as_secs(),
        spamtest: score(
            sieve_spamtest_status_header.as_deref(),
            *sieve_spamtest_status_type,
            *sieve_spamtest_max_value,
            sieve_spamtest_text_values,
        )
        .context(Key::new("sieve.sieve_spamtest_status_header"))?,
        virustest: score(
            sieve_virustest_status_header.as_deref(),
            *sieve_virustest_status_type,
            *sieve_virustest_max_value,
            sieve_virustest_text_values,
        )
        .context(Key::new("sieve.sieve_virustest_status_header"))?,
        ..SieveOptions::default()
    })
}

fn redirect_sender(text: &str) -> anyhow::Result<RedirectSender> {
    Ok(match text {
        "sender" => RedirectSender::Sender,
        "recipient" => RedirectSender::Recipient,
        "orig_recipient" => RedirectSender::OriginalRecipient,
        address => RedirectSender::Address(
            Address::parse(address)
                .with_context(|| Key::new("sieve.sieve_redirect_envelope_from").with(address))?,
        ),
    })
}

fn score(
    header: Option<&str>,
    kind: StatusType,
    max: f64,
    words: &Map,
) -> anyhow::Result<Option<Score>> {
    let Some(header) = header else {
        return Ok(None);
    };
    let score = match kind {
        StatusType::Score => Score::number(header, max)?,
        StatusType::Strlen => Score::length(header, max)?,
        StatusType::Text => {
            let value = |(value, word): &(String, String)| {
                let value = value
                    .parse()
                    .with_context(|| format!("{value:?} is not a value from 0 to 10"))?;
                Ok((value, word.clone()))
            };
            let values = words.0.iter().map(value).collect::<anyhow::Result<_>>()?;
            Score::text(header, values)?
        }
    };
    Ok(Some(score))
}
