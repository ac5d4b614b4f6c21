//! Sieve scripts: `sieve/<name>.sieve`, and the link `dovecot.sieve` to the active one.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_disk::{Disk, EntryKind};

use crate::{ScriptInfo, StoreError, owner::ActiveScript};

/// Longest name, in bytes (RFC 5804 §1.6 asks for 128 characters; a file name has 255 bytes).
const MAX_NAME: usize = 240;
/// What a script's file name ends with.
const SUFFIX: &str = ".sieve";

/// An account's scripts.
pub(crate) struct Scripts<'a> {
    disk: &'a Disk,
    home: &'a Path,
}

impl<'a> Scripts<'a> {
    pub(crate) fn new(disk: &'a Disk, home: &'a Path) -> Self {
        Self { disk, home }
    }

    fn dir(&self) -> PathBuf {
        self.home.join("sieve")
    }

    /// Where the active script is looked for.
    fn link(&self) -> PathBuf {
        self.home.join("dovecot.sieve")
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let unfit = name.is_empty()
            || name.len() > MAX_NAME
            || name.starts_with('.')
            || name.contains('/')
            || name
                .chars()
                .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
        if unfit {
            return Err(StoreError::Cannot(
                "a script's name has no slash, control character or leading dot, and at most 240 bytes",
            ));
        }
        Ok(self.dir().join(format!("{name}{SUFFIX}")))
    }

    fn is_there(&self, path: &Path) -> Result<bool, StoreError> {
        Ok(self.disk.kind(path)?.is_some())
    }

    /// The active script's name, if the link is one of ours.
    fn active_name(&self) -> Result<Option<String>, StoreError> {
        let Some(target) = self.disk.read_link(&self.link())? else {
            return Ok(None);
        };
        let of_ours = target.parent() == Some(Path::new("sieve"))
            || target.parent() == Some(self.dir().as_path());
        let name = target.file_name().and_then(|name| name.to_str());
        Ok(name
            .and_then(|name| name.strip_suffix(SUFFIX))
            .filter(|_| of_ours)
            .map(str::to_owned))
    }

    pub(crate) fn list(&self) -> Result<Vec<ScriptInfo>, StoreError> {
        let active = self.active_name()?;
        let entries = match self.disk.read_dir(&self.dir()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => entries?,
        };
        let mut scripts: Vec<ScriptInfo> = entries
            .iter()
            .filter(|entry| matches!(entry.kind, EntryKind::File | EntryKind::Link))
            .filter_map(|entry| entry.name.to_str()?.strip_suffix(SUFFIX))
            .filter(|name| self.path(name).is_ok())
            .map(|name| ScriptInfo {
                name: name.to_owned(),
                active: active.as_deref() == Some(name),
            })
            .collect();
        scripts.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scripts)
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        match self.disk.read(&self.path(name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoScript),
            read => Ok(read?),
        }
    }

    /// The active script. A file that stands where the link would is one too: it has no name.
    pub(crate) fn active(&self) -> Result<Option<ActiveScript>, StoreError> {
        match self.disk.read(&self.link()) {
            Ok(text) => {
                let name = self.active_name()?.unwrap_or_default();
                Ok(Some((name, Arc::from(text))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn write(&self, name: &str, text: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name)?;
        self.disk.create_dir_all_durably(&self.dir())?;
        self.disk.write_atomically(&path, text)?;
        // Who made the folder may have been killed before that was durable.
        Ok(self.disk.sync_dir(self.home)?)
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name)?;
        if !self.is_there(&path)? {
            return Err(StoreError::NoScript);
        }
        if self.active_name()?.as_deref() == Some(name) {
            return Err(StoreError::Script("the active script cannot be deleted"));
        }
        self.disk.unlink(&path)?;
        Ok(self.disk.sync_dir(&self.dir())?)
    }

    /// The new name is there before the link points to it, and the old one after.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (old, new) = (self.path(from)?, self.path(to)?);
        if !self.is_there(&old)? {
            return Err(StoreError::NoScript);
        }
        if self.is_there(&new)? {
            return Err(StoreError::Script("a script of this name exists"));
        }
        if self.active_name()?.as_deref() == Some(from) {
            self.disk.link(&old, &new)?;
            self.disk.sync_dir(&self.dir())?;
            self.activate(Some(to))?;
            self.disk.unlink(&old)?;
        } else {
            self.disk.rename(&old, &new)?;
        }
        Ok(self.disk.sync_dir(&self.dir())?)
    }

    pub(crate) fn activate(&self, name: Option<&str>) -> Result<(), StoreError> {
        let link = self.link();
        let target = match name {
            Some(name) if !self.is_there(&self.path(name)?)? => return Err(StoreError::NoScript),
            Some(name) => Some(PathBuf::from(format!("sieve/{name}{SUFFIX}"))),
            None => None,
        };
        self.keep_file(&link)?;
        match target {
            Some(target) => {
                let temporary = Disk::temporary_path(self.home);
                self.disk.symlink(&target, &temporary)?;
                self.disk.rename(&temporary, &link)?;
            }
            None => {
                self.disk.unlink_if_there(&link)?;
            }
        }
        Ok(self.disk.sync_dir(self.home)?)
    }

    /// A script that was put where the link goes by hand is kept among the others.
    fn keep_file(&self, link: &Path) -> Result<(), StoreError> {
        if self.disk.kind(link)? != Some(EntryKind::File) {
            return Ok(());
        }
        self.disk.create_dir_all_durably(&self.dir())?;
        for number in 1..1000 {
            let kept = self.path(&format!("dovecot.orig.{number}"))?;
            match self.disk.rename_new(link, &kept) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => {
                    result?;
                    return Ok(self.disk.sync_dir(&self.dir())?);
                }
            }
        }
        Err(StoreError::Script(
            "the script in place of the link could not be kept",
        ))
    }
}
