//! The greeting and EHLO (RFC 5321 §3.1, §3.2, §4.1.1.1).

use super::{Asked, Event, Flavour, Session};
use crate::{EnhancedStatus, Reply};

impl Session {
    pub(super) fn greet(&mut self) {
        let protocol = match self.options.flavour {
            Flavour::Lmtp => "LMTP",
            Flavour::Smtp | Flavour::Submission => "ESMTP",
        };
        let text = match &self.options.banner {
            Some(banner) => banner.clone(),
            None => format!("{} {protocol} Facteur", self.options.hostname),
        };
        self.reply(&Reply::plain(220, text));
    }

    pub(super) fn on_hello(&mut self, name: String, extended: bool) -> Option<Event> {
        self.transaction = None;
        self.asked = Asked::Hello { extended };
        Some(Event::Hello { name, extended })
    }

    /// Answers [`Event::Hello`] with the capabilities as they stand.
    pub fn accept_hello(&mut self) {
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
        self.greeted = true;
        let reply = if asked == (Asked::Hello { extended: true }) {
            Reply::plain(250, self.capabilities())
        } else {
            Reply::plain(250, self.options.hostname.clone())
        };
        // Only the first is of use; a client that says it again and again is doing nothing.
        self.reply_to_junk(&reply);
    }

    fn capabilities(&self) -> String {
        let mut lines = format!("{}\nPIPELINING\nSIZE", self.options.hostname);
        if self.options.message_size_limit != 0 {
            lines.push_str(&format!(" {}", self.options.message_size_limit));
        }
        if self.channel.starttls && !self.channel.tls {
            lines.push_str("\nSTARTTLS");
        }
        if !self.channel.mechanisms.is_empty() {
            let names = self.channel.mechanisms.join(" ");
            lines.push_str("\nAUTH ");
            lines.push_str(&names);
            if self.options.broken_sasl_auth_clients {
                lines.push_str("\nAUTH=");
                lines.push_str(&names);
            }
        }
        lines.push_str("\nENHANCEDSTATUSCODES\n8BITMIME\nCHUNKING");
        lines
    }

    pub(super) fn on_starttls(&mut self) -> Option<Event> {
        if self.channel.tls {
            self.reply(&super::reply_for::bad_sequence("TLS is up already"));
        } else if !self.channel.starttls {
            let status = EnhancedStatus::new(5, 5, 1);
            self.reply(&Reply::new(502, status, "STARTTLS is not offered"));
        } else {
            let status = EnhancedStatus::new(2, 0, 0);
            self.reply(&Reply::new(220, status, "Ready to start TLS"));
            self.transaction = None;
            self.input.clear();
            self.mode = super::Mode::Handshake;
            return Some(Event::StartTls);
        }
        None
    }
}
