//! yescrypt, `$y$…`: what Debian and Fedora put into /etc/shadow.

use yescrypt::{Params, PasswordVerifier as _, Yescrypt};

use crate::{Scheme, StoredError};

/// Most memory in octets.
const MAX_MEMORY: u64 = 1 << 30;
const MAX_LANES: u32 = 16;

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let malformed = StoredError::Malformed(Scheme::Crypt);
    let mut fields = hash.strip_prefix("$y$").unwrap_or("").split('$');
    let (Some(params), Some(_salt), Some(sum)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(malformed);
    };
    let Ok(params) = params.parse::<Params>() else {
        return Err(malformed);
    };
    let memory = params.n().saturating_mul(u64::from(params.r()) * 128);
    if memory > MAX_MEMORY || params.p() > MAX_LANES {
        return Err(StoredError::TooCostly(Scheme::Crypt));
    }
    if memory == 0 || params.p() == 0 || sum.len() != 43 {
        return Err(malformed);
    }
    match Yescrypt::default().verify_password(password, hash) {
        Ok(()) => Ok(true),
        Err(yescrypt::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(malformed),
    }
}
