//! Header lines that are put on top (RFC 5321 §4.4, RFC 6409 §8).

use facteur_spool::QueueId;
use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::{Client, Options, header::Facts};

/// `Received`; `Date` and `Message-ID` when they are missing and the client is one of ours.
pub(crate) fn prefix(
    options: &Options,
    client: &Client,
    queue_id: &QueueId,
    only_recipient: Option<&str>,
    facts: &Facts,
    now: i64,
) -> String {
    let hostname = &options.hostname;
    let date = date(now);
    let mut out = format!(
        "Received: from {} ({})",
        printable(&client.helo),
        client.literal()
    );
    if let Some(tls) = client
        .tls
        .as_ref()
        .filter(|_| options.smtpd_tls_received_header)
    {
        out.push_str(&format!(
            "\r\n\t(using {} with cipher {})",
            tls.version, tls.cipher
        ));
    }
    let account = client.account.as_ref();
    if let Some(account) = account.filter(|_| options.smtpd_sasl_authenticated_header) {
        let name = printable(&account.address.to_string());
        out.push_str(&format!("\r\n\t(Authenticated sender: {name})"));
    }
    out.push_str(&format!(
        "\r\n\tby {hostname} (Facteur) with {} id {queue_id}",
        client.protocol()
    ));
    // With several, each would learn of the others (RFC 5321 §7.2).
    if let Some(recipient) = only_recipient {
        out.push_str(&format!("\r\n\tfor <{recipient}>"));
    }
    out.push_str(&format!("; {date}\r\n"));
    let complete = client.is_author(&options.mynetworks);
    if complete && !facts.has_date {
        out.push_str(&format!("Date: {date}\r\n"));
    }
    if complete && !facts.has_message_id {
        let message_id = message_id(options, queue_id);
        out.push_str(&format!("Message-ID: {message_id}\r\n"));
    }
    out
}

/// What a message that has none is given.
fn message_id(options: &Options, queue_id: &QueueId) -> String {
    format!("<{queue_id}@{}>", options.hostname)
}

/// What the log calls the message: its own Message-ID, or the one that [`prefix`] gave it.
pub(crate) fn logged_message_id(
    options: &Options,
    client: &Client,
    queue_id: &QueueId,
    facts: &Facts,
) -> String {
    match &facts.message_id {
        Some(own) => own.clone(),
        None if client.is_author(&options.mynetworks) => message_id(options, queue_id),
        None => String::new(),
    }
}

/// RFC 5322 §3.3, in the zone of this host.
fn date(now: i64) -> String {
    let timestamp = Timestamp::from_second(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let zoned = Zoned::new(timestamp, TimeZone::system());
    jiff::fmt::rfc2822::to_string(&zoned)
        .unwrap_or_else(|_| String::from("Thu, 1 Jan 1970 00:00:00 +0000"))
}

/// What a client said, fit for a comment and a header line.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            let fits = c.is_ascii_alphanumeric() || "-._:[]@+/=%".contains(c);
            if fits { c } else { '?' }
        })
        .collect()
}
