//! Stored passwords: one file per scheme of Dovecot's, and the making of new ones.
//!
//! [`verify`] costs what the stored hash asks for, up to seconds: call it off the network threads.
//! Who may log in, and how often one may try, is `facteur-login`'s.

mod argon2;
mod blf_crypt;
mod bsdi_crypt;
mod crypt;
mod des_crypt;
mod md5;
mod md5_crypt;
mod pbkdf2;
mod plain;
mod salted;
mod scheme;
mod sha1_crypt;
mod sha_crypt;
mod stored;
mod yescrypt;

pub use argon2::{HashError, hash};
pub use scheme::{Scheme, UnknownScheme};
pub use stored::{MAX_PASSWORD_LEN, StoredError, scheme_of, verify};

#[cfg(test)]
mod tests;
