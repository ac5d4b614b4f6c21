//! The `uidvalidity` file: what makes a mailbox the mailbox it is.

use std::{io, path::Path};

use facteur_disk::Disk;
use facteur_model::{Guid, MailboxName, UidValidity};

use crate::Places;

/// A mailbox's identity, and how far its numbers may have been given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The mailbox's GUID: it goes with it when it is renamed.
    pub guid: Guid,
    /// No UID at or above this one was ever given out.
    pub uid_ceiling: u64,
    /// No MODSEQ at or above this one was ever given out.
    pub modseq_ceiling: u64,
}

impl Identity {
    /// A new mailbox's.
    pub fn new(uid_validity: UidValidity, guid: Guid) -> Self {
        Self {
            uid_validity,
            guid,
            uid_ceiling: 1,
            modseq_ceiling: 1,
        }
    }

    /// Reads a mailbox's file: `None` when it is missing or damaged.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(disk: &Disk, places: &impl Places, name: &MailboxName) -> io::Result<Option<Self>> {
        Self::read_from(disk, &places.identity(name))
    }

    /// As [`Identity::read`], from the file at `path`.
    ///
    /// # Errors
    /// As [`Identity::read`].
    pub fn read_from(disk: &Disk, path: &Path) -> io::Result<Option<Self>> {
        match disk.read(path) {
            Ok(bytes) => Ok(std::str::from_utf8(&bytes).ok().and_then(Self::decode)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it durably.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn write(&self, disk: &Disk, places: &impl Places, name: &MailboxName) -> io::Result<()> {
        disk.write_atomically(&places.identity(name), self.encode().as_bytes())
    }

    /// As [`Identity::write`], durable only with what is synced later.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn write_unsynced(
        &self,
        disk: &Disk,
        places: &impl Places,
        name: &MailboxName,
    ) -> io::Result<()> {
        disk.write_unsynced(&places.identity(name), self.encode().as_bytes())
    }

    /// As [`Identity::write`] or [`Identity::write_unsynced`], at `path`: for a mailbox that has no
    /// name yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_to(&self, disk: &Disk, path: &Path, durably: bool) -> io::Result<()> {
        match durably {
            true => disk.write_atomically(path, self.encode().as_bytes()),
            false => self.write_unsynced_to(disk, path),
        }
    }

    /// As [`Identity::write_unsynced`], at `path`: for a mailbox that has no name yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_unsynced_to(&self, disk: &Disk, path: &Path) -> io::Result<()> {
        disk.write_unsynced(path, self.encode().as_bytes())
    }

    fn encode(&self) -> String {
        format!(
            "facteur-mailbox 1\nuidvalidity {}\nguid {}\nuid-ceiling {}\nmodseq-ceiling {}\nend\n",
            self.uid_validity, self.guid, self.uid_ceiling, self.modseq_ceiling
        )
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        if value("facteur-mailbox")? != "1" {
            return None;
        }
        let read = Self {
            uid_validity: value("uidvalidity")?
                .parse()
                .ok()
                .and_then(UidValidity::new)?,
            guid: value("guid").and_then(Guid::parse)?,
            uid_ceiling: value("uid-ceiling")?.parse().ok()?,
            modseq_ceiling: value("modseq-ceiling")?.parse().ok()?,
        };
        (lines.next() == Some("end")).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decode_is_the_inverse_of_encode(v in 1u32.., guid: [u8; 16], uid: u64, modseq: u64) {
            let identity = Identity {
                uid_validity: UidValidity::new(v).unwrap(),
                guid: Guid::from_bytes(guid),
                uid_ceiling: uid,
                modseq_ceiling: modseq,
            };
            let text = identity.encode();
            prop_assert_eq!(Identity::decode(&text), Some(identity));
            for cut in 0..text.len() { prop_assert_eq!(Identity::decode(&text[..cut]), None); }
        }
    }
}
