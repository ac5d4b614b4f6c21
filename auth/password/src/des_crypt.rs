//! DES-CRYPT: thirteen characters, eight octets of password. Old databases still have it.

use crate::{Scheme, StoredError, crypt::is_salt};

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    if hash.len() != 13 || !is_salt(hash) {
        return Err(StoredError::Malformed(Scheme::DesCrypt));
    }
    Ok(pwhash::unix_crypt::verify(password, hash))
}
