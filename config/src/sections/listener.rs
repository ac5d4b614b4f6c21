//! `[[listener]]`: one place where clients connect.

use ipnet::IpNet;

use super::Restrictions;
use crate::{
    section::section,
    setting::{Mode, choice},
};

choice! {
    /// What is spoken on a listener.
    ListenerProtocol {
        /// RFC 5321
        Smtp = "smtp",
        /// RFC 6409
        Submission = "submission",
        /// RFC 2033
        Lmtp = "lmtp",
        /// RFC 3501
        Imap = "imap",
        /// RFC 1939
        Pop3 = "pop3",
        /// RFC 5804
        ManageSieve = "managesieve",
    }
}

choice! {
    /// How TLS comes in.
    ListenerTls {
        /// Never.
        None = "none",
        /// By the protocol's own command.
        StartTls = "starttls",
        /// From the first byte.
        Implicit = "implicit",
    }
}

section! {
    /// One place where clients connect. Without any entry there are smtp on 25, submission on 587 and
    /// (TLS from the first byte) 465, lmtp on 127.0.0.1:24 and unix:/run/facteur/lmtp, imap on 143 and
    /// 993, pop3 on 110 and 995, managesieve on 4190; with one, only what the entries say.
    Listener {
        /// Its name in the log; by default the protocol's, with an s when TLS is implicit.
        name: Option<String> = None,
        /// What is spoken.
        protocol: Option<ListenerProtocol> = None,
        /// Where: `*:PORT` (every address of the machine), `ADDRESS:PORT`, `[IPV6]:PORT` or
        /// `unix:/PATH`.
        address: String = String::new(),
        /// How TLS comes in: `starttls` (the default, of lmtp and on a Unix socket `none`), `implicit` or
        /// `none`.
        tls: Option<ListenerTls> = None,
        /// Whether every connection begins with a PROXY protocol header (version 1 or 2).
        proxy_protocol: bool = false,
        /// Whether clients may log in. By default on every listener but smtp and lmtp.
        auth: Option<bool> = None,
        /// Whether nothing works before TLS is up but what leads to it (master.cf's
        /// `smtpd_tls_security_level=encrypt`). By default not.
        require_tls: Option<bool> = None,
        /// Whether mail is taken only from clients that are logged in (master.cf's
        /// `smtpd_client_restrictions=permit_sasl_authenticated,reject`). By default on submission.
        require_auth: Option<bool> = None,
        /// Clients that may relay by this listener, in place of the top level's `mynetworks`.
        mynetworks: Option<Vec<IpNet>> = None,
        /// Whether a password may cross without TLS when the client is on this machine, in place of
        /// `[auth]`'s `plaintext_auth_on_loopback`.
        plaintext_auth_on_loopback: Option<bool> = None,
        /// Rules for the client on this listener (smtp, submission, lmtp), in place of its section's.
        smtpd_client_restrictions: Option<Restrictions> = None,
        /// Rules for the name in HELO or EHLO.
        smtpd_helo_restrictions: Option<Restrictions> = None,
        /// Rules for the sender.
        smtpd_sender_restrictions: Option<Restrictions> = None,
        /// Rules for who may relay.
        smtpd_relay_restrictions: Option<Restrictions> = None,
        /// Rules for each recipient.
        smtpd_recipient_restrictions: Option<Restrictions> = None,
        /// Rules for the moment before the message.
        smtpd_data_restrictions: Option<Restrictions> = None,
        /// Permissions of a Unix socket.
        mode: Mode = Mode(0o660),
    }
}

impl ListenerProtocol {
    fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Lmtp => "lmtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::ManageSieve => "managesieve",
        }
    }
}

impl Listener {
    /// One with nothing set but what it must have.
    pub fn new(protocol: ListenerProtocol, address: &str, tls: ListenerTls) -> Self {
        Self {
            protocol: Some(protocol),
            address: address.to_owned(),
            tls: Some(tls),
            ..Self::default()
        }
    }

    /// How TLS comes in.
    pub fn tls(&self) -> ListenerTls {
        let by_itself =
            if self.protocol == Some(ListenerProtocol::Lmtp) || self.address.starts_with("unix:") {
                ListenerTls::None
            } else {
                ListenerTls::StartTls
            };
        self.tls.unwrap_or(by_itself)
    }

    /// Its name in the log.
    pub fn name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let protocol = self.protocol.map_or("", ListenerProtocol::name);
        let tls = match self.tls() {
            ListenerTls::Implicit => "s",
            _ => "",
        };
        let unix = if self.address.starts_with("unix:") {
            "-unix"
        } else {
            ""
        };
        format!("{protocol}{tls}{unix}")
    }

    /// Those of a server that has no entry.
    pub fn defaults() -> Vec<Self> {
        use ListenerProtocol::{Imap, Lmtp, ManageSieve, Pop3, Smtp, Submission};
        use ListenerTls::{Implicit, None, StartTls};
        vec![
            Self::new(Smtp, "*:25", StartTls),
            Self::new(Submission, "*:587", StartTls),
            Self::new(Submission, "*:465", Implicit),
            Self::new(Lmtp, "127.0.0.1:24", None),
            Self::new(Lmtp, "unix:/run/facteur/lmtp", None),
            Self::new(Imap, "*:143", StartTls),
            Self::new(Imap, "*:993", Implicit),
            Self::new(Pop3, "*:110", StartTls),
            Self::new(Pop3, "*:995", Implicit),
            Self::new(ManageSieve, "*:4190", StartTls),
        ]
    }
}
