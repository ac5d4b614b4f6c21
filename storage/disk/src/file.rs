//! Open files.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Disk, about,
    power::{Log, SyncOf},
};

/// An open file. Reads and writes advance its own position unless they name an offset.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    disk: Disk,
    /// Which file it is to a recorder.
    id: Option<usize>,
    /// How it was opened, for faults.
    path: Option<Arc<Path>>,
}

impl Disk {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// As `open(2)`; a symbolic link is followed.
    pub fn open(&self, path: &Path) -> io::Result<DiskFile> {
        self.point_at("open", path)?;
        self.wrap(path, || File::open(path), |log| log.opened(path))
    }

    /// Opens a file that exists for reading and writing.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn open_to_change(&self, path: &Path) -> io::Result<DiskFile> {
        self.point_at("open", path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        self.wrap(path, || options.open(path), |log| log.opened(path))
    }

    /// Makes a file that must not exist, for reading and writing, readable by its owner only.
    ///
    /// # Errors
    /// As `open(2)`, [`io::ErrorKind::AlreadyExists`] among them.
    pub fn create_new(&self, path: &Path) -> io::Result<DiskFile> {
        self.point_at("create", path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        self.wrap(path, || options.open(path), |log| log.made_file(path))
    }

    /// Opens a file for appending, making it when it is missing.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn append(&self, path: &Path) -> io::Result<DiskFile> {
        self.point_at("open", path)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        self.wrap(path, || options.open(path), |log| log.opened_or_made(path))
    }

    /// A file without a name in the folder `dir`: it goes when it is closed.
    ///
    /// # Errors
    /// As `open(2)` with `O_TMPFILE`; file systems without it get a named file that is unlinked.
    pub fn anonymous(&self, dir: &Path) -> io::Result<DiskFile> {
        use rustix::fs::{Mode, OFlags};
        self.point_at("create", dir)?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => self.wrap(dir, || Ok(File::from(fd)), |_| None),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
                let path = dir.join(format!("anonymous.{}", crate::names::unique()));
                let file = self.create_new(&path)?;
                self.unlink(&path)?;
                Ok(file)
            }
            Err(errno) => Err(about(dir)(errno.into())),
        }
    }

    /// A file's whole content.
    ///
    /// # Errors
    /// As `open(2)` and `read(2)`.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut file = self.open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(about(path))?;
        Ok(bytes)
    }

    fn wrap(
        &self,
        path: &Path,
        open: impl FnOnce() -> io::Result<File>,
        id: impl FnOnce(&mut Log) -> Option<usize>,
    ) -> io::Result<DiskFile> {
        let opened = match &self.recorder {
            None => open().map(|file| (file, None)),
            Some(recorder) => recorder.opening(open, id),
        };
        let (file, id) = opened.map_err(about(path))?;
        Ok(DiskFile {
            file,
            disk: self.clone(),
            id,
            path: self.faults.is_some().then(|| path.into()),
        })
    }
}

impl DiskFile {
    #[inline]
    fn point(&self, name: &'static str) -> io::Result<()> {
        let struck = self.disk.strike(name, self.path.as_deref());
        struck.map_err(|strike| strike.error)
    }

    /// Length in bytes.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Last modification, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn modified(&self) -> io::Result<i64> {
        use std::os::unix::fs::MetadataExt;
        Ok(self.file.metadata()?.mtime())
    }

    /// Sets the last modification, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// As `futimens(2)`.
    pub fn set_modified(&self, unix: i64) -> io::Result<()> {
        self.point("set_modified")?;
        let distance = Duration::from_secs(unix.unsigned_abs());
        let time = if unix < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        self.disk.recorded(
            || (self.file).set_modified(time.unwrap_or(SystemTime::UNIX_EPOCH)),
            |log, ()| log.dated(self.id, unix),
        )
    }

    /// Makes its content and size durable: `fdatasync(2)`.
    ///
    /// # Errors
    /// After one, what was written before may be lost: never try again on the same file.
    pub fn sync_data(&self) -> io::Result<()> {
        self.point("sync_data")?;
        if self
            .disk
            .sync_recorded("sync_data", self.path.as_deref(), SyncOf::Data(self.id))?
        {
            return Ok(());
        }
        self.file.sync_data()
    }

    /// Makes its content and all its attributes durable: `fsync(2)`.
    ///
    /// # Errors
    /// After one, what was written before may be lost: never try again on the same file.
    pub fn sync_all(&self) -> io::Result<()> {
        self.point("sync_all")?;
        if self
            .disk
            .sync_recorded("sync_all", self.path.as_deref(), SyncOf::File(self.id))?
        {
            return Ok(());
        }
        self.file.sync_all()
    }

    /// Cuts or extends it.
    ///
    /// # Errors
    /// As `ftruncate(2)`.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.point("truncate")?;
        self.disk.recorded(
            || self.file.set_len(size),
            |log, ()| log.cut_to(self.id, size),
        )
    }

    /// Reads up to `bytes.len()` bytes at `offset`.
    ///
    /// # Errors
    /// As `pread(2)`.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.point("read")?;
        loop {
            match self.file.read_at(bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Reads its first bytes, up to `most`, with one call.
    ///
    /// # Errors
    /// As `pread(2)`.
    pub fn read_begin(&self, most: usize) -> io::Result<Vec<u8>> {
        self.point("read")?;
        let mut bytes = Vec::with_capacity(most);
        loop {
            match rustix::io::pread(&self.file, rustix::buffer::spare_capacity(&mut bytes), 0) {
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => return Ok(bytes),
            }
        }
    }

    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// As `pread(2)`; [`io::ErrorKind::UnexpectedEof`] when the file is shorter.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.point("read")?;
        self.file.read_exact_at(bytes, offset)
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As `pwrite(2)`.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.strike_write(bytes, Some(offset))?;
        self.disk.recorded(
            || self.file.write_all_at(bytes, offset),
            |log, ()| log.wrote(self.id, offset, bytes),
        )
    }

    /// Appends `size` bytes of `from`, beginning at `offset` there, at this file's position, without
    /// bringing them into the process where the file system can.
    ///
    /// # Errors
    /// As `copy_file_range(2)`; [`io::ErrorKind::UnexpectedEof`] when `from` is shorter.
    pub fn copy_range(&mut self, from: &DiskFile, offset: u64, size: u64) -> io::Result<()> {
        self.point("copy")?;
        if self.id.is_some() {
            return self.copy_by_hand(from, offset, size);
        }
        let (mut at, mut left) = (offset, size);
        while left > 0 {
            let most = usize::try_from(left.min(1 << 30)).unwrap_or(1 << 30);
            let copied =
                rustix::fs::copy_file_range(&from.file, Some(&mut at), &self.file, None, most);
            match copied {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => left = left.saturating_sub(n as u64),
                Err(rustix::io::Errno::INTR) => {}
                Err(
                    rustix::io::Errno::XDEV
                    | rustix::io::Errno::INVAL
                    | rustix::io::Errno::NOSYS
                    | rustix::io::Errno::OPNOTSUPP,
                ) => return self.copy_by_hand(from, at, left),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn copy_by_hand(&mut self, from: &DiskFile, mut at: u64, mut left: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let most = usize::try_from(left).map_or(buffer.len(), |n| n.min(buffer.len()));
            let space = buffer.get_mut(..most).unwrap_or_default();
            let n = from.read_at(space, at)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut rest = space.get(..n).unwrap_or_default();
            while !rest.is_empty() {
                let written = self.write_here(rest)?;
                rest = rest.get(written..).unwrap_or_default();
            }
            at += n as u64;
            left -= n as u64;
        }
        Ok(())
    }

    /// Says that the first `length` bytes are read soon: the disk fetches them meanwhile.
    pub fn will_need(&self, length: u64) {
        // 0 would mean all of the file. Advice that is not taken costs nothing but time.
        if let Some(length) = std::num::NonZeroU64::new(length) {
            let _ = rustix::fs::fadvise(&self.file, 0, Some(length), rustix::fs::Advice::WillNeed);
        }
    }

    /// The plain file, for readers that send or map it.
    pub fn into_file(self) -> File {
        self.file
    }

    /// The plain file, for readers that map it.
    pub fn as_file(&self) -> &File {
        &self.file
    }

    /// Writes at its own position (or the end, if it was opened for appending).
    fn write_here(&self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.recorded(
            || (&self.file).write(bytes),
            |log, written| {
                // For appending, only now the position is known.
                if let Ok(end) = (&self.file).stream_position() {
                    let bytes = bytes.get(..*written).unwrap_or_default();
                    log.wrote(self.id, end.saturating_sub(*written as u64), bytes);
                }
            },
        )
    }

    /// Meets a fault before writing `bytes`; a kill may leave half of them.
    fn strike_write(&self, bytes: &[u8], offset: Option<u64>) -> io::Result<()> {
        let Err(strike) = self.disk.strike("write", self.path.as_deref()) else {
            return Ok(());
        };
        if strike.died {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            let _ = match offset {
                Some(offset) => self.file.write_all_at(half, offset),
                None => (&self.file).write_all(half),
            };
        }
        Err(strike.error)
    }
}

impl Read for DiskFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.point("read")?;
        self.file.read(bytes)
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.strike_write(bytes, None)?;
        self.write_here(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let first = slices.first().map(|slice| &**slice).unwrap_or_default();
        self.strike_write(first, None)?;
        if self.id.is_some() {
            return self.write_here(first);
        }
        self.file.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
