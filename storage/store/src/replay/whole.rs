//! Whether a file is as it was written.
//!
//! The process's end alone takes nothing from a file. What can is a file system that fails and is
//! mounted anew while the machine runs on: all that was not synced is gone, and no other boot says so.

use std::{cell::Cell, io, path::Path};

use facteur_disk::{Disk, DiskFile};

/// Bytes compared at once.
const BLOCK: usize = 64 * 1024;

/// Whether a file has these bytes at `offset`.
pub(crate) fn has(file: &DiskFile, mut offset: u64, parts: &[&[u8]]) -> io::Result<bool> {
    let mut block = vec![0; BLOCK];
    for part in parts {
        for expected in part.chunks(BLOCK) {
            let Some(found) = block.get_mut(..expected.len()) else {
                return Ok(false);
            };
            match file.read_exact_at(found, offset) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                read => read?,
            }
            if found != expected {
                return Ok(false);
            }
            offset += expected.len() as u64;
        }
    }
    Ok(true)
}

/// Whether a file is as the one that it was linked to, or copied from; also when that is gone.
pub(crate) fn is_like(disk: &Disk, copy: &Path, original: &Path) -> io::Result<bool> {
    let known = match disk.identity(original) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        known => known?,
    };
    if known == disk.identity(copy)? {
        return Ok(true);
    }
    let (copy, original) = (disk.open(copy)?, disk.open(original)?);
    let size = original.size()?;
    if copy.size()? != size {
        return Ok(false);
    }
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < size {
        let length = usize::try_from(size - at).map_or(BLOCK, |left| left.min(BLOCK));
        let expected = block.get_mut(..length).unwrap_or_default();
        original.read_exact_at(expected, at)?;
        if !has(&copy, at, &[expected])? {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

/// How many bytes these are.
pub(crate) fn size(parts: &[&[u8]]) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}

/// A file is not as it was written: from now on all are written anew.
pub(crate) fn doubt(rewrite: &Cell<bool>, path: &Path) {
    if !rewrite.replace(true) {
        tracing::error!(path = %path.display(), "file is not as it was written: its file system has lost what was not synced; all that the journal has is written anew");
    }
}
