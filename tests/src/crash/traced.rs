//! A real disk, and strace, which kills the server at a system call: after all that came before it,
//! and before it does anything itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use super::ground::Ground;
use crate::{FaultCounts, FaultPoint, Loss, Strace, Strike, fault::class_of};

/// System calls that change a disk.
const CALLS: [&str; 24] = [
    "openat",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "fsync",
    "fdatasync",
    "syncfs",
    "sync_file_range",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "unlink",
    "unlinkat",
    "mkdir",
    "rmdir",
    "ftruncate",
    "fallocate",
    "utimensat",
    "copy_file_range",
];

/// A folder of a real file system.
pub(crate) struct TracedGround {
    strace: PathBuf,
    data: PathBuf,
    beside: tempfile::TempDir,
    running: Option<Strace>,
    /// For each point, the how manieth call of that name of its thread it was: strace counts calls
    /// by thread.
    plan: BTreeMap<FaultPoint, Vec<usize>>,
    armed: Option<(&'static str, usize)>,
}

impl TracedGround {
    /// `data` is the server's folder.
    pub(crate) fn new(strace: &Path, data: &Path) -> Self {
        Self {
            strace: strace.to_owned(),
            data: data.to_owned(),
            beside: tempfile::tempdir().expect("a folder"),
            running: None,
            plan: BTreeMap::new(),
            armed: None,
        }
    }

    fn attach(&mut self, pid: u32, arguments: &[&str]) {
        let output = self.beside.path().join("trace");
        self.running = Some(Strace::attach(&self.strace, pid, &output, arguments));
    }

    /// The points of a trace: name of the call, how manieth of its thread, and on what.
    fn read(&self, trace: &str) -> Vec<(FaultPoint, usize)> {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut points = Vec::new();
        for line in trace.lines() {
            let Some((thread, text)) = line.split_once(' ') else {
                continue;
            };
            let Some((name, arguments)) = text.trim_start().split_once('(') else {
                continue;
            };
            let Some(call) = CALLS.iter().find(|call| **call == name) else {
                continue;
            };
            let count = counts.entry((thread, name)).or_insert(0);
            *count += 1;
            let changes = name != "openat" || arguments.contains("O_CREAT");
            if let Some(class) = self.class(name, arguments).filter(|_| changes) {
                points.push((FaultPoint { call, class }, *count));
            }
        }
        points
    }

    /// On what kind of file of the server's data a call works, if on any.
    fn class(&self, name: &str, arguments: &str) -> Option<&'static str> {
        let root = self.data.to_str()?;
        let paths: Vec<&str> = arguments
            .match_indices(root)
            .filter_map(|(at, _)| arguments.get(at + root.len()..)?.split(['"', '>']).next())
            .collect();
        let is_to =
            name.starts_with("rename") || name.starts_with("link") || name == "copy_file_range";
        let path = if is_to { paths.last() } else { paths.first() };
        let path = path?.trim_start_matches('/');
        Some(if name == "syncfs" {
            "everything"
        } else {
            class_of(Path::new(path))
        })
    }

    fn saved(&self) -> PathBuf {
        self.beside.path().join("saved")
    }

    /// Copies a folder, owners and links and all.
    fn copy(from: &Path, to: &Path) {
        let done = Command::new("cp")
            .args(["-a", "-T"])
            .args([from, to])
            .status();
        assert!(
            done.expect("cp").success(),
            "{} is not copied",
            from.display()
        );
    }
}

impl Ground for TracedGround {
    fn rehearse(&mut self, pid: u32) {
        if pid == 0 {
            // strace attaches to what is there.
            return;
        }
        let calls: Vec<String> = CALLS.iter().map(|call| format!("?{call}")).collect();
        self.attach(pid, &[&format!("--trace={}", calls.join(","))]);
    }

    fn counts(&mut self) -> FaultCounts {
        let Some(strace) = self.running.take() else {
            return FaultCounts::new();
        };
        let trace = strace.finish();
        let mut counts = FaultCounts::new();
        self.plan.clear();
        for (point, nth) in self.read(&trace) {
            *counts.entry(point).or_insert(0) += 1;
            self.plan.entry(point).or_default().push(nth);
        }
        counts
    }

    fn strike(&mut self, strike: Strike, pid: u32) {
        let plan = self.plan.get(&strike.point);
        let nth = plan.and_then(|plan| plan.get(strike.nth - 1)).copied();
        let (call, nth) = (strike.point.call, nth.unwrap_or(1));
        self.armed = Some((call, nth));
        let (trace, inject) = (
            format!("--trace={call}"),
            format!("--inject={call}:signal=SIGKILL:when={nth}"),
        );
        self.attach(pid, &[&trace, &inject]);
    }

    fn strike_next(&mut self, _strike: Strike) -> bool {
        false
    }

    /// Which call it was may differ from the one that was wanted: threads take turns as they like.
    fn struck(&mut self, dead: bool) -> Option<FaultPoint> {
        let (call, nth) = self.armed.take()?;
        let mut strace = self.running.take()?;
        if dead {
            strace.wait();
        }
        let trace = strace.finish();
        let points = self.read(&trace);
        let hit = points.iter().rev().find(|(_, count)| *count == nth);
        let elsewhere = FaultPoint {
            call,
            class: "outside the data",
        };
        match hit {
            Some((point, _)) => Some(*point),
            None if dead => Some(elsewhere),
            None => None,
        }
    }

    fn lose(&mut self, loss: Loss) {
        assert_eq!(loss, Loss::Nothing, "a real disk keeps what was written");
    }

    fn save(&mut self) {
        Self::copy(&self.data, &self.saved());
    }

    fn restore(&mut self) {
        // The folder itself belongs to the server's user and stays.
        for entry in std::fs::read_dir(&self.data).expect("the data").flatten() {
            let path = entry.path();
            let gone = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            gone.expect("it goes");
        }
        Self::copy(&self.saved(), &self.data);
    }
}
