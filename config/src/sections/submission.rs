//! `[submission]`: mail from our own users.

use super::Restrictions;
use crate::section::section;

section! {
    /// Mail from our own users (RFC 6409), on 587 and 465. They must be logged in, and the sender must
    /// be an address of theirs.
    Submission {
        /// Rules for the client, in place of the built-in ones, which are none. On submission listeners.
        smtpd_client_restrictions: Option<Restrictions> = None,
        /// Rules for the name in HELO or EHLO. Built in are none.
        smtpd_helo_restrictions: Option<Restrictions> = None,
        /// Rules for the sender. Built in: reject_authenticated_sender_login_mismatch.
        smtpd_sender_restrictions: Option<Restrictions> = None,
        /// Rules for who may relay. Built in: permit_mynetworks, permit_sasl_authenticated,
        /// reject_unauth_destination. Lists that would let anybody send anywhere are refused.
        smtpd_relay_restrictions: Option<Restrictions> = None,
        /// Rules for each recipient, after those for relaying. Built in are none.
        smtpd_recipient_restrictions: Option<Restrictions> = None,
        /// Rules for the moment before the message. Built in: reject_unauth_pipelining.
        smtpd_data_restrictions: Option<Restrictions> = None,
    }
}
