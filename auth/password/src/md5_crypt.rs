//! MD5-CRYPT: `$1$salt$hash`, which PostfixAdmin's `md5crypt` writes.

use crate::{Scheme, StoredError, crypt::is_salt};

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let mut fields = hash.split('$');
    let well_formed = hash.is_ascii()
        && fields.next() == Some("")
        && fields.next() == Some("1")
        && fields
            .next()
            .is_some_and(|salt| salt.len() <= 8 && is_salt(salt))
        && fields.next().is_some_and(|sum| sum.len() == 22)
        && fields.next().is_none();
    if !well_formed {
        return Err(StoredError::Malformed(Scheme::Md5Crypt));
    }
    Ok(pwhash::md5_crypt::verify(password, hash))
}
