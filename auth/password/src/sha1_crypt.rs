//! NetBSD's `$sha1$rounds$salt$hash`.

use crate::{Scheme, StoredError, crypt::is_salt};

const MAX_ROUNDS: u32 = 5_000_000;

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let malformed = StoredError::Malformed(Scheme::Crypt);
    let mut fields = hash.split('$');
    let (Some(""), Some("sha1"), Some(rounds), Some(salt), Some(sum), None) = (
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
    ) else {
        return Err(malformed);
    };
    let Ok(rounds) = rounds.parse::<u32>() else {
        return Err(malformed);
    };
    if rounds > MAX_ROUNDS {
        return Err(StoredError::TooCostly(Scheme::Crypt));
    }
    if rounds == 0
        || salt.is_empty()
        || !is_salt(salt)
        || salt.len() > 64
        || sum.len() != 28
        || !hash.is_ascii()
    {
        return Err(malformed);
    }
    Ok(pwhash::sha1_crypt::verify(password, hash))
}
