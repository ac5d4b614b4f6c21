//! Reading what the kernel has in memory, without waiting for any disk.

use std::{io::IoSliceMut, path::Path};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::ReadWriteFlags,
};

use crate::Disk;

impl Disk {
    /// The first `most` bytes of a file, or all that it has; `None` when the disk would have to be
    /// waited for, the kernel or the file system cannot tell, or there is nothing to be read: that
    /// says nothing, [`Disk::open`] does. Callers that must not block may ask.
    pub fn read_at_hand(&self, path: &Path, most: usize) -> Option<Vec<u8>> {
        self.point("read_at_hand").ok()?;
        // What lies there may be a pipe, on which an open waits for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED);
        let file = file.ok()?;
        let mut bytes = vec![0; most];
        let space = &mut [IoSliceMut::new(&mut bytes)];
        let read = rustix::io::preadv2(&file, space, 0, ReadWriteFlags::NOWAIT).ok()?;
        // Less may be the end of the file, or of what is in memory.
        let whole =
            read == most || rustix::fs::fstat(&file).ok()?.st_size == i64::try_from(read).ok()?;
        bytes.truncate(read);
        whole.then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether what was just written there is known to be told from what is not in memory.
    fn can_tell(dir: &Path) -> bool {
        const EXT4: u64 = 0xef53;
        const XFS: u64 = 0x5846_5342;
        const BTRFS: u64 = 0x9123_683e;
        let found = rustix::fs::statfs(dir).unwrap();
        u64::try_from(found.f_type).is_ok_and(|kind| [EXT4, XFS, BTRFS].contains(&kind))
    }

    #[test]
    fn what_is_in_memory_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let disk = Disk::real();
        std::fs::write(&path, b"some bytes").unwrap();
        for (most, expected) in [(100, "some bytes"), (10, "some bytes"), (4, "some")] {
            match disk.read_at_hand(&path, most) {
                Some(read) => assert_eq!(read, expected.as_bytes()),
                None => assert!(!can_tell(dir.path()), "{most}"),
            }
        }
    }

    #[test]
    fn what_is_not_there_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(disk.read_at_hand(&pipe, 10), None);
        assert_eq!(disk.read_at_hand(&dir.path().join("none"), 10), None);
        assert_eq!(disk.read_at_hand(dir.path(), 10), None);
    }
}
