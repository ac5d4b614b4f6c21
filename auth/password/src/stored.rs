//! `{SCHEME.ENCODING}hash`: taken apart, and verified by its scheme.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq as _;

use crate::{
    Scheme, UnknownScheme, argon2, blf_crypt, crypt, des_crypt, md5, md5_crypt, pbkdf2, plain,
    salted, sha_crypt,
};

/// Longest password we hash, in octets. Some schemes cost the square of it.
pub const MAX_PASSWORD_LEN: usize = 4096;

/// Longest stored password we look at.
const MAX_STORED_LEN: usize = 16 * 1024;

/// What is stored is of no use: the operator's matter, not the client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// `{SCHEME}` is none of ours.
    #[error(transparent)]
    UnknownScheme(#[from] UnknownScheme),
    /// The hash does not fit its scheme.
    #[error("stored password is no {0} hash")]
    Malformed(Scheme),
    /// The hash asks for more memory or rounds than anybody needs.
    #[error("stored {0} hash asks for too much memory or too many rounds")]
    TooCostly(Scheme),
}

/// Whether `password` is the one in `stored`. Without a `{SCHEME}` prefix the scheme shows by
/// `$…$`, and is `default` where it does not.
///
/// # Errors
/// When `stored` cannot be used at all.
pub fn verify(stored: &str, default: Scheme, password: &[u8]) -> Result<bool, StoredError> {
    let (scheme, encoding, hash) = take_apart(stored, default)?;
    if stored.len() > MAX_STORED_LEN {
        return Err(StoredError::Malformed(scheme));
    }
    // crypt(3) ends a password at NUL: "secret" and "secret\0x" would be the same.
    if password.len() > MAX_PASSWORD_LEN || password.contains(&0) {
        return Ok(false);
    }
    let hash = Text { hash, encoding };
    match scheme {
        Scheme::Argon2id | Scheme::Argon2i => argon2::verify(scheme, &hash.text(scheme)?, password),
        Scheme::BlfCrypt => blf_crypt::verify(&hash.text(scheme)?, password),
        Scheme::Sha512Crypt | Scheme::Sha256Crypt => {
            sha_crypt::verify(scheme, &hash.text(scheme)?, password)
        }
        Scheme::Md5Crypt => md5_crypt::verify(&hash.text(scheme)?, password),
        Scheme::DesCrypt => des_crypt::verify(&hash.text(scheme)?, password),
        Scheme::Crypt => crypt::verify(&hash.text(scheme)?, password),
        Scheme::Pbkdf2 => pbkdf2::verify(&hash.text(scheme)?, password),
        Scheme::Ssha
        | Scheme::Ssha256
        | Scheme::Ssha512
        | Scheme::Sha1
        | Scheme::Sha256
        | Scheme::Sha512
        | Scheme::Smd5
        | Scheme::PlainMd5
        | Scheme::LdapMd5 => salted::verify(scheme, &hash, password),
        Scheme::Md5 => md5::verify(&hash, password),
        Scheme::Plain => plain::verify(&hash, password),
    }
}

/// The scheme `stored` is in.
///
/// # Errors
/// When `{SCHEME}` is none of ours.
pub fn scheme_of(stored: &str, default: Scheme) -> Result<Scheme, StoredError> {
    take_apart(stored, default).map(|(scheme, _, _)| scheme)
}

/// How the bytes are written, where the prefix says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// As the scheme has it.
    Own,
    /// `.b64`, `.base64`
    Base64,
    /// `.hex`
    Hex,
}

fn take_apart(stored: &str, default: Scheme) -> Result<(Scheme, Encoding, &str), StoredError> {
    let prefixed = stored.strip_prefix('{').and_then(|s| s.split_once('}'));
    let Some((prefix, hash)) = prefixed else {
        let scheme = Scheme::detect(stored).unwrap_or(default);
        return Ok((scheme, Encoding::Own, stored));
    };
    let (name, encoding) = match prefix.split_once('.') {
        None => (prefix, Encoding::Own),
        Some((name, suffix)) => match suffix.to_ascii_lowercase().as_str() {
            "b64" | "base64" => (name, Encoding::Base64),
            "hex" => (name, Encoding::Hex),
            _ => return Err(UnknownScheme(prefix.chars().take(40).collect()).into()),
        },
    };
    Ok((name.parse()?, encoding, hash))
}

/// A hash as stored, and how its bytes are written.
pub(crate) struct Text<'a> {
    hash: &'a str,
    encoding: Encoding,
}

impl<'a> Text<'a> {
    /// For schemes whose own form is a text.
    pub(crate) fn text(&self, scheme: Scheme) -> Result<Cow<'a, str>, StoredError> {
        if self.encoding == Encoding::Own {
            return Ok(Cow::Borrowed(self.hash));
        }
        String::from_utf8(self.bytes(scheme, 0)?)
            .map(Cow::Owned)
            .map_err(|_| StoredError::Malformed(scheme))
    }

    /// For schemes whose own form is bytes, `hex_len` hexadecimal digits or base64: which of the
    /// two shows by the length, as with Dovecot.
    pub(crate) fn bytes(&self, scheme: Scheme, hex_len: usize) -> Result<Vec<u8>, StoredError> {
        let malformed = |()| StoredError::Malformed(scheme);
        let hexadecimal = match self.encoding {
            Encoding::Hex => true,
            Encoding::Base64 => false,
            Encoding::Own => hex_len != 0 && self.hash.len() == hex_len,
        };
        if hexadecimal {
            return hex::decode(self.hash).map_err(|_| malformed(()));
        }
        STANDARD.decode(self.hash).map_err(|_| malformed(()))
    }

    /// For PLAIN: the octets as they stand.
    pub(crate) fn octets(&self, scheme: Scheme) -> Result<Cow<'a, [u8]>, StoredError> {
        if self.encoding == Encoding::Own {
            return Ok(Cow::Borrowed(self.hash.as_bytes()));
        }
        self.bytes(scheme, 0).map(Cow::Owned)
    }

    /// Whether the hash, as written, begins with `prefix`.
    pub(crate) fn starts_with(&self, prefix: &str) -> bool {
        self.encoding == Encoding::Own && self.hash.starts_with(prefix)
    }
}

/// Compares in constant time; the lengths may show.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
