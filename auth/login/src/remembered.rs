//! Passwords that were right a moment ago, so that the next login costs microseconds.

use std::time::Duration;

use facteur_address::Address;
use moka::sync::Cache;

/// Most accounts remembered.
const CAPACITY: u64 = 50_000;

/// What is kept is a hash under a key that this process made and never writes anywhere. The stored
/// hash is part of what is hashed: when that changes, the old password is not remembered.
pub(crate) struct Remembered {
    key: [u8; blake3::KEY_LEN],
    proofs: Cache<Address, blake3::Hash>,
}

impl Remembered {
    /// `None` when the system has no random bytes for the key, or nothing is to be remembered.
    pub(crate) fn new(ttl: Duration) -> Option<Self> {
        let mut key = [0; blake3::KEY_LEN];
        getrandom::fill(&mut key).ok()?;
        (!ttl.is_zero()).then(|| Self {
            key,
            proofs: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(ttl)
                .build(),
        })
    }

    /// Whether this password was right for what is stored now.
    pub(crate) fn knows(&self, account: &Address, stored: &str, password: &[u8]) -> bool {
        // Comparing blake3's hashes takes constant time.
        self.proofs
            .get(account)
            .is_some_and(|proof| proof == self.proof(stored, password))
    }

    pub(crate) fn remember(&self, account: &Address, stored: &str, password: &[u8]) {
        let proof = self.proof(stored, password);
        self.proofs.insert(account.clone(), proof);
    }

    fn proof(&self, stored: &str, password: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // The length keeps the two apart.
        hasher.update(&stored.len().to_le_bytes());
        hasher.update(stored.as_bytes());
        hasher.update(password);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_known_until_what_is_stored_changes() {
        let remembered = Remembered::new(Duration::from_secs(60)).unwrap();
        let account = Address::parse("bob@example.org").unwrap();
        assert!(!remembered.knows(&account, "{X}1", b"secret"));
        remembered.remember(&account, "{X}1", b"secret");
        assert!(remembered.knows(&account, "{X}1", b"secret"));
        assert!(!remembered.knows(&account, "{X}1", b"other"));
        assert!(!remembered.knows(&account, "{X}2", b"secret"));
        assert!(!remembered.knows(&account, "{X}", b"1secret"));
        assert!(Remembered::new(Duration::ZERO).is_none());
    }
}
