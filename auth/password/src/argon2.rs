//! ARGON2ID and ARGON2I (RFC 9106), in the PHC string format.

use ::argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use crate::{Scheme, StoredError, stored::same};

/// New passwords: OWASP's parameters for Argon2id (19 MiB, 2 passes, 1 lane).
const NEW: (u32, u32, u32) = (19 * 1024, 2, 1);
const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;

/// Most memory of a stored hash in KiB: libsodium's "sensitive" preset, 1 GiB.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Most memory times passes: that preset's four passes.
const MAX_WORK_KIB: u64 = 4 * 1024 * 1024;
const MAX_LANES: u32 = 16;

/// A new stored password: `{ARGON2ID}$argon2id$…`, 112 octets, whatever the password.
///
/// # Errors
/// When the system gives no random bytes or no memory.
pub fn hash(password: &[u8]) -> Result<String, HashError> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt).map_err(|_| HashError)?;
    let (memory, passes, lanes) = NEW;
    let params = Params::new(memory, passes, lanes, Some(HASH_LEN)).map_err(|_| HashError)?;
    let mut out = [0; HASH_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, &salt, &mut out)
        .map_err(|_| HashError)?;
    Ok(format!(
        "{{ARGON2ID}}$argon2id$v=19$m={memory},t={passes},p={lanes}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(out)
    ))
}

/// A password could not be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes or no memory to hash a password")]
pub struct HashError;

pub(crate) fn verify(scheme: Scheme, hash: &str, password: &[u8]) -> Result<bool, StoredError> {
    let parsed = parse(hash).ok_or(StoredError::Malformed(scheme))?;
    let work = u64::from(parsed.memory) * u64::from(parsed.passes);
    if parsed.memory > MAX_MEMORY_KIB || work > MAX_WORK_KIB || parsed.lanes > MAX_LANES {
        return Err(StoredError::TooCostly(scheme));
    }
    let malformed = |_| StoredError::Malformed(scheme);
    let params = Params::new(
        parsed.memory,
        parsed.passes,
        parsed.lanes,
        Some(parsed.hash.len()),
    )
    .map_err(malformed)?;
    let mut out = vec![0; parsed.hash.len()];
    Argon2::new(parsed.algorithm, parsed.version, params)
        .hash_password_into(password, &parsed.salt, &mut out)
        .map_err(malformed)?;
    Ok(same(&out, &parsed.hash))
}

struct Parsed {
    algorithm: Algorithm,
    version: Version,
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// `$argon2id$v=19$m=65536,t=3,p=1$salt$hash`; without `v=` it is version 16 (before 1.3).
fn parse(text: &str) -> Option<Parsed> {
    let mut fields = text.strip_prefix('$')?.split('$');
    let algorithm = match fields.next()? {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        _ => return None,
    };
    let mut field = fields.next()?;
    let mut version = Version::V0x10;
    if let Some(number) = field.strip_prefix("v=") {
        version = match number {
            "19" => Version::V0x13,
            "16" => Version::V0x10,
            _ => return None,
        };
        field = fields.next()?;
    }
    let mut costs = field.split(',');
    let mut cost = |name: &str| -> Option<u32> { costs.next()?.strip_prefix(name)?.parse().ok() };
    let (memory, passes, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
    let salt = STANDARD_NO_PAD.decode(fields.next()?).ok()?;
    let hash = STANDARD_NO_PAD.decode(fields.next()?).ok()?;
    let whole = costs.next().is_none() && fields.next().is_none();
    // An empty hash would match every password.
    (whole && (16..=128).contains(&hash.len())).then_some(Parsed {
        algorithm,
        version,
        memory,
        passes,
        lanes,
        salt,
        hash,
    })
}
