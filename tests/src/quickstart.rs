//! A quickstart of the real binary.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{binary, give_away, unprivileged};

/// Standard ports that are listened on.
const PORTS: [u16; 9] = [25, 587, 465, 24, 143, 993, 110, 995, 4190];

/// A running quickstart; killed when dropped.
pub struct Quickstart {
    folder: TempDir,
    port_base: u16,
    child: Option<Child>,
    printed: Vec<String>,
}

impl Quickstart {
    /// Starts one in an empty folder and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("facteur-quickstart-")
            .tempdir()
            .expect("a folder");
        give_away(folder.path());
        let mut this = Self {
            folder,
            port_base: free_port_base(),
            child: None,
            printed: Vec::new(),
        };
        this.restart();
        this
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it still runs");
        let binary = File::open(binary()).expect("the binary");
        let mut child = unprivileged(&binary)
            .current_dir(self.folder.path())
            .arg("quickstart")
            .arg("--port-base")
            .arg(self.port_base.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("facteur starts");
        let stdout = child.stdout.take().expect("its standard output");
        self.child = Some(child);
        self.printed.clear();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let last = line.contains("Stop with Ctrl-C");
            self.printed.push(line);
            if last {
                return;
            }
        }
        panic!("the quickstart ended: {:?}", self.printed);
    }

    /// Where it was started; its data are in `facteur-data` there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What each standard port is added to.
    pub fn port_base(&self) -> u16 {
        self.port_base
    }

    /// What it printed.
    pub fn printed(&self) -> &[String] {
        &self.printed
    }

    /// quickstart.json
    ///
    /// # Panics
    /// When it is missing or no JSON.
    pub fn report(&self) -> Value {
        let path = self.folder.path().join("facteur-data/quickstart.json");
        let text = fs::read_to_string(path).expect("quickstart.json");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Presses Ctrl-C and waits.
    ///
    /// # Panics
    /// When it does not end with success.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("a running quickstart");
        kill_process(Pid::from_child(&child), Signal::INT).expect("the signal is sent");
        assert!(child.wait().expect("it ends").success());
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A base with every port free now. Another process may take one before the server does, but no other
/// quickstart of the tests: no two of [`PORTS`] differ by a multiple of 100. The range lies below the
/// ports that systems give away by themselves.
fn free_port_base() -> u16 {
    let start = u16::try_from(std::process::id() % 180).unwrap_or_default();
    (start..180)
        .chain(0..start)
        .map(|n| 10_000 + n * 100)
        .find(|base| {
            PORTS
                .iter()
                .all(|port| TcpListener::bind(("127.0.0.1", base + port)).is_ok())
        })
        .expect("free ports")
}
