//! What the server and the machine used.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use facteur_tests::Facteur;

/// Memory of a process, KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    pub(crate) anonymous: u64,
}

pub(crate) fn memory(facteur: &Facteur) -> Memory {
    let path = format!("/proc/{}/smaps_rollup", facteur.pid());
    let text = fs::read_to_string(path).expect("the server's memory");
    let kib = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    Memory {
        rss: kib("Rss:"),
        pss: kib("Pss:"),
        anonymous: kib("Anonymous:"),
    }
}

pub(crate) fn print_memory(facteur: &Facteur, when: &str) -> Memory {
    let memory = memory(facteur);
    let mib = |kib: u64| kib as f64 / 1024.0;
    println!(
        "{:<52} RSS {:.1} MiB, PSS {:.1} MiB, anonymous {:.1} MiB, {} open files",
        format!("memory {when}"),
        mib(memory.rss),
        mib(memory.pss),
        mib(memory.anonymous),
        open_files(facteur),
    );
    memory
}

pub(crate) fn open_files(facteur: &Facteur) -> usize {
    fs::read_dir(format!("/proc/{}/fd", facteur.pid())).map_or(0, Iterator::count)
}

/// CPU time of a process so far: user and system.
pub(crate) fn cpu(facteur: &Facteur) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", facteur.pid())).expect("its times");
    let (_, rest) = stat.rsplit_once(')').expect("its name");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = [11, 12]
        .iter()
        .filter_map(|n| fields[*n].parse::<u64>().ok())
        .sum();
    // USER_HZ is 100 on every Linux there is.
    Duration::from_millis(ticks * 10)
}

/// Flushes of all disks of the machine so far.
pub(crate) fn flushes() -> u64 {
    let stats = fs::read_to_string("/proc/diskstats").unwrap_or_default();
    let disks = stats
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let whole = disks.filter(|fields| {
        let name = fields.get(2).copied().unwrap_or_default();
        fs::exists(format!("/sys/block/{name}")).unwrap_or(false)
    });
    whole
        .filter_map(|fields| fields.get(18)?.parse::<u64>().ok())
        .sum()
}

/// Writes everything out and forgets what files hold.
pub(crate) fn drop_page_cache() {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").expect("the page cache is dropped");
}

/// Prints how long something takes.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    println!("{name:<52} {:>10.1} s", started.elapsed().as_secs_f64());
    result
}

/// Prints the median of `times` runs, and the slowest.
pub(crate) fn median(name: &str, times: usize, mut work: impl FnMut(usize)) {
    let mut all: Vec<Duration> = (0..times)
        .map(|n| {
            let started = Instant::now();
            work(n);
            started.elapsed()
        })
        .collect();
    all.sort_unstable();
    print_times(name, &all);
}

/// Prints the median of sorted times, and the last.
pub(crate) fn print_times(name: &str, sorted: &[Duration]) {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let last = sorted.last().copied().unwrap_or_default();
    println!(
        "{name:<52} {:>10.2} ms  (slowest of {}: {:.2})",
        ms(median),
        sorted.len(),
        ms(last)
    );
}

/// Disk space that a folder uses, MiB, shared files once.
pub(crate) fn disk_use(path: &std::path::Path) -> u64 {
    let output = Command::new("du")
        .args(["-sm"])
        .arg(path)
        .output()
        .expect("du");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}
