//! A file system that forgets what was not synced.
//!
//! It lies in memory and is mounted through `/dev/fuse`, by root. It keeps what is durable apart from
//! what programs see, and strikes at a chosen call: the server is killed there, before the call does
//! anything, and [`Forgetful::cut`] then shows the disk as after a power loss.
//!
//! The kernel forwards `syncfs(2)` only for file systems that say they lie on a block device (fuseblk,
//! Linux 6.18 and later), so that is what this one says; [`Forgetful::hears_syncfs`] tells whether it
//! works here. A loop device stands in for the block device; nothing is read from it or written to it.

mod image;
mod serve;
mod wire;

pub use image::{Image, Loss};

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
};

use crate::fault::{FaultCounts, FaultPoint, class_of};

/// A mounted file system; unmounted when dropped.
pub struct Forgetful {
    place: PathBuf,
    device: LoopDevice,
    mounted: Option<Mounted>,
    deaf: Vec<FaultPoint>,
}

struct Mounted {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// Where to strike: at the `nth` time (from 1) that `point` is met.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    /// The point.
    pub point: FaultPoint,
    /// The how manieth time.
    pub nth: usize,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    image: Image,
    counts: FaultCounts,
    strike: Option<(Strike, Option<Pid>)>,
    /// Syncs that are not done.
    deaf: Vec<FaultPoint>,
    /// How every change is answered, if none is to be made.
    refusal: Option<Errno>,
    /// Whether nothing is answered any more.
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when everything is over.
    fn answer(&self, request: &mut wire::Request<'_>) -> Option<Result<wire::Reply, Errno>> {
        let mut state = self.lock();
        if state.over {
            return None;
        }
        if let Some((call, path)) = serve::change(&state.image, request) {
            let point = FaultPoint {
                call,
                class: class_of(&path),
            };
            if let Some(errno) = state.refusal {
                return Some(Err(errno));
            }
            if state.deaf.contains(&point) {
                return Some(Ok(wire::Reply::default()));
            }
            let count = state.counts.entry(point).or_insert(0);
            *count += 1;
            let count = *count;
            if let Some((strike, pid)) = state.strike
                && strike.point == point
                && strike.nth == count
            {
                if let Some(pid) = pid {
                    // It has this death waiting when its call returns with an error.
                    let _ = kill_process(pid, Signal::KILL);
                }
                state.over = true;
                return None;
            }
        }
        Some(serve::perform(&mut state.image, request))
    }
}

/// Whether this machine can mount one that hears of `syncfs(2)`; otherwise as
/// [`crate::require_peer`].
///
/// # Panics
/// In CI, when it cannot.
pub fn require_forgetful() -> bool {
    if !crate::require_root("mounting") {
        return false;
    }
    let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let is_known = std::fs::read_to_string("/proc/filesystems");
    if fuse.is_err() || !is_known.is_ok_and(|names| names.contains("fuseblk")) {
        crate::peer::missing("/dev/fuse with fuseblk");
        return false;
    }
    let place = tempfile::tempdir().expect("a folder");
    let hears = Forgetful::mount(place.path(), Image::new(0)).hears_syncfs();
    if !hears {
        crate::peer::missing("a kernel that tells FUSE of syncfs (Linux 6.18)");
    }
    hears
}

impl Forgetful {
    /// Mounts `image` at `place`, a folder.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount(place: &Path, image: Image) -> Self {
        let mut this = Self {
            place: place.to_owned(),
            device: LoopDevice::new(),
            mounted: None,
            deaf: Vec::new(),
        };
        this.serve(image);
        this
    }

    fn serve(&mut self, image: Image) {
        let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let fuse = fuse.expect("/dev/fuse");
        let status = Command::new("mount")
            .args(["-i", "-n", "-t", "fuseblk", "-o"])
            .arg("fd=0,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions")
            .arg(&self.device.path)
            .arg(&self.place)
            .stdin(Stdio::from(fuse.try_clone().expect("its descriptor")))
            .status()
            .expect("mount");
        assert!(status.success(), "the file system is not mounted");
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                image,
                counts: FaultCounts::new(),
                strike: None,
                deaf: self.deaf.clone(),
                refusal: None,
                over: false,
            }),
        });
        let theirs = Arc::clone(&shared);
        let server = std::thread::spawn(move || serve::serve(&fuse, &theirs));
        self.mounted = Some(Mounted { shared, server });
    }

    fn shared(&self) -> &Shared {
        &self.mounted.as_ref().expect("it is mounted").shared
    }

    /// Kills process `pid` when `strike` is met from here on.
    ///
    /// # Panics
    /// When there can be no such process.
    pub fn strike(&self, strike: Strike, pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        self.set_strike(strike, Some(pid.expect("a process")));
    }

    /// As [`Forgetful::strike`], of a process that is not there yet: from the strike on it gets nothing
    /// but errors, and somebody has to kill it.
    pub fn strike_whoever_calls(&self, strike: Strike) {
        self.set_strike(strike, None);
    }

    fn set_strike(&self, strike: Strike, pid: Option<Pid>) {
        let mut state = self.shared().lock();
        state.counts.clear();
        state.strike = Some((strike, pid));
    }

    /// From here on a sync of one of these points says that it was done, and nothing is: for the proof
    /// that it is needed.
    pub fn leave_out(&mut self, syncs: &[FaultPoint]) {
        syncs.clone_into(&mut self.deaf);
        syncs.clone_into(&mut self.shared().lock().deaf);
    }

    /// From here on every change fails like this, syncs too: `EIO` of a disk that is broken, `EROFS`
    /// of one that the kernel has given up writing to. What is there can be read. `None` ends it.
    pub fn refuse_changes(&self, with: Option<Errno>) {
        self.shared().lock().refusal = with;
    }

    /// Forgets how often each point was met, and whether one was to be struck.
    pub fn reset(&self) {
        let mut state = self.shared().lock();
        state.counts.clear();
        state.strike = None;
    }

    /// How often each point was met since [`Forgetful::strike`] or [`Forgetful::reset`].
    pub fn counts(&self) -> FaultCounts {
        self.shared().lock().counts.clone()
    }

    /// Whether the strike was met.
    pub fn has_struck(&self) -> bool {
        self.shared().lock().over
    }

    /// From here on nothing changes and nothing is answered: the moment of a power loss.
    pub fn freeze(&self) {
        self.shared().lock().over = true;
    }

    /// Unmounts, and mounts what `loss` leaves. Nobody may be using it.
    ///
    /// # Panics
    /// When somebody does.
    pub fn cut(&mut self, loss: Loss) {
        let image = self.unmount().after(loss);
        self.serve(image);
    }

    /// Takes away what is mounted and mounts `image` instead. Nobody may be using it.
    ///
    /// # Panics
    /// When somebody does.
    pub fn replace(&mut self, image: Image) {
        self.unmount();
        self.serve(image);
    }

    /// What is there now, as programs see it.
    pub fn image(&self) -> Image {
        self.shared().lock().image.clone().after(Loss::Nothing)
    }

    /// Whether the kernel lets us know of `syncfs(2)`.
    ///
    /// # Panics
    /// When the folder cannot be opened.
    pub fn hears_syncfs(&self) -> bool {
        let count = || {
            let counts = self.counts();
            let of = counts.iter().filter(|(point, _)| point.call == "syncfs");
            of.map(|(_, count)| count).sum::<usize>()
        };
        let before = count();
        let folder = File::open(&self.place).expect("the folder");
        rustix::fs::syncfs(&folder).expect("syncfs");
        count() > before
    }

    fn unmount(&mut self) -> Image {
        let mounted = self.mounted.take().expect("it is mounted");
        // Unmounting syncs, which nobody asked for.
        let image = {
            let mut state = mounted.shared.lock();
            state.over = true;
            std::mem::replace(&mut state.image, Image::new(0))
        };
        let done = Command::new("umount")
            .args(["-i", "-n"])
            .arg(&self.place)
            .status();
        assert!(done.expect("umount").success(), "it is in use");
        mounted.server.join().expect("it has served");
        image
    }
}

impl Drop for Forgetful {
    fn drop(&mut self) {
        if let Some(mounted) = self.mounted.take() {
            mounted.shared.lock().over = true;
            let mut command = Command::new("umount");
            let _ = command.args(["-i", "-n", "-l"]).arg(&self.place).status();
        }
    }
}

/// A block device, for its name.
struct LoopDevice {
    path: PathBuf,
    _file: tempfile::NamedTempFile,
}

impl LoopDevice {
    fn new() -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file for the loop device");
        file.as_file().set_len(1 << 20).expect("its size");
        let output = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(file.path())
            .output()
            .expect("losetup");
        assert!(output.status.success(), "no loop device: {output:?}");
        let path = String::from_utf8_lossy(&output.stdout);
        Self {
            path: PathBuf::from(path.trim()),
            _file: file,
        }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let mut command = Command::new("losetup");
        let _ = command.arg("--detach").arg(&self.path).status();
    }
}
