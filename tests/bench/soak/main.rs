//! A soak: mixed load for 20 minutes, with a ledger of every message.
//!
//! ```text
//! cargo build --release && FACTEUR_BINARY=target/release/facteur \
//!     cargo run -p facteur-tests --example soak -- [--seconds N] [--every N] [--seed N]
//!     [--format sdbox|maildir] [--config TOML]
//! ```
//!
//! Deliveries by SMTP and LMTP to 20 accounts; clients of IMAP that append, flag, copy, move, expunge,
//! make, rename, remove and subscribe to folders, and keep what there is about level; others in IDLE;
//! POP3 sessions; scripts stored; SIGHUP with every sample. It fails at the first error reply, at a
//! message that is not where it must be at the end, and when memory or open files have grown: the
//! median of the last quarter against that of the second. A checkpoint is made every three seconds.
//! `--config` adds sections to the configuration.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what cannot go on says so and ends"
)]

use std::time::Duration;

use facteur_tests::{Sample, Setup, soak};

fn main() {
    let (mut seconds, mut every, mut seed, mut setup) = (1200, 10, 1, Setup::new());
    // Not as shipped: checkpoints come in the middle of everything.
    setup = setup.storage("checkpoint_interval = \"3s\"");
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().expect("a value");
        let number = || value.parse().expect("a number");
        match name.as_str() {
            "--seconds" => seconds = number(),
            "--every" => every = number(),
            "--seed" => seed = number(),
            "--config" => setup = setup.sections(&value),
            "--format" => setup = setup.format(&value),
            _ => {
                eprintln!("{name}? The top of tests/bench/soak/main.rs says what there is.");
                std::process::exit(2);
            }
        }
    }
    let length = Duration::from_secs(seconds);
    let soaked = soak(setup, seed, length, Duration::from_secs(every));
    println!(
        "{:>7} {:>10} {:>14} {:>6} {:>9} {:>10}",
        "s", "PSS KiB", "anonymous KiB", "files", "messages", "answered"
    );
    for sample in &soaked.samples {
        println!(
            "{:>7} {:>10} {:>14} {:>6} {:>9} {:>10}",
            sample.at.as_secs(),
            sample.pss,
            sample.anonymous,
            sample.open_files,
            sample.messages,
            sample.answered
        );
    }
    for (what, count) in &soaked.done {
        println!("{what:<28} {count:>10}");
    }
    println!("{:<28} {:>10}", "messages at the end", soaked.messages);
    let mut grown = false;
    grown |= summary("PSS, KiB", &soaked.samples, |sample| sample.pss, 8192);
    grown |= summary(
        "anonymous, KiB",
        &soaked.samples,
        |sample| sample.anonymous,
        8192,
    );
    grown |= summary(
        "open files",
        &soaked.samples,
        |sample| sample.open_files as u64,
        32,
    );
    summary(
        "messages",
        &soaked.samples,
        |sample| sample.messages as u64,
        0,
    );
    if grown {
        println!("it has grown");
        std::process::exit(1);
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Prints first, last, median and slope; whether the last quarter is higher than the second by more
/// than a fifth and `slack`.
fn summary(name: &str, samples: &[Sample], of: impl Fn(&Sample) -> u64, slack: u64) -> bool {
    let values: Vec<u64> = samples.iter().map(&of).collect();
    let quarter = values.len() / 4;
    // The slope of the second half, least squares: the first one fills caches.
    let half = &samples[samples.len() / 2..];
    let points: Vec<(f64, f64)> = half
        .iter()
        .map(|sample| (sample.at.as_secs_f64() / 60.0, of(sample) as f64))
        .collect();
    let count = points.len().max(1) as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let (x, y) = (x / count, y / count);
    let (over, under) = points.iter().fold((0.0, 0.0), |sum, point| {
        let (dx, dy) = (point.0 - x, point.1 - y);
        (sum.0 + dx * dy, sum.1 + dx * dx)
    });
    let slope = if under > 0.0 { over / under } else { 0.0 };
    println!(
        "{name:<16} first {:>8}, last {:>8}, median {:>8}, slope of the second half {slope:>9.1} a minute",
        values.first().copied().unwrap_or(0),
        values.last().copied().unwrap_or(0),
        median(values.clone()),
    );
    if quarter == 0 {
        return false;
    }
    let before = median(values[quarter..2 * quarter].to_vec());
    let after = median(values[values.len() - quarter..].to_vec());
    after > before + before / 5 + slack
}
