//! Mail addresses: `Address` is what RFC 5321 §4.1.2 calls a Mailbox (local-part@domain); here
//! "mailbox" always means an IMAP folder.

mod address;
mod domain;

pub use address::{Address, AddressError};
pub use domain::{Domain, DomainError};
