//! Being told what happens in folders, `inotify(7)`, instead of asking again and again.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fs::{
        inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
        statfs,
    },
    io::Errno,
};

use crate::Disk;

/// Room for a few hundred events.
const BUFFER: usize = 16 * 1024;

/// File systems on which other machines (or, below FUSE, anybody) may change what the kernel here hears
/// nothing of: NFS, CIFS, SMB 1 and 2, FUSE, 9P, Ceph, AFS, Coda, Lustre, GFS2, OCFS2, GPFS.
const REMOTE: [u64; 13] = [
    0x6969,
    0xff53_4d42,
    0x517b,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x7375_7245,
    0x0bd0_0bd0,
    0x0116_1970,
    0x7461_636f,
    0x4750_4653,
];

/// Folders that are watched.
#[derive(Debug)]
pub struct Notify {
    inotify: OwnedFd,
    wake: OwnedFd,
}

/// A watched folder's number. It is not given again for many years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WatchId(i32);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened<'a> {
    /// A name came to be in the folder: made, linked, or moved there.
    Appeared(&'a [u8]),
    /// A name is in the folder no more.
    Gone(&'a [u8]),
    /// The folder is not watched any more: it is gone.
    Ended,
}

impl Notify {
    /// Of no folder.
    ///
    /// # Errors
    /// When the user has as many as the system lets one have (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Watches a folder. One that is watched already has its number again.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when the user watches as many as the system lets one watch
    /// (`fs.inotify.max_user_watches`); [`io::ErrorKind::Unsupported`] where changes may come from
    /// another machine.
    pub fn add(&self, disk: &Disk, folder: &Path) -> io::Result<WatchId> {
        disk.point("watch")?;
        let file_system = u64::try_from(statfs(folder)?.f_type).unwrap_or_default();
        if REMOTE.contains(&(file_system & 0xffff_ffff)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        let id = inotify::add_watch(&self.inotify, folder, names | WatchFlags::ONLYDIR)?;
        Ok(WatchId(id))
    }

    /// Ends it.
    pub fn remove(&self, id: WatchId) {
        // It may be gone by itself.
        let _ = inotify::remove_watch(&self.inotify, id.0);
    }

    /// Calls `see` with what happened since. Says whether some of it was lost, because nobody asked for
    /// too long.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn read(&self, mut see: impl FnMut(WatchId, Happened<'_>)) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut lost = false;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(lost),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let kind = event.events();
            lost |= kind.contains(ReadFlags::QUEUE_OVERFLOW);
            let name = event.file_name().map_or(&[][..], std::ffi::CStr::to_bytes);
            let happened = if kind.contains(ReadFlags::IGNORED) {
                Happened::Ended
            } else if kind.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                Happened::Appeared(name)
            } else if kind.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                Happened::Gone(name)
            } else {
                continue;
            };
            see(WatchId(event.wd()), happened);
        }
    }

    /// Waits until something happens, somebody calls [`Self::wake`], or the time is over.
    ///
    /// # Errors
    /// As `poll(2)`.
    pub fn wait(&self, time: Option<Duration>) -> io::Result<()> {
        let time = time.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        let mut fds = [
            PollFd::from_borrowed_fd(self.inotify.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut count = [0; 8];
        match rustix::io::read(&self.wake, &mut count) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the wait of whoever waits.
    pub fn wake(&self) {
        // It fails only when it has been called 2^64 times: whoever waits is awake.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_that_come_and_go_are_told_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["a", "b"] {
            fs::create_dir(path(folder)).unwrap();
        }
        let notify = Notify::new().unwrap();
        let disk = Disk::real();
        let (a, b) = (
            notify.add(&disk, &path("a")).unwrap(),
            notify.add(&disk, &path("b")).unwrap(),
        );
        assert_eq!(notify.add(&disk, &path("a")).unwrap(), a);
        fs::write(path("a/1"), "x").unwrap();
        fs::rename(path("a/1"), path("b/2")).unwrap();
        fs::hard_link(path("b/2"), path("b/3")).unwrap();
        fs::remove_file(path("b/2")).unwrap();
        notify.wait(None).unwrap();
        let mut seen = Vec::new();
        let lost = notify.read(|id, happened| {
            seen.push(match happened {
                Happened::Appeared(name) => (id, '+', name.to_vec()),
                Happened::Gone(name) => (id, '-', name.to_vec()),
                Happened::Ended => (id, '.', Vec::new()),
            });
        });
        assert!(!lost.unwrap());
        let one = |id, what, name: &str| (id, what, name.as_bytes().to_vec());
        assert_eq!(
            seen,
            [
                one(a, '+', "1"),
                one(a, '-', "1"),
                one(b, '+', "2"),
                one(b, '+', "3"),
                one(b, '-', "2"),
            ]
        );
        notify.remove(a);
        fs::write(path("a/1"), "x").unwrap();
        fs::remove_dir_all(path("b")).unwrap();
        let mut ended = Vec::new();
        notify
            .read(|id, happened| {
                if happened == Happened::Ended {
                    ended.push(id);
                } else {
                    assert_eq!(id, b);
                }
            })
            .unwrap();
        assert_eq!(ended, [a, b]);
    }

    #[test]
    fn a_wait_ends_when_somebody_says_so() {
        let notify = Notify::new().unwrap();
        notify.wake();
        notify.wait(None).unwrap();
        notify.wait(Some(Duration::ZERO)).unwrap();
        let missing = notify.add(&Disk::real(), Path::new("/nonexistent"));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_nobody_asks_for_is_lost_and_said_to_be() {
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let most: usize = most.trim().parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let notify = Notify::new().unwrap();
        notify.add(&Disk::real(), dir.path()).unwrap();
        let paths = [dir.path().join("a"), dir.path().join("b")];
        fs::write(&paths[0], "").unwrap();
        // Two events each.
        for at in 0..=most / 2 {
            fs::rename(&paths[at % 2], &paths[(at + 1) % 2]).unwrap();
        }
        assert!(notify.read(|_, _| {}).unwrap());
        assert!(!notify.read(|_, _| {}).unwrap());
    }
}
