//! MD5: Dovecot's old name for MD5-CRYPT or, without `$1$`, PLAIN-MD5.

use crate::{Scheme, StoredError, md5_crypt, salted, stored::Text};

pub(crate) fn verify(hash: &Text<'_>, password: &[u8]) -> Result<bool, StoredError> {
    if hash.starts_with("$1$") {
        return md5_crypt::verify(&hash.text(Scheme::Md5)?, password);
    }
    salted::verify(Scheme::PlainMd5, hash, password)
}
