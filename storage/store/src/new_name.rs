//! Files of new messages get their names.
//!
//! Most are renamed: what the machine loses of that the journal brings back. A message that is too
//! large for the journal is durable under its temporary name alone, and a rename from one folder to
//! another can be lost in one of them when only the other is synced. So that name stays until a
//! checkpoint has the other.

use std::{
    io,
    path::{Path, PathBuf},
};

use facteur_disk::Disk;

use crate::{StoreError, copy};

/// The name that a message's file gets.
#[derive(Debug)]
pub(crate) struct NewName {
    pub(crate) temporary: PathBuf,
    pub(crate) path: PathBuf,
    /// Where files are written before they come to `path`, if the journal has the message nowhere
    /// else.
    only_there: Option<PathBuf>,
}

impl NewName {
    /// Of a file that the journal can bring back.
    pub(crate) fn new(temporary: PathBuf, path: PathBuf) -> Self {
        Self {
            temporary,
            path,
            only_there: None,
        }
    }

    /// Of a file that has the message alone; `tmp` is where those are written that come to `path`.
    pub(crate) fn of_large(temporary: PathBuf, path: PathBuf, tmp: PathBuf) -> Self {
        // Within a folder a rename is done or not.
        let is_near = temporary.parent() == path.parent();
        Self {
            temporary,
            path,
            only_there: (!is_near).then_some(tmp),
        }
    }

    /// Gives the name, which nothing has. A temporary one that stays is put among `unlinks`, for the
    /// next checkpoint.
    pub(crate) fn give(&self, disk: &Disk, unlinks: &mut Vec<PathBuf>) -> Result<(), StoreError> {
        let Some(tmp) = &self.only_there else {
            return Ok(disk.rename_new(&self.temporary, &self.path)?);
        };
        match disk.link(&self.temporary, &self.path) {
            Err(error) if copy::cannot_link(&error) => {
                let aside = aside(disk, &self.temporary, tmp)?;
                disk.rename_new(&aside, &self.path)?;
            }
            linked => linked?,
        }
        unlinks.push(self.temporary.clone());
        Ok(())
    }
}

/// A second name in `tmp` for what has the name `temporary` elsewhere, or a copy.
fn aside(disk: &Disk, temporary: &Path, tmp: &Path) -> Result<PathBuf, StoreError> {
    let name = temporary.file_name().unwrap_or_default();
    let mut aside = tmp.join(name);
    if aside == *temporary {
        let mut other = name.to_owned();
        other.push(".copy");
        aside = tmp.join(other);
    }
    // Of an earlier try.
    disk.unlink_if_there(&aside)?;
    copy::link(disk, temporary, &aside)?;
    Ok(aside)
}

/// The temporary names that a message that is too large for the journal may have: in `tmp` of its own
/// mailbox or, written before that was made, of INBOX.
pub(crate) fn find(disk: &Disk, tmps: [&Path; 2], name: &str) -> io::Result<Option<PathBuf>> {
    for tmp in tmps {
        let path = tmp.join(name);
        if disk.kind(&path)?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// As [`NewName::give`] when a journal's changes are done again: over what may be left there.
/// `place` renames to where the message belongs.
pub(crate) fn give_again(
    disk: &Disk,
    (temporary, tmp): (PathBuf, &Path),
    unlinks: &mut Vec<PathBuf>,
    place: impl FnOnce(&Path) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let aside = aside(disk, &temporary, tmp)?;
    place(&aside)?;
    // Two names of one file: then rename(2) does nothing, and this one stays.
    disk.unlink_if_there(&aside)?;
    unlinks.push(temporary);
    Ok(())
}
