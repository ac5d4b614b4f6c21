//! Memory is bounded: large messages stream through, and a client that waits costs little. These
//! are figures of memory, not of time: they hold on any machine.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

mod idle;
mod large;

use std::fs;

/// A figure of `/proc/PID/FILE` in bytes.
fn figure(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.unwrap().split_whitespace().next().unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}
