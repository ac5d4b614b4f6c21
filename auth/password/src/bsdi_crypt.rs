//! BSDi's extended DES: `_`, four characters of rounds, four of salt, eleven of hash.

use crate::{Scheme, StoredError};

/// The scheme's own default is 725; libxcrypt's is below this.
const MAX_ROUNDS: u32 = 1 << 20;

const ALPHABET: &[u8] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(crate) fn verify(hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let malformed = StoredError::Malformed(Scheme::Crypt);
    if hash.len() != 20 {
        return Err(malformed);
    }
    let mut rounds = 0;
    for (place, byte) in hash.bytes().skip(1).enumerate() {
        let Some(value) = ALPHABET.iter().position(|letter| *letter == byte) else {
            return Err(malformed);
        };
        if place < 4 {
            rounds |= u32::try_from(value).unwrap_or(0) << (6 * place);
        }
    }
    if rounds > MAX_ROUNDS {
        return Err(StoredError::TooCostly(Scheme::Crypt));
    }
    if rounds == 0 {
        return Err(malformed);
    }
    Ok(pwhash::bsdi_crypt::verify(password, hash))
}
