//! SHA512-CRYPT (`$6$`) and SHA256-CRYPT (`$5$`): Drepper's "Unix crypt using SHA-256 and
//! SHA-512".

use sha_crypt::{Params, PasswordVerifier as _, ShaCrypt};

use crate::{Scheme, StoredError};

/// Each 5,000 rounds cost a few milliseconds.
const MAX_ROUNDS: u32 = 5_000_000;

pub(crate) fn verify(scheme: Scheme, hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let malformed = StoredError::Malformed(scheme);
    let (prefix, len) = match scheme {
        Scheme::Sha256Crypt => ("$5$", 43),
        _ => ("$6$", 86),
    };
    let Some(rest) = hash.strip_prefix(prefix) else {
        return Err(malformed);
    };
    if let Some((rounds, _)) = rest.strip_prefix("rounds=").and_then(|r| r.split_once('$')) {
        let Ok(rounds) = rounds.parse::<u32>() else {
            return Err(malformed);
        };
        if rounds > MAX_ROUNDS {
            return Err(StoredError::TooCostly(scheme));
        }
        if rounds < Params::ROUNDS_MIN {
            return Err(malformed);
        }
    }
    // The crate compares as many octets as are there: fewer would be a weaker password.
    if rest.rsplit('$').next().map(str::len) != Some(len) {
        return Err(malformed);
    }
    let Ok(parsed) = sha_crypt::PasswordHash::new(hash) else {
        return Err(malformed);
    };
    match ShaCrypt::default().verify_password(password, &parsed) {
        Ok(()) => Ok(true),
        Err(sha_crypt::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(malformed),
    }
}
