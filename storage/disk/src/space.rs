//! How much room there is.

use std::{io, path::Path};

use crate::Disk;

impl Disk {
    /// Octets that may still be written to the file system of `path`, by those who are not root.
    ///
    /// # Errors
    /// As `statvfs(3)`.
    pub fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}
