//! Files that are there whole or not at all.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Replaces a file's contents in one step; its permissions and owner stay.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    // A link stays a link: what it names is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let known = fs::metadata(&path).ok();
    write_beside(&path, 0o644, |beside| {
        if let Some(known) = &known {
            use std::os::unix::fs::MetadataExt as _;
            fs::set_permissions(beside, known.permissions())?;
            let own = fs::metadata(beside)?;
            if (own.uid(), own.gid()) != (known.uid(), known.gid()) {
                std::os::unix::fs::chown(beside, Some(known.uid()), Some(known.gid()))?;
            }
        }
        fs::OpenOptions::new()
            .write(true)
            .open(beside)?
            .write_all(contents)
    })
}

/// Writes a file that only its owner may read.
pub(crate) fn write_secret(path: &Path, contents: &[u8]) -> io::Result<()> {
    write_beside(path, 0o600, |beside| {
        OpenOptions::new()
            .write(true)
            .open(beside)?
            .write_all(contents)
    })
}

fn write_beside(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = Path::new(&beside);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(beside)?;
    let written = write(beside)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        let _ = fs::remove_file(beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn replaced_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facteur.toml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn secret_file_is_its_owners_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        write_secret(&path, b"key").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
