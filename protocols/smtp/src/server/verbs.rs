//! Which command may come when (RFC 5321 §4.1.4), and the commands that need nobody else.

use super::{Asked, Event, Flavour, Session, reply_for};
use crate::{
    Command, EnhancedStatus, Reply,
    command::{Auth, Mail, Rcpt},
};

/// RCPTs over the limit that are refused without counting as errors: RFC 5321 §4.5.3.1.10 has
/// clients send the rest in another transaction.
const RECIPIENT_OVERSHOOT: usize = 1000;

impl Session {
    pub(super) fn on_command(&mut self, command: Command) -> Option<Event> {
        let lmtp = self.options.flavour == Flavour::Lmtp;
        if self.channel.tls_required && !self.channel.tls && needs_tls(&command) {
            return self.on_clear_text(&command);
        }
        match command {
            Command::Ehlo(name) if !lmtp => return self.on_hello(name, true),
            Command::Helo(name) if !lmtp => return self.on_hello(name, false),
            Command::Lhlo(name) if lmtp => return self.on_hello(name, true),
            Command::Ehlo(_) | Command::Helo(_) => {
                let status = EnhancedStatus::new(5, 5, 1);
                self.reply(&Reply::new(500, status, "This is LMTP: say LHLO"));
            }
            Command::Lhlo(_) => {
                let status = EnhancedStatus::new(5, 5, 1);
                self.reply(&Reply::new(500, status, "This is SMTP: say EHLO"));
            }
            Command::Mail(mail) => return self.on_mail(mail),
            Command::Rcpt(rcpt) => return self.on_rcpt(rcpt),
            Command::Data => return self.on_data_command(),
            Command::Bdat(bdat) => return self.on_bdat(bdat),
            Command::Auth(auth) => return self.on_auth(auth),
            Command::StartTls => return self.on_starttls(),
            Command::Rset => return self.on_rset(),
            Command::Noop => self.reply_to_junk(&ok("Ok")),
            Command::Vrfy(_) => {
                // Whether an address exists is told to those who have mail for it.
                let status = EnhancedStatus::new(2, 5, 2);
                self.reply_to_junk(&Reply::new(252, status, "Send mail to find out"));
            }
            Command::Help => {
                let status = EnhancedStatus::new(2, 0, 0);
                self.reply_to_junk(&Reply::new(214, status, "See RFC 5321"));
            }
            Command::Quit => {
                self.has_quit = true;
                let status = EnhancedStatus::new(2, 0, 0);
                self.close_with(&Reply::new(221, status, "Bye"));
            }
        }
        None
    }

    fn on_mail(&mut self, mail: Mail) -> Option<Event> {
        let limit = self.options.message_size_limit;
        if !self.greeted {
            let verb = if self.options.flavour == Flavour::Lmtp {
                "LHLO"
            } else {
                "EHLO"
            };
            self.reply(&Reply::new(
                503,
                EnhancedStatus::new(5, 5, 1),
                format!("Say {verb} first"),
            ));
        } else if self.transaction.is_some() {
            self.reply(&reply_for::bad_sequence("Nested MAIL command"));
        } else if self.channel.auth_required && !self.authenticated {
            let status = EnhancedStatus::new(5, 7, 0);
            self.reply(&Reply::new(530, status, "Authentication required"));
        } else if limit != 0 && mail.size.is_some_and(|size| size > limit) {
            self.reply(&reply_for::too_large(limit));
        } else {
            self.asked = Asked::Mail;
            return Some(Event::Mail(mail));
        }
        None
    }

    fn on_rcpt(&mut self, rcpt: Rcpt) -> Option<Event> {
        let limit = self.options.recipient_limit;
        let Some(transaction) = &mut self.transaction else {
            self.reply(&reply_for::bad_sequence("Need MAIL command"));
            return None;
        };
        if transaction.body.is_some() {
            self.reply(&reply_for::bad_sequence("The message has begun"));
            return None;
        }
        if transaction.accepted >= limit {
            transaction.overshoot += 1;
            let counts = transaction.overshoot > RECIPIENT_OVERSHOOT;
            let reply = Reply::new(452, EnhancedStatus::new(4, 5, 3), "Too many recipients");
            if counts {
                self.reply(&reply);
            } else {
                reply.encode(&mut self.output);
            }
            return None;
        }
        self.asked = Asked::Rcpt;
        Some(Event::Rcpt(rcpt))
    }

    fn on_rset(&mut self) -> Option<Event> {
        let had_transaction = self.transaction.take().is_some();
        self.reply_to_junk(&ok("Ok"));
        had_transaction.then_some(Event::Reset)
    }

    fn on_auth(&mut self, auth: Auth) -> Option<Event> {
        if !self.greeted {
            self.reply(&reply_for::bad_sequence("Say EHLO first"));
        } else if self.authenticated {
            self.reply(&reply_for::bad_sequence("Already authenticated"));
        } else if self.transaction.is_some() {
            self.reply(&reply_for::bad_sequence("Not during a mail transaction"));
        } else if self.channel.mechanisms.is_empty() && self.channel.auth_after_tls {
            // RFC 4954 §6.
            let status = EnhancedStatus::new(5, 7, 11);
            self.reply(&Reply::new(
                538,
                status,
                "Encryption required: STARTTLS first",
            ));
        } else if self.channel.mechanisms.is_empty() {
            let status = EnhancedStatus::new(5, 5, 1);
            self.reply(&Reply::new(502, status, "AUTH is not offered"));
        } else if !self.channel.mechanisms.contains(&auth.mechanism.as_str()) {
            let status = EnhancedStatus::new(5, 5, 4);
            self.reply(&Reply::new(504, status, "Mechanism is not offered"));
        } else {
            self.asked = Asked::Auth;
            return Some(Event::Auth(auth));
        }
        None
    }

    fn on_clear_text(&mut self, command: &Command) -> Option<Event> {
        // RFC 3207 §4.
        let status = EnhancedStatus::new(5, 7, 0);
        let reply = Reply::new(530, status, "Must issue a STARTTLS command first");
        match command {
            Command::Bdat(bdat) => self.swallow(*bdat, reply),
            _ => self.reply(&reply),
        }
        None
    }
}

fn needs_tls(command: &Command) -> bool {
    !matches!(
        command,
        Command::Ehlo(_)
            | Command::Helo(_)
            | Command::Lhlo(_)
            | Command::StartTls
            | Command::Noop
            | Command::Rset
            | Command::Quit
    )
}

fn ok(text: &'static str) -> Reply {
    Reply::new(250, EnhancedStatus::new(2, 0, 0), text)
}
