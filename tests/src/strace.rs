//! strace beside a running server: what it asks of the kernel, or its death at a certain call.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// strace, attached to a process and all its threads.
pub struct Strace {
    child: Child,
    output: PathBuf,
}

impl Strace {
    /// Attaches `program` (from [`crate::require_peer`]) and waits until it is attached. It writes
    /// into `output`, with the paths of descriptors.
    ///
    /// # Panics
    /// When it cannot attach.
    pub fn attach(program: &Path, pid: u32, output: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(["-f", "-y", "-s", "80", "-o"])
            .arg(output)
            .args(arguments)
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace starts");
        let stderr = child.stderr.take().expect("what it says");
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens once it is attached.
                let _ = say.send(line);
            }
        });
        let first = said.recv_timeout(PATIENCE).expect("strace says something");
        assert!(first.contains("attached"), "{first}");
        Self {
            child,
            output: output.to_owned(),
        }
    }

    /// Detaches; returns what was written.
    ///
    /// # Panics
    /// When it does not end.
    pub fn finish(mut self) -> String {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        self.wait();
        String::from_utf8_lossy(&fs::read(&self.output).expect("the trace")).into_owned()
    }

    pub(crate) fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("its end").is_none() {
            assert!(Instant::now() < deadline, "strace does not end");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
