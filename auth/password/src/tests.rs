use proptest::prelude::*;

use crate::{Scheme, StoredError, hash, scheme_of, verify};

/// What `doveadm pw` and crypt(3) made of `PASSWORD`: one hash a line.
const VECTORS: &str = include_str!("../tests/vectors/doveadm.txt");
const PASSWORD: &[u8] = "Grüße, Welt!".as_bytes();

fn vectors() -> impl Iterator<Item = &'static str> {
    VECTORS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn doveadm_hash_with_right_password_verifies() {
    assert!(vectors().count() > 30);
    for stored in vectors() {
        assert_eq!(
            verify(stored, Scheme::Crypt, PASSWORD),
            Ok(true),
            "{stored}"
        );
    }
}

#[test]
fn doveadm_hash_with_wrong_password_fails() {
    for stored in vectors() {
        // DES-CRYPT sees eight octets, so the difference stands in front.
        for wrong in ["", "grüße, Welt!", "x", "\u{0}"] {
            assert_eq!(
                verify(stored, Scheme::Crypt, wrong.as_bytes()),
                Ok(false),
                "{stored} {wrong:?}"
            );
        }
    }
}

#[test]
fn hash_without_prefix_is_recognised_by_its_dollars() {
    for stored in vectors() {
        let Some((_, bare)) = stored.split_once('}').filter(|(p, _)| !p.contains('.')) else {
            continue;
        };
        if bare.starts_with('$') && !stored.starts_with("{PBKDF2}") {
            assert_eq!(verify(bare, Scheme::Plain, PASSWORD), Ok(true), "{bare}");
        }
    }
}

#[test]
fn hash_without_prefix_or_dollar_takes_the_default_scheme() {
    let md5 = "585d91120fec72370c0b9ed1a2fbff95";
    assert_eq!(verify(md5, Scheme::PlainMd5, PASSWORD), Ok(true));
    assert_eq!(verify("secret", Scheme::Plain, b"secret"), Ok(true));
    assert_eq!(
        verify("secret", Scheme::Crypt, b"secret"),
        Err(StoredError::Malformed(Scheme::DesCrypt))
    );
}

#[test]
fn new_hash_is_argon2id_and_verifies() {
    let stored = hash(PASSWORD).unwrap();
    assert!(stored.starts_with("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(stored.len() < 255, "fits PostfixAdmin's column");
    assert_eq!(verify(&stored, Scheme::Plain, PASSWORD), Ok(true));
    assert_eq!(verify(&stored, Scheme::Plain, b"other"), Ok(false));
    assert_ne!(stored, hash(PASSWORD).unwrap(), "a salt of its own");
    assert_eq!(scheme_of(&stored, Scheme::Plain), Ok(Scheme::Argon2id));
}

#[test]
fn absurd_cost_is_refused() {
    let salt = "wmkZ7MZ1wWrtABeOePiRkw$yq3L/WDkY1vhGgv95g+rnRsv12XaXkQkCsA47labh8I";
    let cases = [
        format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}"),
        format!("$argon2id$v=19$m=65536,t=4000000000,p=1${salt}"),
        format!("$argon2id$v=19$m=65536,t=1,p=200${salt}"),
        "$2y$31$0Vh4g6kMBDL0BkI7RFv5AuaEDQRKG2dicFVrKnP8TXc1uWuHtRRcm".to_owned(),
        format!("$6$rounds=999999999$salt${}", "x".repeat(86)),
        format!("{{PBKDF2}}$1$salt$4000000000${}", "0".repeat(40)),
        "$sha1$4000000000$salt$8jAzD0wdO9Nt9BiOxLRcu50VwbnD".to_owned(),
        "_zzzzrasmz0.F/jqjWck".to_owned(),
        "$y$jPT$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0".to_owned(),
    ];
    for stored in cases {
        let result = verify(&stored, Scheme::Crypt, b"secret");
        assert!(
            matches!(result, Err(StoredError::TooCostly(_))),
            "{stored} {result:?}"
        );
    }
}

#[test]
fn malformed_hashes_match_nothing() {
    let cases = [
        "",
        "{PLAIN}",
        "{CLEAR",
        "{SSHA}",
        "{SSHA}AAAA",
        "{SHA256}",
        "{SHA512-CRYPT}$6$salt$",
        "{SHA512-CRYPT}$6$salt",
        "{SHA256-CRYPT}$6$salt$x",
        "{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$",
        "{BLF-CRYPT}$2y$05$",
        "{MD5-CRYPT}$1$$",
        "{CRYPT}!",
        "{CRYPT}*",
        "{CRYPT}x",
        "{CRYPT}$y$$$",
        "{CRYPT}$7$CU..../....saltsaltsalt$DRp9S",
        "{PBKDF2}$1$$$",
        "{DES-CRYPT}éééééé.",
    ];
    for stored in cases {
        for password in ["", "secret"] {
            assert_ne!(
                verify(stored, Scheme::Crypt, password.as_bytes()),
                Ok(true),
                "{stored}"
            );
        }
    }
    assert!(matches!(
        verify("{WHIRLPOOL}abc", Scheme::Plain, b"abc"),
        Err(StoredError::UnknownScheme(_))
    ));
}

/// Found by fuzzing: the crate below us subtracts from a character it has not looked at.
#[test]
fn control_character_in_a_salt_is_malformed() {
    for stored in [
        "$1$\u{1}\0\u{0}0,$\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0=",
        "$sha1$10$\u{1}x$8jAzD0wdO9Nt9BiOxLRcu50VwbnD",
        "{DES-CRYPT}\u{1}bkpzmEPq4NEA",
        "{CRYPT}_J9..\u{1}asm7Yiwo.8Gwns",
    ] {
        let result = verify(stored, Scheme::Crypt, b"secret");
        assert!(
            matches!(result, Err(StoredError::Malformed(_))),
            "{stored:?}"
        );
    }
}

#[test]
fn overlong_password_never_matches() {
    let long = "x".repeat(crate::MAX_PASSWORD_LEN + 1);
    let stored = format!("{{PLAIN}}{long}");
    assert_eq!(verify(&stored, Scheme::Plain, long.as_bytes()), Ok(false));
}

proptest! {
    #[test]
    fn any_stored_text_is_answered_without_panic(
        scheme in "(\\{(CRYPT|SSHA|SHA|MD5|SMD5|PBKDF2|BLF-CRYPT|ARGON2ID|PLAIN)(\\.b64|\\.hex)?\\})?",
        prefix in "(\\$(1|2y|5|6|y|sha1|argon2id|7)\\$|_)?",
        rest in "[\0-~é]{0,60}",
    ) {
        let stored = format!("{scheme}{prefix}{rest}");
        // A hash that happens to be well-formed may be costly; those are in the cases above.
        if !rest.contains('$') || !prefix.starts_with('$') {
            let _ = verify(&stored, Scheme::Crypt, b"secret");
        }
    }
}
