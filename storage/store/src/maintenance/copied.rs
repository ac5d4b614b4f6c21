//! A copy of an index: what takes long is done with that, and nobody waits for it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_disk::Disk;
use facteur_index::Index;

use crate::{shared::Shared, slot::index_path};

/// A copy of an account's index as it was at one moment, with its log; it is removed when dropped.
pub(super) struct Copy<'a> {
    disk: &'a Disk,
    path: PathBuf,
}

impl<'a> Copy<'a> {
    /// While nobody writes to it.
    pub(super) fn of(shared: &'a Arc<Shared>, home: &Path) -> io::Result<Self> {
        let disk = &shared.disk;
        let copy = Self {
            disk,
            path: Disk::temporary_path(home),
        };
        for suffix in ["", "-wal"] {
            let [from, to] = [&index_path(home), &copy.path].map(|path| {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                PathBuf::from(name)
            });
            if disk.kind(&from)?.is_some() {
                let from = disk.open(&from)?;
                let mut to = disk.create_new(&to)?;
                to.copy_range(&from, 0, from.size()?)?;
            }
        }
        Ok(copy)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        // The account's next opening after an unclean end removes what is left.
        let _ = Index::remove(self.disk, &self.path);
    }
}
