//! PBKDF2 as Dovecot writes it: `$1$salt$rounds$hex`, HMAC-SHA1 (RFC 8018 §5.2).

use sha1::Sha1;

use crate::{Scheme, StoredError, stored::same};

const MAX_ROUNDS: u32 = 5_000_000;
/// One SHA-1.
const HASH_LEN: usize = 20;

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let malformed = StoredError::Malformed(Scheme::Pbkdf2);
    let mut fields = hash.split('$');
    let (Some(""), Some("1"), Some(salt), Some(rounds), Some(sum), None) = (
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
    ) else {
        return Err(malformed);
    };
    let (Ok(rounds), Ok(sum)) = (rounds.parse::<u32>(), hex::decode(sum)) else {
        return Err(malformed);
    };
    if rounds == 0 || sum.len() != HASH_LEN {
        return Err(malformed);
    }
    if rounds > MAX_ROUNDS {
        return Err(StoredError::TooCostly(Scheme::Pbkdf2));
    }
    let mut out = [0; HASH_LEN];
    ::pbkdf2::pbkdf2_hmac::<Sha1>(password, salt.as_bytes(), rounds, &mut out);
    Ok(same(&out, &sum))
}
