//! The part a person reads.

use std::fmt::Write as _;

use crate::{Action, Diagnostic, RecipientReport, Report};

/// A recipient's text is cut here: a peer's reply may be long.
const MAX_TEXT: usize = 2000;

fn worst(recipients: &[RecipientReport<'_>]) -> Action {
    let has = |action| recipients.iter().any(|r| r.action == action);
    if has(Action::Failed) {
        Action::Failed
    } else if has(Action::Delayed) {
        Action::Delayed
    } else {
        Action::Delivered
    }
}

fn all_rejected(recipients: &[RecipientReport<'_>]) -> bool {
    recipients.iter().all(|r| r.reason.is_some())
}

/// What the whole report is about.
pub(crate) fn subject(recipients: &[RecipientReport<'_>]) -> &'static str {
    match worst(recipients) {
        Action::Failed if all_rejected(recipients) => "Your message was refused",
        Action::Failed => "Your message could not be delivered",
        Action::Delayed => "Your message is delayed",
        Action::Delivered | Action::Relayed | Action::Expanded => "Your message was delivered",
    }
}

/// The text, lines ended by CRLF.
pub(crate) fn text(report: &Report<'_>) -> String {
    let mut text = format!(
        "This is the mail server at {}.\r\n\r\n",
        report.reporting_mta
    );
    text.push_str(match worst(report.recipients) {
        Action::Failed if all_rejected(report.recipients) => {
            "Your message was refused by the recipient's mail filter.\r\n"
        }
        Action::Failed => {
            "Your message could not be delivered to the recipients named below, and it will\r\n\
             not be tried again. If you need help, forward this report to your postmaster.\r\n"
        }
        Action::Delayed => {
            "Your message has not reached the recipients named below yet. You need not send\r\n\
             it again: delivery goes on being tried.\r\n"
        }
        Action::Delivered | Action::Relayed | Action::Expanded => {
            "Your message was passed on as shown below.\r\n"
        }
    });
    for recipient in report.recipients {
        let _ = write!(text, "\r\n<{}>:\r\n", line(recipient.final_recipient));
        if let Some(original) = recipient
            .original_recipient
            .filter(|original| *original != recipient.final_recipient)
        {
            let _ = write!(text, "    (sent to <{}>)\r\n", line(original));
        }
        if let Some(host) = recipient.remote_mta {
            let _ = write!(text, "    {} said:\r\n", line(host));
        }
        match (recipient.reason, recipient.diagnostic) {
            (Some(words), _) | (None, Some(Diagnostic::Smtp(words) | Diagnostic::Local(words))) => {
                indent(&mut text, words);
            }
            (None, None) => {
                let _ = write!(
                    text,
                    "    {} ({})\r\n",
                    recipient.action.as_str(),
                    line(recipient.status)
                );
            }
        }
    }
    text
}

/// One line of text from the outside.
fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn indent(text: &mut String, words: &str) {
    let cut = words
        .char_indices()
        .nth(MAX_TEXT)
        .map_or(words.len(), |(at, _)| at);
    for part in words.get(..cut).unwrap_or("").lines() {
        let _ = write!(text, "    {}\r\n", line(part));
    }
}

/// RFC 2045 §6.7, for text whose lines end in CRLF.
pub(crate) fn quoted_printable(out: &mut Vec<u8>, text: &str) {
    const MAX_LINE: usize = 76;
    for line in text.split_terminator("\r\n") {
        let mut column = 0;
        let bytes = line.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            let last = at + 1 == bytes.len();
            let literal = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (*byte == b' ' && !last);
            // Room for a soft line break, except where the line ends anyway.
            if column + if literal { 1 } else { 3 } > MAX_LINE - usize::from(!last) {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            if literal {
                out.push(*byte);
                column += 1;
            } else {
                out.extend_from_slice(format!("={byte:02X}").as_bytes());
                column += 3;
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}
