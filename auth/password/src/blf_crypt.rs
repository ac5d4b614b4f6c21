//! BLF-CRYPT: bcrypt, `$2y$05$…`. Passwords end at 72 octets, as everywhere.

use std::str::FromStr as _;

use bcrypt::HashParts;

use crate::{Scheme, StoredError};

/// Each step doubles the time; 16 is some five seconds.
const MAX_COST: u32 = 16;

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let malformed = StoredError::Malformed(Scheme::BlfCrypt);
    if hash.len() != 60 || !hash.is_ascii() {
        return Err(malformed);
    }
    let Ok(parts) = HashParts::from_str(hash) else {
        return Err(malformed);
    };
    if parts.get_cost() > MAX_COST {
        return Err(StoredError::TooCostly(Scheme::BlfCrypt));
    }
    bcrypt::verify(password, hash).map_err(|_| malformed)
}
