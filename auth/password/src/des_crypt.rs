//! DES-CRYPT: thirteen characters, eight octets of password. Old databases still have it.

use crate::{Scheme, StoredError};

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    if hash.len() != 13 || !hash.bytes().all(letter) {
        return Err(StoredError::Malformed(Scheme::DesCrypt));
    }
    Ok(pwhash::unix_crypt::verify(password, hash))
}
