//! Where things lie below a Maildir: Maildir++.

use std::{
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use facteur_disk::{Disk, EntryKind};
use facteur_format::{Identity, Places};
use facteur_model::MailboxName;

use crate::{Files, Head, Place, UidList};

/// The subfolders of a folder.
const SUBFOLDERS: [&str; 3] = ["tmp", "new", "cur"];
/// Our own numbers in a folder; Dovecot does not look at it.
const IDENTITY: &str = "uidvalidity";
/// Marks a folder that is not INBOX, for delivery programs that enforce a quota.
const MARKER: &str = "maildirfolder";
/// Longest file name.
const MAX_FILE_NAME: usize = 255;

/// Paths below one account's Maildir.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

/// Why a mailbox cannot have a name in a Maildir.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A dot stands between levels on disk.
    #[error("in a Maildir a mailbox's name cannot have a dot")]
    Dot,
    /// Dovecot takes it for somebody's home.
    #[error("in a Maildir a mailbox's name cannot begin with ~")]
    Tilde,
    /// All levels together make one file name.
    #[error("in a Maildir a mailbox's name with those above it has at most 254 bytes")]
    TooLong,
}

impl Places for Layout {
    fn separator(&self) -> char {
        '.'
    }

    fn identity(&self, name: &MailboxName) -> PathBuf {
        self.folder(name).join(IDENTITY)
    }

    fn subscriptions(&self) -> PathBuf {
        self.root.join("subscriptions")
    }
}

impl Layout {
    /// The layout of the Maildir `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The Maildir, which is INBOX too.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a mailbox can have this name.
    ///
    /// # Errors
    /// [`NameError`] says why not.
    pub fn check(name: &MailboxName) -> Result<(), NameError> {
        if name.as_str().contains('.') {
            return Err(NameError::Dot);
        }
        if name.as_str().starts_with('~') {
            return Err(NameError::Tilde);
        }
        if Self::folder_name(name).len() > MAX_FILE_NAME {
            return Err(NameError::TooLong);
        }
        Ok(())
    }

    /// The folder of a mailbox other than INBOX.
    fn folder_name(name: &MailboxName) -> String {
        let mut folder = String::new();
        for level in name.levels() {
            folder.push('.');
            folder.push_str(&facteur_utf7::encode(level));
        }
        folder
    }

    /// The mailbox of a folder; `None` when no mailbox has such a folder.
    fn mailbox_name(folder: &[u8]) -> Option<MailboxName> {
        let levels = folder.strip_prefix(b".")?.split(|byte| *byte == b'.');
        let levels: Option<Vec<String>> = levels
            .map(|level| {
                facteur_utf7::decode(level)
                    .ok()
                    .filter(|level| !level.contains('/'))
            })
            .collect();
        let full = levels?.join("/");
        // A name that parses to another one (`inbox`), or to INBOX, would make two folders one.
        let name = MailboxName::parse(&full).ok()?;
        (name.as_str() == full && !name.is_inbox()).then_some(name)
    }

    /// A mailbox's folder.
    pub fn folder(&self, name: &MailboxName) -> PathBuf {
        if name.is_inbox() {
            return self.root.clone();
        }
        self.root.join(Self::folder_name(name))
    }

    /// Where new messages of a mailbox are written before they have a name.
    pub fn tmp(&self, name: &MailboxName) -> PathBuf {
        self.folder(name).join("tmp")
    }

    /// Whether a name in the Maildir is of something under construction, or of a mailbox that was
    /// being removed.
    pub fn is_temporary(file_name: &str) -> bool {
        file_name.starts_with("temp.")
    }

    /// Every mailbox on disk, sorted; levels that are only above others are none. Names that are no
    /// mailbox's are skipped with a warning.
    ///
    /// # Errors
    /// When the Maildir cannot be read.
    pub fn mailboxes(&self, disk: &Disk) -> io::Result<Vec<MailboxName>> {
        let mut found = Vec::new();
        let entries = match disk.read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let name = entry.name.as_bytes();
            // What begins with two dots is being removed by Dovecot.
            if !name.starts_with(b".") || name.starts_with(b"..") {
                continue;
            }
            let path = self.root.join(&entry.name);
            match entry.kind {
                EntryKind::Dir => {}
                // A folder that lies elsewhere; Maildir++ has no way round in a circle.
                EntryKind::Link if disk.is_dir(&path)? => {}
                _ => continue,
            }
            match Self::mailbox_name(name) {
                Some(name) => found.push(name),
                None => {
                    tracing::warn!(path = %path.display(), "folder is skipped: no mailbox has such a name");
                }
            }
        }
        if disk.is_dir(&Place::Cur.of(&self.root))? {
            found.push(MailboxName::inbox());
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Makes what is missing of a mailbox's folder. Other programs, and Dovecot itself, may leave a
    /// folder without one of its subfolders.
    ///
    /// # Errors
    /// As `mkdir(2)`.
    pub fn complete(&self, disk: &Disk, name: &MailboxName) -> io::Result<()> {
        Self::complete_folder(disk, &self.folder(name))
    }

    /// As [`Layout::complete`], of the mailbox whose folder this is.
    ///
    /// # Errors
    /// As `mkdir(2)`.
    pub fn complete_folder(disk: &Disk, folder: &Path) -> io::Result<()> {
        for sub in SUBFOLDERS {
            match disk.create_dir(&folder.join(sub)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a mailbox's folder; it is there when all that belongs to it is. Durable only with what
    /// is synced later, or with [`Layout::sync`].
    ///
    /// # Errors
    /// As the calls it makes, [`io::ErrorKind::AlreadyExists`] among them.
    pub fn make(&self, disk: &Disk, name: &MailboxName, identity: &Identity) -> io::Result<()> {
        if name.is_inbox() {
            // `cur/`, which makes it a mailbox, comes last.
            self.fill(disk, &self.root, identity)?;
            return self.complete(disk, name);
        }
        let made = Disk::temporary_path(&self.root);
        disk.create_dir(&made)?;
        let filled = SUBFOLDERS
            .iter()
            .try_for_each(|sub| disk.create_dir(&made.join(sub)))
            .and_then(|()| disk.create_new(&made.join(MARKER)).map(drop))
            .and_then(|()| self.fill(disk, &made, identity))
            .and_then(|()| disk.rename_new(&made, &self.folder(name)));
        if filled.is_err() {
            let _ = disk.remove_dir_all(&made);
        }
        filled
    }

    /// Writes what says who a new folder is.
    fn fill(&self, disk: &Disk, folder: &Path, identity: &Identity) -> io::Result<()> {
        identity.write_unsynced_to(disk, &folder.join(IDENTITY))?;
        let list = UidList {
            head: Head {
                uid_validity: identity.uid_validity,
                uid_next: identity.uid_ceiling,
                guid: Some(identity.guid),
                other: Vec::new(),
            },
            files: Files::default(),
            is_sound: true,
        };
        list.write_unsynced(disk, folder, identity.guid)
    }

    /// Makes a mailbox's folder durable, with what [`Layout::make`] put there to say who it is.
    ///
    /// # Errors
    /// As `open(2)` and `fsync(2)`.
    pub fn sync(&self, disk: &Disk, name: &MailboxName) -> io::Result<()> {
        let folder = self.folder(name);
        // The list says nothing more.
        disk.open(&folder.join(IDENTITY))?.sync_all()?;
        disk.sync_dir(&folder)?;
        disk.sync_dir(&self.root)
    }

    /// What a RENAME of `from` and of all below it renames, in order: `mailboxes` are those there
    /// are. A level without a folder renames only what is below it.
    ///
    /// # Errors
    /// When a new name cannot be.
    pub fn renames<'a>(
        &self,
        mailboxes: impl Iterator<Item = &'a MailboxName>,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Vec<(PathBuf, PathBuf)>, NameError> {
        let moved = mailboxes.filter(|name| *name == from || name.is_below(from));
        moved
            .map(|old| {
                let below = old.as_str().get(from.as_str().len()..).unwrap_or_default();
                let new =
                    MailboxName::parse(&format!("{to}{below}")).map_err(|_| NameError::TooLong)?;
                Self::check(&new)?;
                Ok((self.folder(old), self.folder(&new)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facteur_model::{Guid, UidValidity};

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text).unwrap()
    }

    fn identity() -> Identity {
        Identity::new(UidValidity::FIRST, Guid::from_bytes([1; 16]))
    }

    #[test]
    fn folders_are_named_as_dovecot_names_them() {
        let layout = Layout::new(Path::new("/m"));
        for (mailbox, folder) in [
            ("INBOX", "/m"),
            ("INBOX/Sub", "/m/.INBOX.Sub"),
            ("Sent", "/m/.Sent"),
            ("Été & Hiver/日本", "/m/.&AMk-t&AOk- &- Hiver.&ZeVnLA-"),
            ("x~y", "/m/.x~y"),
        ] {
            assert_eq!(Layout::check(&name(mailbox)), Ok(()));
            assert_eq!(layout.folder(&name(mailbox)), Path::new(folder));
        }
    }

    #[test]
    fn names_that_dovecot_refuses_are_refused() {
        assert_eq!(Layout::check(&name("a.b")), Err(NameError::Dot));
        assert_eq!(Layout::check(&name("a/.b")), Err(NameError::Dot));
        assert_eq!(Layout::check(&name("~x")), Err(NameError::Tilde));
        assert_eq!(Layout::check(&name("a/~x")), Ok(()));
        let long = format!("{}/{}", "x".repeat(127), "y".repeat(126));
        assert_eq!(Layout::check(&name(&long)), Ok(()));
        assert_eq!(
            Layout::check(&name(&format!("{long}y"))),
            Err(NameError::TooLong)
        );
    }

    #[test]
    fn mailboxes_made_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let layout = Layout::new(dir.path());
        assert_eq!(layout.mailboxes(&disk).unwrap(), []);
        let mut made: Vec<_> = ["a", "INBOX", "Été/日本", "INBOX/Sub"].map(name).into();
        for name in &made {
            layout.make(&disk, name, &identity()).unwrap();
            layout.sync(&disk, name).unwrap();
            assert_eq!(
                Identity::read(&disk, &layout, name).unwrap(),
                Some(identity())
            );
            let again = layout.make(&disk, name, &identity());
            assert_eq!(again.is_ok(), name.is_inbox());
        }
        made.sort_unstable();
        assert_eq!(layout.mailboxes(&disk).unwrap(), made);
        assert!(dir.path().join(".a/maildirfolder").exists());
        assert!(!dir.path().join("maildirfolder").exists());
    }

    #[test]
    fn what_is_no_mailbox_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        for folder in [
            ".ok",
            ".INBOX",
            ".inbox",
            ".",
            "..DOVECOT-TRASHED",
            ".a..b",
            ".a.",
            ".&bad",
            "temp.1",
            "sieve",
            ".&-x&",
            "elsewhere",
        ] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join(".file"), "").unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(dir.path().join(target), dir.path().join(name)).unwrap();
        };
        link("elsewhere", ".link");
        link("nowhere", ".dangling");
        let found = Layout::new(dir.path()).mailboxes(&Disk::real()).unwrap();
        assert_eq!(found, [name("link"), name("ok")]);
    }

    #[test]
    fn a_rename_takes_along_what_is_below() {
        let all = ["a", "a/b", "a/b/c", "ab", "b"].map(name);
        let layout = Layout::new(Path::new("/m"));
        let renames = |from: &str, to: &str| layout.renames(all.iter(), &name(from), &name(to));
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(
            renames("a", "x/y").unwrap(),
            [
                (path("/m/.a"), path("/m/.x.y")),
                (path("/m/.a.b"), path("/m/.x.y.b")),
                (path("/m/.a.b.c"), path("/m/.x.y.b.c")),
            ]
        );
        assert_eq!(renames("a", "x.y"), Err(NameError::Dot));
        assert_eq!(renames("a/b", &"x".repeat(253)), Err(NameError::TooLong));
    }
}
