//! `[smtp]`: mail from other servers, and what submission shares with it.

use crate::{section::section, setting::Period};

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
        smtpd_recipient_limit: u32 = 1000,
        /// Whether MAIL needs HELO or EHLO first.
        smtpd_helo_required: bool = true,
        /// A client is disconnected after this many errors.
        smtpd_hard_error_limit: u32 = 20,
        /// A message with this many Received fields is in a loop.
        hopcount_limit: u32 = 50,
        /// Whether Received names the TLS version and cipher.
        smtpd_tls_received_header: bool = true,
        /// Whether Received names the user who was logged in.
        smtpd_sasl_authenticated_header: bool = false,
    }
}
