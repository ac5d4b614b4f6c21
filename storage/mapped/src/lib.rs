//! A file seen as a slice of memory, read-only: for code that wants a whole message as one slice
//! and must not hold it in memory of its own.
//!
//! Map only files that nobody else can write to or truncate, such as the store's staging files,
//! which have no name: reading past the end of a file that shrank is a signal, not an error.

use std::{ffi::c_void, fmt, fs::File, io, ptr, slice, sync::Arc};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The first bytes of a file. Clones share the mapping, which goes with the last of them; the file
/// may be closed before.
#[derive(Clone)]
pub struct Mapped {
    region: Arc<Region>,
}

struct Region {
    /// Where it begins; dangling when it is empty.
    start: *mut c_void,
    len: usize,
}

#[expect(unsafe_code, reason = "a region is plain memory that nobody writes to")]
// SAFETY: the memory is mapped read-only and private until `drop`, which needs the only owner; any
// thread may read it and any may unmap it.
unsafe impl Send for Region {}

#[expect(unsafe_code, reason = "a region is plain memory that nobody writes to")]
// SAFETY: as for `Send`; a shared region only hands out shared slices.
unsafe impl Sync for Region {}

impl Mapped {
    /// Maps the first `len` bytes of `file`, which must have as many.
    ///
    /// # Errors
    /// When the file is shorter, or cannot be mapped.
    pub fn new(file: &File, len: u64) -> io::Result<Self> {
        if file.metadata()?.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let start = match len {
            // POSIX has no empty mapping.
            0 => ptr::NonNull::dangling().as_ptr(),
            #[expect(unsafe_code, reason = "there is no safe way to map a file")]
            // SAFETY: the address is the kernel's to choose, so that no memory in use is replaced.
            len => unsafe {
                mmap(
                    ptr::null_mut(),
                    len,
                    ProtFlags::READ,
                    MapFlags::PRIVATE,
                    file,
                    0,
                )?
            },
        };
        Ok(Self {
            region: Arc::new(Region { start, len }),
        })
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        let region = &*self.region;
        #[expect(unsafe_code, reason = "the mapping is only an address and a length")]
        // SAFETY: `len` bytes from `start` are mapped readable until the region is dropped, which
        // the borrow of `self` prevents; a dangling start goes with a length of 0. Nobody writes to
        // the file (the crate's contract).
        unsafe {
            slice::from_raw_parts(region.start.cast::<u8>(), region.len)
        }
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped")
            .field("len", &self.region.len)
            .finish()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.len > 0 {
            #[expect(unsafe_code, reason = "there is no safe way to unmap")]
            // SAFETY: `new` mapped exactly this region, and no slice of it outlives its owner.
            let _cannot_fail = unsafe { munmap(self.start, self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn mapping_outlives_the_file_and_moves_between_threads() {
        let bytes = b"line\r\n".repeat(10_000);
        let mapped = {
            let file = file(&bytes);
            Mapped::new(&file, bytes.len() as u64).unwrap()
        };
        let clone = mapped.clone();
        let thread = std::thread::spawn(move || clone.as_ref().to_vec());
        assert_eq!(thread.join().unwrap(), bytes);
        assert_eq!(mapped.as_ref(), bytes);
    }

    #[test]
    fn part_of_a_file_and_nothing_of_it_can_be_mapped() {
        let file = file(b"abc");
        assert_eq!(Mapped::new(&file, 2).unwrap().as_ref(), b"ab");
        assert!(Mapped::new(&file, 0).unwrap().as_ref().is_empty());
    }

    #[test]
    fn more_than_the_file_has_is_refused() {
        let error = Mapped::new(&file(b"abc"), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
