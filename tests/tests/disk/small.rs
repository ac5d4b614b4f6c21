//! A file system that is small.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use facteur_tests::{is_ci, require_root};
use tempfile::TempDir;

/// Whom the server runs as.
const UNPRIVILEGED: u32 = 65534;

/// A small file system; unmounted when dropped.
pub(crate) struct Small {
    place: PathBuf,
    _folder: Option<TempDir>,
}

pub(crate) fn run(program: &str, arguments: &[&str], last: &Path) -> bool {
    let status = Command::new(program).args(arguments).arg(last).status();
    status.is_ok_and(|status| status.success())
}

impl Small {
    /// One of its own for the server's user; `None` where that is not allowed.
    pub(crate) fn new(size: &str) -> Option<Self> {
        if !require_root("mounting a small file system") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = folder.path().join("disk");
        fs::create_dir(&place).unwrap();
        let mounted = mount(&place, size, UNPRIVILEGED, UNPRIVILEGED);
        mounted.then(|| Self {
            place,
            _folder: Some(folder),
        })
    }

    /// Mounts it and moves the folder's files onto it; `None` where that is not allowed.
    pub(crate) fn over(folder: &Path, size: &str) -> Option<Self> {
        if !require_root("mounting a small file system") {
            return None;
        }
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).unwrap();
        fs::create_dir(folder).unwrap();
        let owner = fs::metadata(&aside).unwrap();
        let mounted = mount(folder, size, owner.uid(), owner.gid());
        let small = mounted.then(|| Self {
            place: folder.to_owned(),
            _folder: None,
        });
        let from = aside.join(".");
        assert!(run("cp", &["-a", &from.to_string_lossy()], folder));
        std::os::unix::fs::chown(folder, Some(owner.uid()), Some(owner.gid())).unwrap();
        small
    }

    pub(crate) fn path(&self) -> &Path {
        &self.place
    }

    fn ballast(&self) -> PathBuf {
        self.place.join("ballast")
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let mut ballast = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.ballast())
            .unwrap();
        for size in [64 * 1024, 4096, 1] {
            let block = vec![0; size];
            while ballast.write(&block).is_ok_and(|written| written > 0) {}
        }
    }

    /// Gives it back.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// Mounts it again in another way: `ro`, `rw`. Refused while a file is open for writing.
    pub(crate) fn remount(&self, how: &str) -> bool {
        run("mount", &["-o", &format!("remount,{how}")], &self.place)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.place);
    }
}

fn mount(place: &Path, size: &str, uid: u32, gid: u32) -> bool {
    let options = format!("size={size},mode=0700,uid={uid},gid={gid}");
    let mounted = run(
        "mount",
        &["-t", "tmpfs", "-o", &options, "facteur-test"],
        place,
    );
    assert!(mounted || !is_ci(), "no file system can be mounted here");
    if !mounted {
        eprintln!("skipped: no file system can be mounted here");
    }
    mounted
}
