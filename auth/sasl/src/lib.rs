//! SASL on the server side (RFC 4422): one file per mechanism, no sockets, no directory.
//!
//! An [`Exchange`] takes base64 text (what SMTP, IMAP, POP3 and ManageSieve carry alike) and gives
//! the next challenge or the [`Credentials`]. Whether they are right is `facteur-login`'s; the
//! words around the base64 (`334 `, `+ `) are the protocol's.

mod exchange;
mod login;
mod mechanism;
mod plain;

pub use exchange::{Credentials, Exchange, MAX_RESPONSE_LEN, SaslError, Step};
pub use mechanism::{Mechanism, UnknownMechanism};
