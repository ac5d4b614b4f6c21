//! The folder of all mail homes: once mail was in it, an empty one is a disk that is not mounted.
//!
//! Homes that were made below its mount point would take mail that nobody sees once the disk is
//! there, and show clients empty mailboxes meanwhile.

use std::{
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use facteur_disk::{Disk, EntryKind};

use crate::StoreError;

/// The folder, and the note that it had mail.
#[derive(Debug)]
pub(crate) struct MailRoot {
    root: Option<PathBuf>,
    /// In the store's own folder: says which folder had mail.
    note: PathBuf,
    /// Whether this process has seen to the note.
    noted: AtomicBool,
}

impl MailRoot {
    pub(crate) fn new(root: Option<PathBuf>, state: &Path) -> Self {
        Self {
            root,
            note: state.join("mail-root"),
            noted: AtomicBool::new(false),
        }
    }

    /// To be asked before a home is made, or said never to have been there.
    pub(crate) fn expect(&self, disk: &Disk, home: &Path) -> Result<(), StoreError> {
        match &self.root {
            Some(root) if home.starts_with(root) => self.expect_mail(disk, root),
            _ => Ok(()),
        }
    }

    /// Whether all is as it was.
    pub(crate) fn look(&self, disk: &Disk) -> Result<(), StoreError> {
        let root = self.root.as_ref();
        root.map_or(Ok(()), |root| self.expect_mail(disk, root))
    }

    fn expect_mail(&self, disk: &Disk, root: &Path) -> Result<(), StoreError> {
        let had = match disk.read(&self.note) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read?,
        };
        if had != root.as_os_str().as_bytes() {
            return Ok(());
        }
        let mut has = false;
        let seen = disk.each_name(root, |name, kind| {
            // What a new file system has by itself is no mail.
            let own = name == b"lost+found" || name.starts_with(b".");
            has |= kind != EntryKind::File && !own;
        });
        match seen {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ if has => return Ok(()),
            _ => {}
        }
        let missing = format!(
            "there is nothing in the mail folder {}, and there was mail in it: is its disk mounted? If the mail is gone for good, remove {}",
            root.display(),
            self.note.display()
        );
        Err(io::Error::new(io::ErrorKind::NotFound, missing).into())
    }

    /// Notes that a home is there. Where that cannot be written now, it is with the next one.
    pub(crate) fn note(&self, disk: &Disk, home: &Path, made: bool) {
        let Some(root) = self.root.as_ref().filter(|root| home.starts_with(root)) else {
            return;
        };
        if self.noted.load(Ordering::Acquire) && !made {
            return;
        }
        let text = root.as_os_str().as_bytes();
        let written = match disk.read(&self.note) {
            Ok(there) if there == text => Ok(()),
            // No mail waits for it: the next checkpoint makes it durable.
            _ => disk.write_unsynced(&self.note, text),
        };
        self.noted.store(written.is_ok(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folder_that_had_mail_and_has_nothing_is_a_disk_that_is_not_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, root) = (Disk::real(), dir.path().join("mail"));
        let home = root.join("example.org/bob");
        let mail = MailRoot::new(Some(root.clone()), dir.path());
        // Before the first mail all is as it should be.
        mail.expect(&disk, &home).unwrap();
        fs::create_dir_all(&home).unwrap();
        mail.note(&disk, &home, true);
        mail.expect(&disk, &root.join("example.org/carol")).unwrap();
        let again = MailRoot::new(Some(root.clone()), dir.path());
        fs::rename(&root, dir.path().join("away")).unwrap();
        again.expect(&disk, &home).unwrap_err();
        fs::create_dir_all(root.join("lost+found")).unwrap();
        again.look(&disk).unwrap_err();
        // Mail elsewhere has nothing to do with it.
        again.expect(&disk, &dir.path().join("other")).unwrap();
        let elsewhere = MailRoot::new(Some(dir.path().join("new")), dir.path());
        elsewhere.look(&disk).unwrap();
        // It is gone for good.
        fs::remove_file(dir.path().join("mail-root")).unwrap();
        again.expect(&disk, &home).unwrap();
    }
}
