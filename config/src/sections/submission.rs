//! `[submission]`: mail from our own users.

use crate::section::section;

section! {
    /// Mail from our own users (RFC 6409), on 587 and 465. They must be logged in, and the sender must
    /// be an address of theirs.
    Submission {
        /// Rules for the client, in place of the built-in ones; the first that applies decides. On
        /// submission listeners.
        smtpd_client_restrictions: Option<Vec<String>> = None,
        /// Rules for the name in HELO or EHLO.
        smtpd_helo_restrictions: Option<Vec<String>> = None,
        /// Rules for the sender.
        smtpd_sender_restrictions: Option<Vec<String>> = None,
        /// Rules for who may relay.
        smtpd_relay_restrictions: Option<Vec<String>> = None,
        /// Rules for each recipient.
        smtpd_recipient_restrictions: Option<Vec<String>> = None,
        /// Rules for the moment before the message.
        smtpd_data_restrictions: Option<Vec<String>> = None,
    }
}
