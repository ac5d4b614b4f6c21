//! The whole notice.

use facteur_address::{Address, Domain};

use crate::{field, human};

/// What became of one recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It will never get through.
    Failed,
    /// It has not got through yet; we go on trying.
    Delayed,
    /// It lies in the recipient's mailbox.
    Delivered,
    /// It went to a system that does not report on its own.
    Relayed,
    /// It went to the members of a list or alias.
    Expanded,
}

impl Action {
    /// The field's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// Who said why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnostic<'a> {
    /// The peer's SMTP reply, code and all (`550 5.1.1 No such user`).
    Smtp(&'a str),
    /// Our own finding.
    Local(&'a str),
}

/// What the notice tells of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientReport<'a> {
    /// Where it went, after aliases.
    pub final_recipient: &'a str,
    /// What RCPT said.
    pub original_recipient: Option<&'a str>,
    /// What became of it.
    pub action: Action,
    /// Enhanced status code (RFC 3463), such as `5.1.1`.
    pub status: &'a str,
    /// The host that answered.
    pub remote_mta: Option<&'a str>,
    /// Why.
    pub diagnostic: Option<Diagnostic<'a>>,
    /// When it was tried last, in seconds since the Unix epoch.
    pub last_attempt_at: Option<i64>,
    /// When we give up, for [`Action::Delayed`].
    pub retry_until: Option<i64>,
    /// The text of a script's `reject`, shown to the reader as it stands.
    pub reason: Option<&'a str>,
}

/// What is sent back of the message.
#[derive(Debug, Clone, Copy)]
pub enum Original<'a> {
    /// Its header: cut at a line once it is longer than [`Report::MAX_HEADER`] bytes.
    Header(&'a [u8]),
    /// All of it; the caller bounds it.
    Message(&'a [u8]),
}

/// A notice about one message.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// This host's name.
    pub reporting_mta: &'a Domain,
    /// Who writes: shown in From.
    pub from: &'a Address,
    /// The reverse-path of the message: to whom we write.
    pub to: &'a Address,
    /// A token no other message has (the notice's own queue id).
    pub id: &'a str,
    /// The message's queue id.
    pub about: &'a str,
    /// When the message arrived, in seconds since the Unix epoch.
    pub arrived_at: i64,
    /// Who gave it to us (its HELO name), for `Received-From-MTA`.
    pub received_from: Option<&'a str>,
    /// Now, in seconds since the Unix epoch.
    pub now: i64,
    /// At least one recipient.
    pub recipients: &'a [RecipientReport<'a>],
    /// What is sent back.
    pub original: Original<'a>,
}

impl Report<'_> {
    /// At most this many bytes of the original's header are sent back (Postfix's
    /// header_size_limit is as much again for each line).
    pub const MAX_HEADER: usize = 100 * 1024;

    /// The notice with CRLF line ends, to be sent with the null reverse-path.
    #[must_use]
    pub fn compose(&self) -> Vec<u8> {
        let original = self.original_bytes();
        let boundary = self.boundary(original);
        let mut out = Vec::with_capacity(original.len() + 4096);
        self.header(&mut out, &boundary);
        push(&mut out, &["\r\n--", &boundary, "\r\n"]);
        self.human_part(&mut out);
        push(&mut out, &["\r\n--", &boundary, "\r\n"]);
        self.status_part(&mut out);
        push(&mut out, &["\r\n--", &boundary, "\r\n"]);
        self.original_part(&mut out, original);
        push(&mut out, &["\r\n--", &boundary, "--\r\n"]);
        out
    }

    fn original_bytes(&self) -> &[u8] {
        match self.original {
            Original::Message(message) => message,
            Original::Header(header) => {
                let header = field::header_of(header);
                if header.len() <= Self::MAX_HEADER {
                    return header;
                }
                let cut = header.get(..Self::MAX_HEADER).unwrap_or(header);
                let end = cut
                    .iter()
                    .rposition(|byte| *byte == b'\n')
                    .map_or(0, |at| at + 1);
                cut.get(..end).unwrap_or(cut)
            }
        }
    }

    /// RFC 2046 §5.1.1: no line of a part may begin with it.
    fn boundary(&self, original: &[u8]) -> String {
        let mut boundary = format!("{}.{}/report", self.id, self.now);
        while original
            .windows(boundary.len())
            .any(|window| window == boundary.as_bytes())
        {
            boundary.push('+');
        }
        boundary
    }

    fn header(&self, out: &mut Vec<u8>, boundary: &str) {
        push(out, &["Date: ", &field::date(self.now), "\r\n"]);
        push(
            out,
            &[
                "From: Mail Delivery System <",
                &self.from.to_string(),
                ">\r\n",
            ],
        );
        push(out, &["To: <", &self.to.to_string(), ">\r\n"]);
        push(out, &["Subject: ", human::subject(self.recipients), "\r\n"]);
        push(
            out,
            &[
                "Message-ID: <",
                self.id,
                "@",
                self.reporting_mta.as_str(),
                ">\r\n",
            ],
        );
        let (Original::Header(bytes) | Original::Message(bytes)) = self.original;
        if let Some(id) = field::message_id_of(bytes) {
            push(out, &["In-Reply-To: ", id, "\r\nReferences: ", id, "\r\n"]);
        }
        // RFC 3834 §3.1.7: a DSN answers a message.
        push(
            out,
            &["Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"],
        );
        push(
            out,
            &[
                "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"",
                boundary,
                "\"\r\n",
            ],
        );
        if self.is_8bit() {
            push(out, &["Content-Transfer-Encoding: 8bit\r\n"]);
        }
        push(
            out,
            &["\r\nThis is a delivery report in MIME format (RFC 3464).\r\n"],
        );
    }

    /// Whether the notice holds bytes over 127, which only the original brings along: its envelope
    /// then says `BODY=8BITMIME`.
    #[must_use]
    pub fn is_8bit(&self) -> bool {
        !self.original_bytes().is_ascii()
    }

    fn human_part(&self, out: &mut Vec<u8>) {
        let text = human::text(self);
        if text.is_ascii() && text.lines().all(|line| line.len() <= 900) {
            push(
                out,
                &["Content-Type: text/plain; charset=us-ascii\r\n\r\n", &text],
            );
            return;
        }
        push(
            out,
            &[
                "Content-Type: text/plain; charset=utf-8\r\n",
                "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
            ],
        );
        human::quoted_printable(out, &text);
    }

    /// RFC 3464 §2.1: one group of fields for the message, one for each recipient.
    fn status_part(&self, out: &mut Vec<u8>) {
        push(out, &["Content-Type: message/delivery-status\r\n\r\n"]);
        field::typed(out, "Reporting-MTA", "dns", self.reporting_mta.as_str());
        field::typed(out, "X-Facteur-Queue-ID", "", self.about);
        if let Some(host) = self.received_from.filter(|host| !host.is_empty()) {
            field::typed(out, "Received-From-MTA", "dns", host);
        }
        field::typed(out, "Arrival-Date", "", &field::date(self.arrived_at));
        for recipient in self.recipients {
            push(out, &["\r\n"]);
            recipient.fields(out);
        }
    }

    fn original_part(&self, out: &mut Vec<u8>, original: &[u8]) {
        let kind = match self.original {
            Original::Header(_) => "text/rfc822-headers",
            Original::Message(_) => "message/rfc822",
        };
        push(out, &["Content-Type: ", kind, "\r\n"]);
        if !original.is_ascii() {
            push(out, &["Content-Transfer-Encoding: 8bit\r\n"]);
        }
        push(out, &["\r\n"]);
        out.extend_from_slice(original);
    }
}

impl RecipientReport<'_> {
    /// RFC 3464 §2.3.
    fn fields(&self, out: &mut Vec<u8>) {
        if let Some(original) = self.original_recipient {
            field::address(out, "Original-Recipient", original);
        }
        field::address(out, "Final-Recipient", self.final_recipient);
        field::typed(out, "Action", "", self.action.as_str());
        field::typed(out, "Status", "", self.status);
        if let Some(host) = self.remote_mta {
            field::typed(out, "Remote-MTA", "dns", host);
        }
        match self.diagnostic {
            Some(Diagnostic::Smtp(text)) => field::typed(out, "Diagnostic-Code", "smtp", text),
            Some(Diagnostic::Local(text)) => {
                field::typed(out, "Diagnostic-Code", "X-Facteur", text);
            }
            None => {}
        }
        if let Some(at) = self.last_attempt_at {
            field::typed(out, "Last-Attempt-Date", "", &field::date(at));
        }
        // RFC 3464 §2.3.9: only for what is still tried.
        if let Some(until) = self.retry_until.filter(|_| self.action == Action::Delayed) {
            field::typed(out, "Will-Retry-Until", "", &field::date(until));
        }
    }
}

fn push(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
