//! SMTP, submission and LMTP: what the session and intake are told.

use std::collections::HashMap;

use anyhow::Context as _;
use facteur_address::{Address, Domain};
use facteur_config::{
    Config, Setting as _,
    sections::{Listener, ListenerProtocol, Restrictions as Rules, Smtp, Submission},
};
use facteur_intake::{Options, Restriction, Restrictions};

use super::{Paths, key::Key};

/// The server's name.
pub(crate) fn hostname(config: &Config) -> anyhow::Result<Domain> {
    let hostname = Paths::new(config).hostname;
    Domain::parse(&hostname).with_context(|| Key::new("myhostname").with(&hostname))
}

/// Who gets mail to the server's postmaster, if the configuration says so.
pub(crate) fn postmaster(config: &Config) -> anyhow::Result<Option<Address>> {
    match config.general.postmaster_address.as_str() {
        "" => Ok(None),
        text => Address::parse(text)
            .map(Some)
            .with_context(|| Key::new("postmaster_address").with(text)),
    }
}

/// What may come in.
pub(crate) fn intake(config: &Config) -> anyhow::Result<Options> {
    let general = &config.general;
    let smtp = &config.smtp;
    Ok(Options {
        mynetworks: general.mynetworks.clone(),
        hopcount_limit: smtp.hopcount_limit,
        queue_minfree: match smtp.queue_minfree.0 {
            // As Postfix: one message more must fit, and what is done with it.
            0 => general.message_size_limit.0.saturating_mul(3) / 2,
            octets => octets,
        },
        quota_full_tempfail: config.quota.quota_full_tempfail,
        smtpd_tls_received_header: smtp.smtpd_tls_received_header,
        smtpd_sasl_authenticated_header: smtp.smtpd_sasl_authenticated_header,
        listener_restrictions: restrictions(config)?,
        ..Options::new(hostname(config)?)
    })
}

/// How the protocol is spoken.
pub(crate) fn session(config: &Config) -> anyhow::Result<facteur_session_smtp::Options> {
    let Smtp {
        smtpd_banner,
        smtpd_timeout,
        smtpd_recipient_limit,
        smtpd_soft_error_limit,
        smtpd_error_sleep_time,
        smtpd_hard_error_limit,
        smtpd_junk_command_limit,
        // Intake's.
        hopcount_limit: _,
        queue_minfree: _,
        smtpd_tls_received_header: _,
        smtpd_sasl_authenticated_header: _,
        broken_sasl_auth_clients,
        smtpd_client_restrictions: _,
        smtpd_helo_restrictions: _,
        smtpd_sender_restrictions: _,
        smtpd_relay_restrictions: _,
        smtpd_recipient_restrictions: _,
        smtpd_data_restrictions: _,
    } = &config.smtp;
    let hostname = hostname(config)?;
    Ok(facteur_session_smtp::Options {
        smtpd_banner: Some(smtpd_banner.replace("$myhostname", hostname.as_str())),
        message_size_limit: config.general.message_size_limit.0,
        smtpd_recipient_limit: *smtpd_recipient_limit,
        smtpd_hard_error_limit: *smtpd_hard_error_limit,
        smtpd_junk_command_limit: *smtpd_junk_command_limit,
        smtpd_soft_error_limit: *smtpd_soft_error_limit,
        smtpd_error_sleep_time: smtpd_error_sleep_time.0,
        smtpd_timeout: smtpd_timeout.0,
        broken_sasl_auth_clients: *broken_sasl_auth_clients,
        ..facteur_session_smtp::Options::new(hostname.as_str())
    })
}

/// The lists of one place in the file; a list that is not there stays as it was.
#[derive(Clone, Copy)]
struct Lists<'a> {
    place: &'a str,
    client: &'a Option<Rules>,
    helo: &'a Option<Rules>,
    sender: &'a Option<Rules>,
    relay: &'a Option<Rules>,
    recipient: &'a Option<Rules>,
    data: &'a Option<Rules>,
}

macro_rules! lists {
    ($place:expr, $section:expr) => {
        Lists {
            place: $place,
            client: &$section.smtpd_client_restrictions,
            helo: &$section.smtpd_helo_restrictions,
            sender: &$section.smtpd_sender_restrictions,
            relay: &$section.smtpd_relay_restrictions,
            recipient: &$section.smtpd_recipient_restrictions,
            data: &$section.smtpd_data_restrictions,
        }
    };
}

impl Lists<'_> {
    fn apply(self, to: &mut Restrictions) -> anyhow::Result<()> {
        for (key, list, into) in [
            ("client", self.client, &mut to.client),
            ("helo", self.helo, &mut to.helo),
            ("sender", self.sender, &mut to.sender),
            ("relay", self.relay, &mut to.relay),
            ("recipient", self.recipient, &mut to.recipient),
            ("data", self.data, &mut to.data),
        ] {
            if let Some(list) = list {
                *into = list
                    .0
                    .iter()
                    // As pasted from main.cf, where commas and spaces separate.
                    .flat_map(|text| text.split([',', ' ', '\n', '\t']))
                    .filter(|word| !word.is_empty())
                    .map(parse)
                    .collect::<anyhow::Result<_>>()
                    .with_context(|| {
                        Key::new(format!("{}.smtpd_{key}_restrictions", self.place))
                    })?;
            }
        }
        Ok(())
    }
}

fn parse(word: &str) -> anyhow::Result<Restriction> {
    word.parse()
        .map_err(|error| anyhow::anyhow!("{error}; it takes {}", Rules::expected()))
}

fn restrictions(config: &Config) -> anyhow::Result<HashMap<String, Restrictions>> {
    let Submission {
        smtpd_client_restrictions: _,
        smtpd_helo_restrictions: _,
        smtpd_sender_restrictions: _,
        smtpd_relay_restrictions: _,
        smtpd_recipient_restrictions: _,
        smtpd_data_restrictions: _,
    } = &config.submission;
    let mut all = HashMap::new();
    for (n, listener) in config.listeners.iter().enumerate() {
        let place = format!("listener[{}]", n + 1);
        if let Some(restrictions) = of_listener(config, &place, listener)? {
            all.insert(listener.name(), restrictions);
        }
    }
    Ok(all)
}

fn of_listener(
    config: &Config,
    place: &str,
    listener: &Listener,
) -> anyhow::Result<Option<Restrictions>> {
    let mut restrictions = match listener.protocol {
        Some(ListenerProtocol::Smtp) => {
            let mut built_in = Restrictions::smtp();
            lists!("smtp", config.smtp).apply(&mut built_in)?;
            built_in
        }
        Some(ListenerProtocol::Submission) => {
            let mut built_in = Restrictions::submission();
            lists!("submission", config.submission).apply(&mut built_in)?;
            built_in
        }
        Some(ListenerProtocol::Lmtp) => Restrictions::lmtp(),
        _ => return Ok(None),
    };
    lists!(place, listener).apply(&mut restrictions)?;
    let submission = listener.protocol == Some(ListenerProtocol::Submission);
    let knows_everybody = listener.require_auth.unwrap_or(submission);
    if restrictions.is_open_relay() && !knows_everybody {
        // As Postfix: rather no service than one for every spammer.
        let what = format!(
            "the restrictions of the listener {:?} let anybody send anywhere; put reject_unauth_destination or reject into smtpd_relay_restrictions",
            listener.name()
        );
        let own = listener.smtpd_relay_restrictions.is_some();
        let section = if own {
            place
        } else if submission {
            "submission"
        } else {
            "smtp"
        };
        let key = Key::new(format!("{section}.smtpd_relay_restrictions"));
        return Err(anyhow::anyhow!(what).context(key));
    }
    Ok(Some(restrictions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        let loaded = Config::parse(std::path::Path::new("facteur.toml"), text).unwrap();
        intake(&loaded.config)
            .map(drop)
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn configuration_names_every_restriction_there_is() {
        let expected = Rules::expected();
        let (_, named) = expected.split_once(": ").unwrap();
        let named: Vec<&str> = named.split(", ").collect();
        let known: Vec<&str> = Restriction::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(named, known);
    }

    #[test]
    fn listener_that_would_be_an_open_relay_is_refused() {
        let listener = |protocol: &str, more: &str| {
            format!(
                "myhostname = \"mail.example.org\"\n[[listener]]\nprotocol = \"{protocol}\"\n\
                 address = \"127.0.0.1:0\"\n{more}\n"
            )
        };
        for protocol in ["smtp", "lmtp"] {
            let text = listener(protocol, "smtpd_relay_restrictions = []");
            let error = checked(&text).unwrap_err();
            assert!(error.contains("anybody send anywhere"), "{error}");
            checked(&listener(protocol, "")).unwrap();
        }
        // Whoever gets as far as RCPT there has logged in.
        checked(&listener("submission", "smtpd_relay_restrictions = []")).unwrap();
        let open = "smtpd_relay_restrictions = []\nrequire_auth = false";
        checked(&listener("submission", open)).unwrap_err();
    }
}
