//! Bases of new file names: no two are ever alike.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use facteur_model::Guid;

/// Longest host name in a base: with the rest, the sizes and 31 flags it must fit a file name.
const MAX_HOST: usize = 100;

/// Makes bases: `<seconds>.M<microseconds>Q<counter>R<GUID>.<host>`, in the words of the Maildir
/// specification.
#[derive(Debug)]
pub struct BaseNames {
    host: String,
    next: AtomicU32,
}

impl BaseNames {
    /// Of this host.
    pub fn new(host: &str) -> Self {
        let mut safe = String::new();
        for byte in host.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                    safe.push(char::from(byte));
                }
                // `/` and `:` cannot be there; the others are better not.
                _ => safe.push_str(&format!("\\{byte:03o}")),
            }
        }
        safe.truncate(MAX_HOST);
        if safe.is_empty() {
            safe.push_str("localhost");
        }
        Self {
            host: safe,
            next: AtomicU32::new(0),
        }
    }

    /// A new one. `mark` is in it: the GUID of the delivery, or one made up.
    pub fn next(&self, now: SystemTime, mark: Guid) -> String {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!(
            "{}.M{:06}Q{}R{mark}.{}",
            now.as_secs(),
            now.subsec_micros(),
            self.next.fetch_add(1, Ordering::Relaxed),
            self.host
        )
    }

    /// The mark in a base that this program made, on whatever host.
    pub fn mark(base: &[u8]) -> Option<Guid> {
        let unique = base.split(|byte| *byte == b'.').nth(1)?;
        let at = memchr::memchr(b'R', unique)?;
        let mark = unique.get(at + 1..)?;
        std::str::from_utf8(mark).ok().and_then(Guid::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileName;
    use std::time::Duration;

    #[test]
    fn bases_differ_within_a_microsecond_and_say_their_mark() {
        let names = BaseNames::new("mail.example.org");
        let now = UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_042);
        let mark = Guid::from_bytes([7; 16]);
        let (one, two) = (names.next(now, mark), names.next(now, mark));
        assert_eq!(one, format!("1700000000.M000042Q0R{mark}.mail.example.org"));
        assert_ne!(one, two);
        let name = format!("{one},S=1,W=1:2,S");
        let name = FileName::parse(name.as_bytes()).unwrap();
        assert_eq!(BaseNames::mark(name.base()), Some(mark));
        for other in ["1.M2P3.h", "1", "1.M2R12.h", ""] {
            assert_eq!(BaseNames::mark(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn strange_hosts_make_good_names() {
        for host in ["", "a/b", "a:2,S", "[::1]", "é", ".", &"x".repeat(300)] {
            let base = BaseNames::new(host).next(UNIX_EPOCH, Guid::from_bytes([0; 16]));
            let longest = format!(
                "{base},S={0},W={0}:2,DFRSTabcdefghijklmnopqrstuvwxyz",
                u64::MAX
            );
            assert!(longest.len() <= 255, "{longest}");
            let name = FileName::parse(longest.as_bytes()).unwrap();
            assert_eq!(name.size(), Some(u64::MAX), "{host}");
        }
    }
}
