//! A stored password, however broken or costly it claims to be, is judged without a panic.
#![no_main]
use facteur_password::{Scheme, scheme_of, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stored: &str| {
    // Where a try costs much by design only the scheme is read.
    let costly = [
        Scheme::Argon2id,
        Scheme::Argon2i,
        Scheme::BlfCrypt,
        Scheme::Crypt,
        Scheme::Pbkdf2,
        Scheme::Sha256Crypt,
        Scheme::Sha512Crypt,
    ];
    if scheme_of(stored, Scheme::Plain).is_ok_and(|scheme| !costly.contains(&scheme)) {
        let _ = verify(stored, Scheme::Plain, b"password");
    }
});
