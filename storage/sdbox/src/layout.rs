//! Where things lie below an account's home.

use std::{
    io,
    path::{Path, PathBuf},
};

use facteur_disk::{Disk, EntryKind};
use facteur_format::Places;
use facteur_model::{MailboxName, Uid};

/// The folder that holds a mailbox's messages; a mailbox exists while this does.
const MAILS: &str = "dbox-Mails";

/// Paths below one account's home.
#[derive(Debug, Clone)]
pub struct Layout {
    home: PathBuf,
}

impl Places for Layout {
    fn separator(&self) -> char {
        '/'
    }

    fn identity(&self, name: &MailboxName) -> PathBuf {
        Layout::identity(self, name)
    }

    fn subscriptions(&self) -> PathBuf {
        self.home.join("subscriptions")
    }
}

/// A folder as the disk shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderOnDisk {
    /// Its name.
    pub name: MailboxName,
    /// Whether it holds messages; else it is only a level above others.
    pub is_mailbox: bool,
}

impl Layout {
    /// The layout below `home`.
    pub fn new(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
        }
    }

    /// The account's home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder above all mailboxes.
    pub fn root(&self) -> PathBuf {
        self.home.join("mailboxes")
    }

    /// A mailbox's folder, which also holds the mailboxes below it.
    pub fn folder(&self, name: &MailboxName) -> PathBuf {
        let mut path = self.root();
        path.extend(name.levels().map(facteur_utf7::encode));
        path
    }

    /// Where a mailbox's messages lie.
    pub fn mails(&self, name: &MailboxName) -> PathBuf {
        self.folder(name).join(MAILS)
    }

    /// A mailbox's `uidvalidity` file.
    pub fn identity(&self, name: &MailboxName) -> PathBuf {
        self.folder(name).join("uidvalidity")
    }

    /// A message's file name.
    pub fn file_name(uid: Uid) -> String {
        format!("u.{uid}")
    }

    /// The UID in a message's file name.
    pub fn uid_of(file_name: &str) -> Option<Uid> {
        let digits = file_name.strip_prefix("u.")?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        plain.then(|| digits.parse().ok().and_then(Uid::new))?
    }

    /// Whether a file in a mailbox's folder is one under construction.
    pub fn is_temporary(file_name: &str) -> bool {
        file_name.starts_with("temp.")
    }

    /// Every folder on disk, sorted by name. Names that are no mailbox's are skipped with a
    /// warning.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn folders(&self, disk: &Disk) -> io::Result<Vec<FolderOnDisk>> {
        let mut found = Vec::new();
        match self.walk(disk, &self.root(), None, &mut found) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn walk(
        &self,
        disk: &Disk,
        dir: &Path,
        above: Option<&MailboxName>,
        found: &mut Vec<FolderOnDisk>,
    ) -> io::Result<()> {
        for entry in disk.read_dir(dir)? {
            let path = dir.join(&entry.name);
            if entry.kind == EntryKind::Link && entry.name != MAILS && disk.is_dir(&path)? {
                // It may lead round in a circle.
                tracing::warn!(path = %path.display(), "folder is skipped: it is a link");
            }
            if entry.kind != EntryKind::Dir || entry.name == MAILS {
                continue;
            }
            let level = entry.name.to_str();
            let level = level.and_then(|name| facteur_utf7::decode(name.as_bytes()).ok());
            let name = level
                .filter(|level| !level.contains('/'))
                .and_then(|level| {
                    let full = match above {
                        Some(above) => format!("{above}/{level}"),
                        None => level,
                    };
                    // A name that parses to another one (`inbox`) would make two folders one.
                    MailboxName::parse(&full)
                        .ok()
                        .filter(|name| name.as_str() == full)
                });
            let Some(name) = name else {
                tracing::warn!(path = %path.display(), "folder is skipped: no mailbox has such a name");
                continue;
            };
            // It may lie on another disk.
            let is_mailbox = disk.is_dir(&path.join(MAILS))?;
            found.push(FolderOnDisk {
                name: name.clone(),
                is_mailbox,
            });
            self.walk(disk, &path, Some(&name), found)?;
        }
        Ok(())
    }

    /// The UIDs of the messages in a mailbox, sorted, and the files under construction there and
    /// beside them.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn messages(
        &self,
        disk: &Disk,
        name: &MailboxName,
    ) -> io::Result<(Vec<Uid>, Vec<PathBuf>)> {
        let dir = self.mails(name);
        let (mut uids, mut temporary) = (Vec::new(), Vec::new());
        for entry in disk.read_dir(&dir)? {
            let Some(file_name) = entry.name.to_str() else {
                continue;
            };
            if let Some(uid) = Self::uid_of(file_name) {
                uids.push(uid);
            } else if Self::is_temporary(file_name) {
                temporary.push(dir.join(file_name));
            }
        }
        let beside = self.folder(name);
        for entry in disk.read_dir(&beside)? {
            // A folder of such a name is a mailbox.
            if entry.kind == EntryKind::File && entry.name.to_str().is_some_and(Self::is_temporary)
            {
                temporary.push(beside.join(entry.name));
            }
        }
        uids.sort_unstable();
        Ok((uids, temporary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_of_accepts_only_what_file_name_writes() {
        assert_eq!(Layout::uid_of("u.17"), Uid::new(17));
        for bad in [
            "u.",
            "u.0",
            "u.017",
            "u.4294967296",
            "u.-1",
            "u.+1",
            "v.1",
            "u.1x",
        ] {
            assert_eq!(Layout::uid_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn links_to_messages_are_followed_and_links_to_folders_are_not() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("mailboxes");
        std::fs::create_dir_all(root.join("INBOX")).unwrap();
        std::fs::create_dir_all(home.path().join("elsewhere")).unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(home.path().join(target), root.join(name)).unwrap();
        };
        link("elsewhere", "INBOX/dbox-Mails");
        link("mailboxes", "circle");
        link("nowhere", "dangling");
        let found = Layout::new(home.path()).folders(&Disk::real()).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_str(), f.is_mailbox))
            .collect();
        assert_eq!(found, [("INBOX", true)]);
    }

    /// A folder of Dovecot's with a name of more than 80 bytes was not shown at all.
    #[test]
    fn longest_names_fit_a_file_name() {
        for long in [
            "x".repeat(255),
            "&".repeat(127),
            "é".repeat(94),
            "é&".repeat(36),
            "日本".repeat(47),
            "𝄞a".repeat(25),
        ] {
            let name = MailboxName::parse(&long).unwrap();
            let home = tempfile::tempdir().unwrap();
            let layout = Layout::new(home.path());
            std::fs::create_dir_all(layout.mails(&name)).unwrap();
            let found = layout.folders(&Disk::real()).unwrap();
            assert_eq!(found.len(), 1, "{long}");
            assert_eq!(found[0].name, name);
            let longer = long.repeat(2);
            assert!(facteur_utf7::encode(&longer).len() > MailboxName::MAX_LEVEL_LEN);
            assert!(MailboxName::parse(&longer).is_err(), "{longer}");
        }
        // The count is exactly what is written.
        for at in 80..=130 {
            let name = "aé&日".repeat(at / 4) + &"é".repeat(at % 4);
            let fits = facteur_utf7::encode(&name).len() <= MailboxName::MAX_LEVEL_LEN;
            assert_eq!(MailboxName::parse(&name).is_ok(), fits, "{name}");
        }
    }

    #[test]
    fn folders_with_names_that_dovecot_spells_are_found() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("mailboxes");
        for dir in [
            "INBOX/dbox-Mails",
            "&AMk-t&AOk-/a&-b/dbox-Mails",
            "inbox/dbox-Mails",
            "&-x&",
        ] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        let found = Layout::new(home.path()).folders(&Disk::real()).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_str(), f.is_mailbox))
            .collect();
        assert_eq!(found, [("INBOX", true), ("Été", false), ("Été/a&b", true)]);
    }
}
