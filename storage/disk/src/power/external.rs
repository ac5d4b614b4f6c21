//! Files that other libraries write: copied as a whole, a database together with its log.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{External, Recorder};

/// Files by their folder, both seen from the root.
pub(super) type Copies = BTreeMap<PathBuf, BTreeMap<PathBuf, Vec<u8>>>;

/// Tries to copy a folder's files while nobody writes to them.
const TRIES: usize = 20;

pub(super) fn copy(recorder: &Recorder) -> io::Result<Copies> {
    let root = recorder.lock().root.clone();
    let mut copies = Copies::new();
    let mut left = vec![PathBuf::new()];
    while let Some(dir) = left.pop() {
        let (files, dirs) = match list(&root, &dir, recorder.external) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        left.extend(dirs);
        if !files.is_empty() {
            copies.insert(dir, copy_files(&root, &files)?);
        }
    }
    Ok(copies)
}

/// The external files and the folders in `dir`.
fn list(root: &Path, dir: &Path, external: External) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(root.join(dir))? {
        let entry = entry?;
        let path = dir.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            dirs.push(path);
        } else if kind.is_file() && external(&root.join(&path)) {
            files.push(path);
        }
    }
    Ok((files, dirs))
}

/// Copies that belong together: nothing was written to any while they were made, if that is to be
/// had.
fn copy_files(root: &Path, files: &[PathBuf]) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut tries = 0;
    loop {
        let before = stamps(root, files);
        let mut copies = BTreeMap::new();
        for file in files {
            match fs::read(root.join(file)) {
                Ok(bytes) => copies.insert(file.clone(), bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        tries += 1;
        if tries == TRIES || before == stamps(root, files) {
            return Ok(copies);
        }
    }
}

fn stamps(root: &Path, files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |file: &PathBuf| {
        let found = fs::metadata(root.join(file)).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    files.iter().map(stamp).collect()
}
