//! Restrictions as data: Postfix's lists, one name per rule.

use std::{fmt, str::FromStr};

macro_rules! restrictions {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// One rule of a list. It permits, rejects, or has no opinion; the first that has one ends
        /// its list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Restriction {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Restriction {
            /// Every rule there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in the configuration.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

restrictions! {
    /// Ends the list.
    Permit = "permit",
    /// Refuses: 554 5.7.1.
    Reject = "reject",
    /// Ends the list for clients in `mynetworks`.
    PermitMynetworks = "permit_mynetworks",
    /// Ends the list for clients that have authenticated.
    PermitSaslAuthenticated = "permit_sasl_authenticated",
    /// Ends the list for recipients in domains of ours or that we relay for.
    PermitAuthDestination = "permit_auth_destination",
    /// Refuses recipients elsewhere: 554 5.7.1 Relay access denied.
    RejectUnauthDestination = "reject_unauth_destination",
    /// Refuses clients that do not wait where they must (RFC 2920 §3.1): 503 5.5.0, and closes.
    RejectUnauthPipelining = "reject_unauth_pipelining",
    /// Refuses an authenticated client's reverse-path that is not the account's: 553 5.7.1.
    RejectAuthenticatedSenderLoginMismatch = "reject_authenticated_sender_login_mismatch",
    /// Refuses a reverse-path whose domain has no dot: 504 5.5.2.
    RejectNonFqdnSender = "reject_non_fqdn_sender",
    /// Refuses a forward-path whose domain has no dot: 504 5.5.2.
    RejectNonFqdnRecipient = "reject_non_fqdn_recipient",
    /// Refuses a HELO name that is neither a host name nor an address literal: 501 5.5.2.
    RejectInvalidHeloHostname = "reject_invalid_helo_hostname",
    /// Refuses a HELO name without a dot: 504 5.5.2.
    RejectNonFqdnHeloHostname = "reject_non_fqdn_helo_hostname",
    /// Refuses a session without TLS: 450 4.7.1.
    RejectPlaintextSession = "reject_plaintext_session",
}

/// The name is none: names the nearest one, for the configuration's error message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown restriction {0:?}")]
pub struct UnknownRestriction(pub String);

impl FromStr for Restriction {
    type Err = UnknownRestriction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `reject_sender_login_mismatch` differs for clients that have not authenticated only; they
        // have no login that could mismatch here.
        let wanted = match text {
            "reject_sender_login_mismatch" => "reject_authenticated_sender_login_mismatch",
            text => text,
        };
        Self::ALL
            .iter()
            .copied()
            .find(|one| one.name() == wanted)
            .ok_or_else(|| UnknownRestriction(text.to_owned()))
    }
}

impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The lists of a listener, by stage. All but `data` are judged at RCPT, as with Postfix's
/// smtpd_delay_reject: the log then tells who wanted to send what to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restrictions {
    /// smtpd_client_restrictions
    pub client: Vec<Restriction>,
    /// smtpd_helo_restrictions
    pub helo: Vec<Restriction>,
    /// smtpd_sender_restrictions
    pub sender: Vec<Restriction>,
    /// smtpd_relay_restrictions: judged before `recipient`, so that a permissive list there opens
    /// no relay.
    pub relay: Vec<Restriction>,
    /// smtpd_recipient_restrictions
    pub recipient: Vec<Restriction>,
    /// smtpd_data_restrictions
    pub data: Vec<Restriction>,
}

impl Restrictions {
    /// Port 25: everybody to us, known networks and authenticated clients anywhere.
    pub fn smtp() -> Self {
        use Restriction as R;
        Self {
            client: vec![],
            helo: vec![],
            sender: vec![R::RejectAuthenticatedSenderLoginMismatch],
            relay: vec![
                R::PermitMynetworks,
                R::PermitSaslAuthenticated,
                R::RejectUnauthDestination,
            ],
            recipient: vec![],
            data: vec![R::RejectUnauthPipelining],
        }
    }

    /// Submission: as port 25. That AUTH comes first is the listener's `require_auth`.
    pub fn submission() -> Self {
        Self::smtp()
    }

    /// LMTP: local delivery only.
    pub fn lmtp() -> Self {
        Self {
            sender: vec![],
            relay: vec![Restriction::RejectUnauthDestination],
            ..Self::smtp()
        }
    }

    /// Whether a stranger may send anywhere: no list refuses one, neither known nor logged in, a
    /// recipient elsewhere. (What depends on names that clients choose refuses nobody.)
    pub fn is_open_relay(&self) -> bool {
        use Restriction as R;
        let refuses = |list: &Vec<R>| {
            let verdict = list
                .iter()
                .find(|rule| matches!(rule, R::Permit | R::Reject | R::RejectUnauthDestination));
            verdict.is_some_and(|rule| *rule != R::Permit)
        };
        let lists = [
            &self.client,
            &self.helo,
            &self.sender,
            &self.relay,
            &self.recipient,
        ];
        !lists.into_iter().any(refuses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_refuse_no_stranger_are_an_open_relay() {
        use Restriction as R;
        for closed in [
            Restrictions::smtp(),
            Restrictions::submission(),
            Restrictions::lmtp(),
        ] {
            assert!(!closed.is_open_relay());
        }
        let with = |relay: &[R], recipient: &[R]| Restrictions {
            relay: relay.to_vec(),
            recipient: recipient.to_vec(),
            ..Restrictions::smtp()
        };
        assert!(with(&[], &[]).is_open_relay());
        assert!(with(&[R::PermitMynetworks, R::Permit, R::Reject], &[]).is_open_relay());
        assert!(with(&[R::RejectNonFqdnRecipient], &[R::PermitAuthDestination]).is_open_relay());
        assert!(!with(&[], &[R::PermitMynetworks, R::RejectUnauthDestination]).is_open_relay());
        assert!(!with(&[R::PermitSaslAuthenticated, R::Reject], &[R::Permit]).is_open_relay());
    }

    #[test]
    fn names_round_trip() {
        for one in Restriction::ALL {
            assert_eq!(one.name().parse(), Ok(*one));
        }
        assert!("permit_everything".parse::<Restriction>().is_err());
    }
}
