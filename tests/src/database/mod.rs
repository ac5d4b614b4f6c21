//! Private database servers and PostfixAdmin's schema.
//!
//! Each server has a temporary folder and a Unix socket in it, and ends with the test. What a test
//! needs and the machine lacks is [`Missing`].

mod mariadb;
mod postfixadmin;
mod postgres;

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

pub use mariadb::MariaDb;
pub use postfixadmin::{Database, PostfixAdmin};
pub use postgres::Postgres;

/// A program or package that is not on this machine.
#[derive(Debug)]
pub struct Missing(pub String);

/// The peer. Without it a test is skipped or, in CI, fails, as with [`require_peer`].
///
/// [`require_peer`]: crate::require_peer
///
/// # Panics
/// In CI, when it is missing.
pub fn require<T>(peer: Result<T, Missing>) -> Option<T> {
    match peer {
        Ok(peer) => Some(peer),
        Err(Missing(what)) => {
            crate::peer::missing(&what);
            None
        }
    }
}

/// Where a program is: on the path, or where Debian keeps it.
fn program(name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = Vec::new();
    // Before the path: there may be a wrapper of the same name.
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<PathBuf> = versions.flatten().map(|v| v.path()).collect();
        versions.sort();
        folders.extend(versions.into_iter().rev().map(|v| v.join("bin")));
    }
    folders.extend(std::env::split_paths(&path));
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| Missing(name.to_owned()))
}

/// Whom a server runs as: its own user when we are root (PostgreSQL refuses root), otherwise us.
#[derive(Debug, Clone, Copy)]
struct Owner(Option<(u32, u32)>);

impl Owner {
    fn of(user: &str) -> Result<Self, Missing> {
        use std::os::unix::fs::MetadataExt as _;
        let us = fs::metadata("/proc/self").expect("Linux").uid();
        if us != 0 {
            return Ok(Self(None));
        }
        let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let entry = users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&user))
                .then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))
                .flatten()
        });
        match entry {
            Some(ids) => Ok(Self(Some(ids))),
            None => Err(Missing(format!("the user {user}"))),
        }
    }

    /// A folder of its own that only it needs to write.
    fn folder(self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        if let Some((uid, gid)) = self.0 {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).expect("chown");
        }
        folder
    }

    fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).current_dir("/");
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// A server that ends with the test.
struct Server(Child);

impl Server {
    /// Starts it and waits until `ready` says that it answers.
    fn start(mut command: Command, log: &Path, ready: impl Fn() -> bool) -> Self {
        let output = fs::File::create(log).expect("a log file");
        command
            .stdout(output.try_clone().expect("dup"))
            .stderr(output);
        let mut server = Self(command.spawn().expect("the server starts"));
        let end = Instant::now() + Duration::from_secs(60);
        while !ready() {
            let ended = server.0.try_wait().expect("wait");
            assert!(
                ended.is_none() && Instant::now() < end,
                "the server does not come up: {ended:?}\n{}",
                fs::read_to_string(log).unwrap_or_default()
            );
            // Nothing to wait on: the server tells nobody when it is ready.
            thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

impl Server {
    /// Ends it as Ctrl-C does.
    fn interrupt(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::INT).expect("the signal is sent");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end.
fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        Ok(text)
    } else {
        Err(io::Error::other(format!(
            "{command:?}: {}\n{text}",
            output.status
        )))
    }
}
