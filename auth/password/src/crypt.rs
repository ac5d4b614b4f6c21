//! CRYPT: whatever crypt(3) takes, told apart by how the hash begins.

use crate::{
    Scheme, StoredError, argon2, blf_crypt, bsdi_crypt, des_crypt, md5_crypt, sha_crypt,
    sha1_crypt, yescrypt,
};

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    if hash.starts_with("$y$") {
        return yescrypt::verify(hash, password);
    }
    if hash.starts_with("$sha1$") {
        return sha1_crypt::verify(hash, password);
    }
    if hash.starts_with('_') {
        return bsdi_crypt::verify(hash, password);
    }
    match Scheme::detect(hash) {
        Some(Scheme::BlfCrypt) => blf_crypt::verify(hash, password),
        Some(scheme @ (Scheme::Sha512Crypt | Scheme::Sha256Crypt)) => {
            sha_crypt::verify(scheme, hash, password)
        }
        Some(Scheme::Md5Crypt) => md5_crypt::verify(hash, password),
        Some(scheme @ (Scheme::Argon2id | Scheme::Argon2i)) => {
            argon2::verify(scheme, hash, password)
        }
        _ if hash.starts_with('$') => Err(StoredError::Malformed(Scheme::Crypt)),
        _ => des_crypt::verify(hash, password),
    }
}

/// Whether a salt has only the characters crypt(3) writes. The crate that computes the old schemes
/// takes no others, and does not look at control characters before it counts with them.
pub(crate) fn is_salt(salt: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    salt.bytes().all(letter)
}
