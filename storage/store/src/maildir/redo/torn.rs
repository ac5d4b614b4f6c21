//! Whether a file of a Maildir is as it was written, as far as that can be told.

use std::{io, os::unix::ffi::OsStrExt as _, path::Path};

use facteur_compression::Method;
use facteur_disk::Disk;
use facteur_maildir::FileName;

use crate::replay::whole;

/// The sizes that the name of a file says, if it says both.
pub(super) fn sizes_of(path: &Path) -> Option<(u64, u64)> {
    let name = FileName::parse(path.file_name()?.as_bytes())?;
    name.size().zip(name.virtual_size())
}

/// As [`whole::is_like`], where another program may just have renamed either.
pub(super) fn is_like(disk: &Disk, copy: &Path, original: &Path) -> io::Result<bool> {
    match whole::is_like(disk, copy, original) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        known => known,
    }
}

/// Whether a file is the message with these bytes. Of a compressed one only how it begins is known.
pub(super) fn is_whole(disk: &Disk, path: &Path, parts: &[&[u8]]) -> io::Result<bool> {
    let file = match disk.open(path) {
        // Another program has just given it another name.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        opened => opened?,
    };
    if file.size()? == whole::size(parts) {
        return whole::has(&file, 0, parts);
    }
    Ok(Method::detect(&file.read_begin(Method::MAGIC_LEN)?).is_some())
}
