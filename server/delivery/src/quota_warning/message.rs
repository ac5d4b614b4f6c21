//! A warning as a message in the account's inbox, which no quota stops.

use std::time::SystemTime;

use facteur_model::{Flags, Guid, InternalDate, MailboxName};
use facteur_store::{Append, Batch, Body, QuotaCheck, Store, StoreError};
use mail_builder::{
    MessageBuilder,
    headers::{address::Address as Written, date::Date, raw::Raw, text::Text},
};

use super::Due;

pub(super) fn deliver(store: &Store, due: &Due, now: SystemTime) -> Result<(), StoreError> {
    let date = InternalDate::from(now);
    let id = Guid::random()?;
    let text = compose(due, &id, date.unix()).map_err(StoreError::Io)?;
    let prefix = format!("Return-Path: <>\r\nDelivered-To: {}\r\n", due.account.id);
    let append = Append {
        account: due.account.clone(),
        mailbox: MailboxName::inbox(),
        create: true,
        prefix: prefix.into(),
        body: Body::Memory(text.into()),
        flags: Flags::EMPTY,
        keywords: Vec::new(),
        internal_date: date,
        delivery: id,
        repeated: false,
        quota: QuotaCheck::Ignore,
    };
    let batch = Batch {
        appends: vec![append],
        ..Batch::default()
    };
    store.commit(batch).map(drop)
}

fn compose(due: &Due, id: &Guid, now: i64) -> std::io::Result<Vec<u8>> {
    let options = &due.options;
    let written = |address: &str| Written::new_address(None::<String>, address.to_owned());
    let subject = fill(&options.subject, due).replace(['\r', '\n'], " ");
    let text: String = fill(&options.text, due)
        .lines()
        .flat_map(|line| [line.trim_end_matches('\r').to_owned(), "\r\n".to_owned()])
        .collect();
    MessageBuilder::new()
        .header("From", written(&options.from.to_string()))
        .header("To", written(due.account.id.as_str()))
        .header("Date", Date::new(now))
        .header("Subject", Text::new(subject))
        .header(
            "Message-ID",
            Raw::new(format!("<{id}@{}>", options.hostname)),
        )
        .header("Auto-Submitted", Raw::new("auto-generated"))
        .header("Precedence", Raw::new("bulk"))
        .text_body(text)
        .write_to_vec()
}

/// Fills in the variables.
fn fill(text: &str, due: &Due) -> String {
    let limits = &due.account.quota;
    let (used, limit) = if due.crossing.of_bytes {
        (size(due.usage.bytes), limits.bytes.map(size))
    } else {
        let count = |messages: u64| format!("{messages} messages");
        (count(due.usage.messages), limits.messages.map(count))
    };
    text.replace("$percent", &due.crossing.percent.to_string())
        .replace("$used", &used)
        .replace("$limit", &limit.unwrap_or_else(|| "unlimited".to_owned()))
        .replace("$user", due.account.id.as_str())
}

/// `950.5 MB`, in units of 1024.
fn size(bytes: u64) -> String {
    let units = [(30, "GB"), (20, "MB"), (10, "KB")];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        None => format!("{bytes} bytes"),
        Some((shift, unit)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1536), "1.5 KB");
        assert_eq!(size(950 << 20), "950.0 MB");
        assert_eq!(size(u64::MAX), "17179869183.9 GB");
    }
}
