//! `[smtp]`: mail from other servers, and what submission shares with it.

use super::Restrictions;
use crate::{
    section::section,
    setting::{Period, Size},
};

section! {
    /// SMTP from other servers (RFC 5321); submission and LMTP share its limits and times.
    Smtp {
        /// What follows the code in the greeting. `$myhostname` is the server's name, which RFC 5321
        /// wants first.
        smtpd_banner: String = "$myhostname ESMTP Facteur".to_owned(),
        /// Longest wait for the client's next command or piece of a message (RFC 5321 §4.5.3.2 asks
        /// for at least 5 minutes).
        smtpd_timeout: Period = Period::minutes(5),
        /// Most recipients of one transaction (RFC 5321 §4.5.3.1.8 asks for at least 100).
        smtpd_recipient_limit: usize = 1000,
        /// From this many errors on, each is answered `smtpd_error_sleep_time` later.
        smtpd_soft_error_limit: u32 = 10,
        /// How long such a client is kept waiting.
        smtpd_error_sleep_time: Period = Period::seconds(1),
        /// A client is disconnected after this many errors.
        smtpd_hard_error_limit: u32 = 20,
        /// From this many commands on that do nothing (NOOP, RSET, VRFY …), each counts as an error.
        smtpd_junk_command_limit: u32 = 100,
        /// While less than this is free in the file system of `data_directory`, messages are refused for
        /// now, with 452, when their sender is named. 0 is one and a half times `message_size_limit`.
        queue_minfree: Size = Size(0),
        /// A message with more Received fields than this is in a loop.
        hopcount_limit: usize = 50,
        /// Whether Received names the TLS version and cipher.
        smtpd_tls_received_header: bool = true,
        /// Whether Received names the user who was logged in.
        smtpd_sasl_authenticated_header: bool = false,
        /// Whether AUTH is also told as `AUTH=`, for clients of before 1999.
        broken_sasl_auth_clients: bool = false,
        /// Rules for the client, in place of the built-in ones, which are none. On smtp listeners.
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
