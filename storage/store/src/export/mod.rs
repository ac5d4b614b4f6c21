//! An account's copy for another server: a tree that Dovecot opens with every flag.
//!
//! Nothing of the account is changed. As sdbox the copy may share the message files with it (hard
//! links), which neither side ever writes to again; what only our index knows (flags, keywords,
//! UIDs) is written as Dovecot's index. As Maildir it is in the messages' names and in
//! `dovecot-uidlist`.

mod maildir;
mod sdbox;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use facteur_disk::{Disk, DiskFile, EntryKind};
use facteur_format::{Identity, Places, Subscriptions};
use facteur_model::{AccountSpec, MailFormat, MailboxName};
use serde::Serialize;

use crate::{Account, Mailbox, MessageReader, Store, StoreError, format::Layout};

/// Copied at once.
const CHUNK: usize = 64 * 1024;

/// In which format a copy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// Dovecot's single-dbox. Its message files are the account's own under a second name, where
    /// the file system allows it.
    LinkedSdbox,
    /// Dovecot's single-dbox, with message files of its own.
    Sdbox,
    /// Maildir++.
    Maildir,
}

/// What an export came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Mailboxes written.
    pub mailboxes: u64,
    /// Messages in them.
    pub messages: u64,
    /// How many of their files are the account's own under a second name.
    pub linked: u64,
    /// Sieve scripts.
    pub scripts: u64,
    /// Keywords that the format has no room for, as `<mailbox>: <keyword>`.
    pub lost_keywords: Vec<String>,
}

/// What an export works on.
struct Export<'a> {
    disk: &'a Disk,
    account: &'a Account,
    from: Layout,
    to: &'a Path,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
    exported: Exported,
}

impl Store {
    /// Writes a copy of an account into the folder `to`, which must be missing or empty; durable when
    /// this returns. `progress` is told how many of how many messages are done.
    ///
    /// # Errors
    /// [`StoreError::Cannot`] when there is nothing to export, or not there, or (as Maildir) a
    /// mailbox has a name that the format does not allow. After any error nothing is left in `to`.
    pub fn export_account(
        &self,
        spec: &AccountSpec,
        format: ExportFormat,
        to: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Exported, StoreError> {
        let disk = self.disk();
        match (spec.format, format) {
            (MailFormat::Maildir, ExportFormat::Maildir) => {
                return Err(StoreError::Cannot(
                    "the account is a Maildir, which Dovecot opens as it stands: copy its folder",
                ));
            }
            (MailFormat::Maildir, ExportFormat::LinkedSdbox) => {
                return Err(StoreError::Cannot(
                    "a Maildir's files are others than sdbox's: they cannot be linked",
                ));
            }
            _ => {}
        }
        if !disk.is_dir(&spec.home)? {
            return Err(StoreError::Cannot(
                "the account was never used: there is nothing to export",
            ));
        }
        claim(disk, to)?;
        let account = self.account(spec)?;
        let mut export = Export {
            disk,
            account: &account,
            from: Layout::of(spec),
            to,
            done: 0,
            total: 0,
            progress,
            exported: Exported::default(),
        };
        let written = export
            .run(format)
            .and_then(|()| Ok(disk.sync_file_system(to)?));
        match written {
            Ok(()) => Ok(export.exported),
            Err(error) => {
                if let Err(error) = empty(disk, to) {
                    tracing::warn!(path = %to.display(), %error, "an incomplete copy is left");
                }
                Err(error)
            }
        }
    }
}

/// Makes the folder, or sees that it is empty.
fn claim(disk: &Disk, to: &Path) -> Result<(), StoreError> {
    match disk.read_dir(to) {
        Ok(entries) if entries.is_empty() => Ok(()),
        Ok(_) => Err(StoreError::Cannot("the folder to export to is not empty")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(disk.create_dir_all_durably(to)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn empty(disk: &Disk, dir: &Path) -> io::Result<()> {
    for entry in disk.read_dir(dir)? {
        let path = dir.join(&entry.name);
        match entry.kind {
            EntryKind::Dir => disk.remove_dir_all(&path)?,
            _ => disk.unlink(&path)?,
        }
    }
    Ok(())
}

impl Export<'_> {
    fn run(&mut self, format: ExportFormat) -> Result<(), StoreError> {
        let mut names = Vec::new();
        for folder in self.account.folders()?.into_iter().filter(|f| f.selectable) {
            self.total += u64::from(self.account.status(&folder.name)?.messages);
            names.push(folder.name);
        }
        match format {
            ExportFormat::LinkedSdbox => sdbox::write(self, &names, true)?,
            ExportFormat::Sdbox => sdbox::write(self, &names, false)?,
            ExportFormat::Maildir => maildir::write(self, &names)?,
        }
        self.scripts()
    }

    /// Opens a mailbox, and says who it is.
    fn open(&mut self, name: &MailboxName) -> Result<(Mailbox, Identity), StoreError> {
        let mailbox = self.account.open(name)?;
        let identity = self
            .from
            .identify(self.disk, name)?
            .ok_or_else(|| StoreError::NoMailbox(name.clone()))?;
        self.exported.mailboxes += 1;
        Ok((mailbox, identity))
    }

    /// Writes a message's text into `file`.
    fn write_text(&self, reader: &MessageReader, file: &mut DiskFile) -> Result<(), StoreError> {
        let size = reader.size();
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        while at < size {
            let len = usize::try_from(size - at).map_or(CHUNK, |left| left.min(CHUNK));
            let part = chunk.get_mut(..len).unwrap_or_default();
            reader.read_exact_at(part, at)?;
            file.write_all(part)?;
            at += len as u64;
        }
        Ok(())
    }

    /// One message more is done.
    fn step(&mut self) {
        self.done += 1;
        self.exported.messages += 1;
        (self.progress)(self.done, self.total.max(self.done));
    }

    fn subscriptions(&self, places: &impl Places) -> Result<(), StoreError> {
        Subscriptions::read(self.disk, &self.from)?.write_unsynced(self.disk, places)?;
        Ok(())
    }

    /// Sieve scripts, and the link to the active one.
    fn scripts(&mut self) -> Result<(), StoreError> {
        let from = self.from.home().join("sieve");
        let scripts = match self.disk.read_dir(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => entries?,
        };
        let to = self.to.join("sieve");
        for entry in scripts {
            let name = entry.name.to_str().unwrap_or_default();
            if entry.kind != EntryKind::File || !name.ends_with(".sieve") {
                continue;
            }
            if self.exported.scripts == 0 {
                self.disk.create_dir(&to)?;
            }
            // Unlike messages, scripts are changed where they lie.
            self.copy(&from.join(name), &to.join(name))?;
            self.exported.scripts += 1;
        }
        let active = self.from.home().join("dovecot.sieve");
        let to = self.to.join("dovecot.sieve");
        if let Some(target) = self.disk.read_link(&active)? {
            // A link into the home goes with it.
            let target = target
                .strip_prefix(self.from.home())
                .map_or(target.clone(), PathBuf::from);
            self.disk.symlink(&target, &to)?;
        } else if self.disk.kind(&active)? == Some(EntryKind::File) {
            self.copy(&active, &to)?;
        }
        Ok(())
    }

    /// Copies a file with its time.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let original = self.disk.open(from)?;
        let mut copy: DiskFile = self.disk.create_new(to)?;
        copy.copy_range(&original, 0, original.size()?)?;
        copy.set_modified(original.modified()?)
    }
}
