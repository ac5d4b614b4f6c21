//! The names of the schemes.

use std::{fmt, str::FromStr};

/// How a password is stored: Dovecot's schemes, by Dovecot's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the schemes' own")]
pub enum Scheme {
    Argon2id,
    Argon2i,
    BlfCrypt,
    Sha512Crypt,
    Sha256Crypt,
    Md5Crypt,
    DesCrypt,
    /// Whatever crypt(3) knows, told apart by its `$…$`.
    Crypt,
    Pbkdf2,
    Ssha,
    Ssha256,
    Ssha512,
    Smd5,
    Sha1,
    Sha256,
    Sha512,
    /// MD5 in hexadecimal.
    PlainMd5,
    /// MD5 in base64.
    LdapMd5,
    /// MD5-CRYPT when it begins with `$1$`, otherwise PLAIN-MD5.
    Md5,
    Plain,
}

/// No scheme has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown password scheme {0:?}")]
pub struct UnknownScheme(pub String);

/// Every name we answer to. The first name of a scheme is the one that is shown.
const NAMES: &[(&str, Scheme)] = &[
    ("ARGON2ID", Scheme::Argon2id),
    ("ARGON2I", Scheme::Argon2i),
    ("BLF-CRYPT", Scheme::BlfCrypt),
    ("SHA512-CRYPT", Scheme::Sha512Crypt),
    ("SHA256-CRYPT", Scheme::Sha256Crypt),
    ("MD5-CRYPT", Scheme::Md5Crypt),
    ("DES-CRYPT", Scheme::DesCrypt),
    ("CRYPT", Scheme::Crypt),
    ("PBKDF2", Scheme::Pbkdf2),
    ("SSHA", Scheme::Ssha),
    ("SSHA256", Scheme::Ssha256),
    ("SSHA512", Scheme::Ssha512),
    ("SMD5", Scheme::Smd5),
    ("SHA", Scheme::Sha1),
    ("SHA1", Scheme::Sha1),
    ("SHA256", Scheme::Sha256),
    ("SHA512", Scheme::Sha512),
    ("PLAIN-MD5", Scheme::PlainMd5),
    ("LDAP-MD5", Scheme::LdapMd5),
    ("MD5", Scheme::Md5),
    ("PLAIN", Scheme::Plain),
    ("CLEARTEXT", Scheme::Plain),
    ("CLEAR", Scheme::Plain),
];

impl Scheme {
    /// Its name, as in `{NAME}`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, scheme)| *scheme == self)
            .map_or("", |(name, _)| name)
    }

    /// The scheme a hash without `{SCHEME}` shows by how it begins.
    pub(crate) fn detect(hash: &str) -> Option<Self> {
        let (_, rest) = hash
            .split_at_checked(1)
            .filter(|(dollar, _)| *dollar == "$")?;
        match rest.split_once('$')?.0 {
            "argon2id" => Some(Self::Argon2id),
            "argon2i" => Some(Self::Argon2i),
            "1" => Some(Self::Md5Crypt),
            "2" | "2a" | "2b" | "2x" | "2y" => Some(Self::BlfCrypt),
            "5" => Some(Self::Sha256Crypt),
            "6" => Some(Self::Sha512Crypt),
            "y" | "sha1" => Some(Self::Crypt),
            _ => None,
        }
    }
}

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, scheme)| *scheme)
            .ok_or_else(|| UnknownScheme(name.chars().take(40).collect()))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
