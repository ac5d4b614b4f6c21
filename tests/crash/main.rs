//! Thousands of crashes of the whole server, at every kind of call to the kernel, SQLite's own among
//! them, of the process and of the machine; every promise is checked after each.
//!
//! ```text
//! cargo build && cargo run -p facteur-tests --example crash -- [--seconds N | --crashes N | --all]
//!     [--kind process|machine|chance] [--seed N] [--steps N] [--config TOML]
//! ```
//!
//! It must run as root: the server (as nobody) lies on a file system of its own, mounted through
//! `/dev/fuse`, which can forget what was not synced. The table at the end says how often each point
//! was struck; one that never was is a failure, as is every broken promise. `--all` goes on until each
//! point was struck at least 30 times. With the seed the choice of points follows, not how threads
//! interleave. `--config 'mail_fsync = "never"'`-like settings must make it fail: that is how one
//! knows that it sees anything.
#![expect(clippy::expect_used, reason = "what cannot go on says so and ends")]

use std::time::{Duration, Instant};

use facteur_tests::{Campaign, Crash};

struct Arguments {
    seconds: Option<u64>,
    crashes: Option<usize>,
    seed: u64,
    steps: usize,
    kinds: Vec<Crash>,
    sections: String,
}

fn arguments() -> Arguments {
    let mut parsed = Arguments {
        seconds: None,
        crashes: None,
        seed: 1,
        steps: 24,
        kinds: Vec::new(),
        sections: String::new(),
    };
    let mut all = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().expect("a value");
        match name.as_str() {
            "--seconds" => parsed.seconds = Some(value().parse().expect("a number")),
            "--crashes" => parsed.crashes = Some(value().parse().expect("a number")),
            "--seed" => parsed.seed = value().parse().expect("a number"),
            "--steps" => parsed.steps = value().parse().expect("a number"),
            "--kind" => parsed.kinds.push(match value().as_str() {
                "process" => Crash::Process,
                "machine" => Crash::Machine,
                _ => Crash::MachineByChance,
            }),
            "--config" => parsed.sections.push_str(&value()),
            "--all" => all = true,
            _ => {
                eprintln!("{name}? The top of tests/crash/main.rs says what there is.");
                std::process::exit(2);
            }
        }
    }
    if !all && parsed.crashes.is_none() && parsed.seconds.is_none() {
        parsed.seconds = Some(120);
    }
    parsed
}

fn main() {
    let arguments = arguments();
    let place = tempfile::tempdir().expect("a folder");
    let started = Instant::now();
    let mut campaign = Campaign::new(
        place.path(),
        &arguments.sections,
        arguments.seed,
        arguments.steps,
    );
    if !arguments.kinds.is_empty() {
        campaign = campaign.only(&arguments.kinds);
    }
    let budget = arguments.seconds.map(Duration::from_secs);
    let goal = arguments.crashes.unwrap_or(if budget.is_some() {
        usize::MAX
    } else {
        30 * campaign.points().count()
    });
    let mut said = Instant::now();
    for crash in 0..goal {
        if budget.is_some_and(|budget| started.elapsed() >= budget) {
            break;
        }
        campaign.crash();
        if said.elapsed() > Duration::from_secs(30) {
            println!("{} crashes in {:?}", crash + 1, started.elapsed());
            said = Instant::now();
        }
    }
    println!("{campaign}\n{:?}", started.elapsed());
    let missed = campaign.missed();
    drop(campaign);
    if !missed.is_empty() {
        println!("never struck:");
        for point in missed {
            println!("  {point}");
        }
        std::process::exit(1);
    }
}
