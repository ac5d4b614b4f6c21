//! PLAIN: the password itself. For tests and for systems that must know it.

use crate::{
    Scheme, StoredError,
    stored::{Text, same},
};

pub(crate) fn verify(hash: &Text<'_>, password: &[u8]) -> Result<bool, StoredError> {
    let stored = hash.octets(Scheme::Plain)?;
    // An empty password in the directory is an account without one.
    Ok(!stored.is_empty() && same(&stored, password))
}
