//! A server of the real binary.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Imap, PATIENCE, Pop3, Setup, Smtp};

/// Whom the server runs as when the tests run as root: Debian's `nobody`.
const UNPRIVILEGED: u32 = 65534;

/// A running server; killed when dropped.
pub struct Facteur {
    folder: TempDir,
    data: PathBuf,
    child: Option<Child>,
    log: Arc<Log>,
    addresses: BTreeMap<String, SocketAddr>,
    as_root: bool,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// The built binary: `FACTEUR_BINARY`, or the one beside the test's own.
///
/// # Panics
/// When it was not built.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("FACTEUR_BINARY").map_or_else(
        || {
            let own = std::env::current_exe().expect("the test's own path");
            let deps = own.parent().expect("target/…/deps");
            deps.parent().expect("target/…").join("facteur")
        },
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is not built: run `cargo build` first",
        path.display()
    );
    path
}

/// A command of the binary. It may lie where another user cannot go, so it is run by its open file.
pub(crate) fn as_we_are(binary: &File) -> Command {
    let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
    command
        .arg0("facteur")
        .env_remove("FACTEUR_CONFIG")
        .env_remove("NOTIFY_SOCKET");
    command
}

/// The same, and never as root.
pub(crate) fn unprivileged(binary: &File) -> Command {
    let mut command = as_we_are(binary);
    drop_root(&mut command);
    command
}

/// Has a command run as the server does: not as root.
pub(crate) fn drop_root(command: &mut Command) {
    if rustix::process::geteuid().is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
}

/// Gives a folder to whoever the server runs as.
pub(crate) fn give_away(path: &Path) {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED))
            .expect("the folder is given away");
    }
}

impl Facteur {
    pub(crate) fn start(setup: &Setup, as_root: bool) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("facteur-test-")
            .tempdir()
            .expect("a folder for the server");
        let data = setup.data.clone().unwrap_or_else(|| {
            let data = folder.path().join("data");
            fs::create_dir(&data).expect("the data folder");
            data
        });
        give_away(folder.path());
        give_away(&data);
        let mut this = Self {
            folder,
            data: data.clone(),
            child: None,
            log: Arc::default(),
            addresses: BTreeMap::new(),
            as_root,
        };
        setup.write(&this.config(), &data);
        give_away(&this.config());
        let in_database = !setup.users_in_a_file;
        for domain in setup.domains.iter().filter(|_| in_database) {
            this.must(&["domain", "add", domain], "");
        }
        for (address, password) in setup.accounts.iter().filter(|_| in_database) {
            this.must(&["account", "add", address], password);
        }
        this.run();
        this
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("facteur.toml")
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// A folder that goes with the server, for what a test needs beside it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate that the server made.
    pub fn certificate(&self) -> PathBuf {
        self.data().join("certificate.pem")
    }

    /// Where a listener is, by its name.
    ///
    /// # Panics
    /// When there is none.
    pub fn address(&self, listener: &str) -> SocketAddr {
        *self
            .addresses
            .get(listener)
            .unwrap_or_else(|| panic!("no listener {listener}\n{}", self.log()))
    }

    /// The server's process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// Runs `facteur` with this server's configuration and `input` on its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn cli(&self, arguments: &[&str], input: &str) -> Output {
        self.cli_of(&self.config(), arguments, input)
    }

    /// As [`Facteur::cli`], with another configuration.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn cli_of(&self, config: &Path, arguments: &[&str], input: &str) -> Output {
        let binary = File::open(binary()).expect("the binary");
        let mut child = unprivileged(&binary)
            .arg("--config")
            .arg(config)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("facteur starts");
        let mut stdin = child.stdin.take().expect("its standard input");
        // It may end without reading.
        let _ = writeln!(stdin, "{input}");
        drop(stdin);
        child.wait_with_output().expect("facteur ends")
    }

    /// As [`Facteur::cli`], and it must succeed; returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn must(&self, arguments: &[&str], input: &str) -> String {
        let output = self.cli(arguments, input);
        assert!(
            output.status.success(),
            "facteur {arguments:?} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts the process and waits until it is ready.
    fn run(&mut self) {
        self.spawn();
        self.wait_log("ready");
        self.addresses = self.listening();
    }

    fn spawn(&mut self) {
        let binary = File::open(binary()).expect("the binary");
        let mut command = if self.as_root {
            as_we_are(&binary)
        } else {
            unprivileged(&binary)
        };
        let mut child = command
            .arg("--config")
            .arg(self.config())
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("facteur starts");
        let stderr = child.stderr.take().expect("its log");
        self.log = Arc::default();
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                log.more.notify_all();
            }
            // Whoever waits sees that nothing more comes.
            let mut lines = log.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push("(end of the log)".to_owned());
            log.more.notify_all();
        });
        self.child = Some(child);
    }

    /// What the log says of listeners, the last of each name.
    fn listening(&self) -> BTreeMap<String, SocketAddr> {
        let lines = self
            .log
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|entry| entry["message"] == "listening")
            .filter_map(|entry| {
                let address = entry["address"].as_str()?.parse().ok()?;
                Some((entry["listener"].as_str()?.to_owned(), address))
            })
            .collect()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        let lines = self
            .log
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lines.join("\n")
    }

    /// Waits for a log entry with this message and returns it.
    ///
    /// # Panics
    /// When it does not come.
    pub fn wait_log(&self, message: &str) -> Value {
        self.wait_log_where(message, |entry| entry["message"] == message)
    }

    /// Waits for a log entry that fits; `what` is for the panic.
    ///
    /// # Panics
    /// When it does not come.
    pub fn wait_log_where(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = 0;
        let mut lines = self
            .log
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            for line in lines.iter().skip(seen) {
                if let Ok(entry) = serde_json::from_str::<Value>(line)
                    && fits(&entry)
                {
                    return entry;
                }
            }
            seen = lines.len();
            let ended = lines.last().is_some_and(|line| line == "(end of the log)");
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !ended && !left.is_zero(),
                "no log entry for {what:?}:\n{}",
                lines.join("\n")
            );
            lines = self
                .log
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Sends SIGHUP and waits until the reload is over; whether it was accepted.
    ///
    /// # Panics
    /// When nothing comes of it.
    pub fn reload(&mut self) -> bool {
        let before = self.count_reloads();
        self.signal(Signal::HUP);
        let deadline = Instant::now() + PATIENCE;
        while self.count_reloads() == before {
            assert!(Instant::now() < deadline, "no reload:\n{}", self.log());
            self.log_changed(deadline);
        }
        self.addresses = self.listening();
        let lines = self
            .log
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = lines.iter().rev().find(|line| is_reload(line));
        last.is_some_and(|line| line.contains("configuration reloaded"))
    }

    fn count_reloads(&self) -> usize {
        let lines = self
            .log
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| is_reload(line)).count()
    }

    fn log_changed(&self, deadline: Instant) {
        let lines = self
            .log
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let tick = left.min(std::time::Duration::from_millis(100));
        drop(self.log.more.wait_timeout(lines, tick));
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the server does not run.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().expect("a running server"));
        kill_process(pid, signal).expect("the signal is sent");
    }

    /// Stops it as systemd does, and waits; how it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Kills it without warning, as a power cut would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Whether it was started and its end was not waited for yet.
    pub fn is_there(&self) -> bool {
        self.child.is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running server");
        let descriptor = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let descriptor = descriptor.expect("it can be waited for");
        let mut ended = [PollFd::new(&descriptor, PollFlags::IN)];
        let patience = PATIENCE.try_into().expect("a time");
        if poll(&mut ended, Some(&patience)).expect("it is waited for") == 0 {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server does not end:\n{}", self.log());
        }
        child.wait().expect("it has ended")
    }

    /// Starts it again after [`Facteur::stop`] or [`Facteur::kill`], on new ports.
    ///
    /// # Panics
    /// When it still runs, or does not start.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "the server still runs");
        self.run();
    }

    /// As [`Facteur::restart`], of a server that may not get so far: until it is ready, has ended, or
    /// `is_over`. Whether it is ready; in any case it is there to be killed.
    ///
    /// # Panics
    /// When it still runs, or none of it happens.
    pub fn restart_unless(&mut self, is_over: impl Fn() -> bool) -> bool {
        assert!(self.child.is_none(), "the server still runs");
        self.spawn();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if log.contains("\"ready\"") {
                return true;
            }
            if is_over() || log.ends_with("(end of the log)") {
                return false;
            }
            assert!(Instant::now() < deadline, "it does not start:\n{log}");
            self.log_changed(deadline);
        }
    }

    /// An SMTP client that has read the greeting.
    pub fn smtp(&self, listener: &str) -> Smtp {
        Smtp::connect(self.address(listener))
    }

    /// An IMAP client that is logged in.
    pub fn imap(&self, address: &str, password: &str) -> Imap {
        let mut imap = Imap::connect(self.address("imap"));
        imap.login(address, password);
        imap
    }

    /// An IMAP client that is logged in through TLS.
    pub fn imap_tls(&self, address: &str, password: &str) -> Imap {
        let mut imap = Imap::connect_tls(self.address("imaps"), &self.certificate());
        imap.login(address, password);
        imap
    }

    /// A POP3 client that is logged in.
    pub fn pop3(&self, address: &str, password: &str) -> Pop3 {
        let mut pop3 = Pop3::connect(self.address("pop3"));
        pop3.login(address, password);
        pop3
    }
}

fn is_reload(line: &str) -> bool {
    line.contains("configuration reloaded") || line.contains("configuration refused")
}

impl Drop for Facteur {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!("the server's log:\n{}", self.log());
            }
        }
    }
}
