//! Files under construction that somebody left who was killed.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use facteur_disk::{Disk, EntryKind};

use crate::{StoreError, folders};

/// Removes files under construction, and in the home mailboxes that were being deleted.
pub(super) fn remove_temporary(
    disk: &Disk,
    dir: &Path,
    going: &HashSet<PathBuf>,
) -> Result<(), StoreError> {
    for (path, kind) in temporary(disk, dir, going)? {
        match kind {
            EntryKind::Dir if folders::is_grave(&path) => {}
            EntryKind::Dir => disk.remove_dir_all(&path)?,
            _ => disk.unlink(&path)?,
        }
    }
    Ok(())
}

/// The same, but for folders: beside a mailbox's messages they are mailboxes.
pub(super) fn remove_temporary_files(
    disk: &Disk,
    dir: &Path,
    going: &HashSet<PathBuf>,
) -> Result<(), StoreError> {
    let found = temporary(disk, dir, going)?;
    for (path, _) in found.iter().filter(|(_, kind)| *kind == EntryKind::File) {
        disk.unlink(path)?;
    }
    Ok(())
}

fn temporary(
    disk: &Disk,
    dir: &Path,
    going: &HashSet<PathBuf>,
) -> Result<Vec<(PathBuf, EntryKind)>, StoreError> {
    let entries = match disk.read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let temporary = entries
        .into_iter()
        .filter(|entry| {
            let name = entry.name.to_str();
            name.is_some_and(facteur_sdbox::Layout::is_temporary)
        })
        .map(|entry| (dir.join(&entry.name), entry.kind));
    // What waits for a checkpoint may still be needed.
    Ok(temporary
        .filter(|(path, _)| !going.contains(path))
        .collect())
}
