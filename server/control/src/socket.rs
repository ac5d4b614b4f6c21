//! Where the socket is, and how to get at it.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

/// Longest path of a Unix socket (`sockaddr_un.sun_path`, with its final zero).
const MAX_PATH: usize = 107;

/// Where the socket is, below the state folder.
pub fn path(state: &Path) -> PathBuf {
    state.join("control.sock")
}

/// Makes the socket, in place of one that an earlier process left behind.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    // Under another name until only its owner may use it.
    let unready = path.with_extension("new");
    for stale in [unready.as_path(), path] {
        match std::fs::remove_file(stale) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = by_short_path(&unready, |path| UnixListener::bind(path))?;
    std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&unready, path)?;
    Ok(listener)
}

/// Calls `work` with a name for `path` that fits a socket's address, however deep it lies.
pub(crate) fn by_short_path<T>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    if path.as_os_str().len() <= MAX_PATH {
        return work(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    work(&short.join(name))
}
