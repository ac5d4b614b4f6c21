//! SHA, SHA256, SHA512, PLAIN-MD5, LDAP-MD5 and, with a salt after the digest, SSHA, SSHA256,
//! SSHA512 and SMD5: one round of a fast hash, for databases that have nothing better.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::{
    Scheme, StoredError,
    stored::{Text, same},
};

pub(crate) fn verify(
    scheme: Scheme,
    hash: &Text<'_>,
    password: &[u8],
) -> Result<bool, StoredError> {
    match scheme {
        Scheme::Sha1 => digest::<Sha1>(scheme, false, hash, password),
        Scheme::Ssha => digest::<Sha1>(scheme, true, hash, password),
        Scheme::Sha256 => digest::<Sha256>(scheme, false, hash, password),
        Scheme::Ssha256 => digest::<Sha256>(scheme, true, hash, password),
        Scheme::Sha512 => digest::<Sha512>(scheme, false, hash, password),
        Scheme::Ssha512 => digest::<Sha512>(scheme, true, hash, password),
        Scheme::Smd5 => digest::<Md5>(scheme, true, hash, password),
        _ => digest::<Md5>(scheme, false, hash, password),
    }
}

fn digest<D: Digest>(
    scheme: Scheme,
    salted: bool,
    hash: &Text<'_>,
    password: &[u8],
) -> Result<bool, StoredError> {
    let len = <D as Digest>::output_size();
    // A salt has no length of its own, so only an unsalted digest shows whether it is
    // hexadecimal.
    let stored = hash.bytes(scheme, if salted { 0 } else { 2 * len })?;
    let (sum, salt) = stored
        .split_at_checked(len)
        .ok_or(StoredError::Malformed(scheme))?;
    if salt.is_empty() == salted {
        return Err(StoredError::Malformed(scheme));
    }
    let computed = D::new()
        .chain_update(password)
        .chain_update(salt)
        .finalize();
    Ok(same(&computed, sum))
}
