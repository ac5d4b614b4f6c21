//! Thousands of crashes of the whole server, at every kind of call to the kernel, SQLite's own among
//! them, of the process and of the machine; every promise is checked after each.
//!
//! ```text
//! cargo build && cargo run -p facteur-tests --example crash -- [--seconds N | --crashes N | --all]
//!     [--strace | --each-sync] [--kind process|machine|chance] [--seed N] [--steps N]
//!     [--format sdbox|maildir] [--config TOML] [--stop]
//! ```
//!
//! It must run as root: the server (as nobody) lies on a file system of its own, mounted through
//! `/dev/fuse`, which can forget what was not synced. With `--strace` it lies on a real one, and strace
//! kills it at system calls, the process alone.
//!
//! The table at the end says how often each point was struck; one that never was is a failure (with
//! `--strace`, which cannot choose the file: a call that never was), as is every broken promise; after
//! one it starts afresh and goes on, unless told to `--stop`. `--all` makes 30 crashes for each point.
//! The choice of points follows from the seed, not how threads interleave. `FACTEUR_CRASH_TRANSCRIPT`
//! names a file for what clients said and heard before the last broken promise.
//!
//! `--each-sync` proves that the check sees anything: of each kind of sync that the server does, it
//! leaves out all, on a disk that then forgets, until a promise is broken; when none is in `--crashes`
//! (40), that sync is not needed or not checked, and it fails (but for those that it names, with the
//! reason). Before that, as many crashes with all syncs must break none.
#![expect(clippy::expect_used, reason = "what cannot go on says so and ends")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use facteur_tests::{Campaign, Crash, FaultPoint, Setup, require_peer};

struct Arguments {
    seconds: Option<u64>,
    crashes: Option<usize>,
    all: bool,
    stop: bool,
    seed: u64,
    steps: usize,
    traced: bool,
    each_sync: bool,
    kinds: Vec<Crash>,
    setup: Setup,
}

fn arguments() -> Arguments {
    let mut parsed = Arguments {
        seconds: None,
        crashes: None,
        all: false,
        stop: false,
        seed: 1,
        steps: 12,
        traced: false,
        each_sync: false,
        kinds: Vec::new(),
        setup: Setup::new(),
    };
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
                "chance" => Crash::MachineByChance,
                other => panic_hint(other),
            }),
            "--format" => parsed.setup = parsed.setup.format(&value()),
            "--config" => parsed.setup = parsed.setup.sections(&value()),
            "--stop" => parsed.stop = true,
            "--all" => parsed.all = true,
            "--strace" => parsed.traced = true,
            "--each-sync" => parsed.each_sync = true,
            other => panic_hint(other),
        }
    }
    parsed
}

fn panic_hint(what: &str) -> ! {
    eprintln!("{what}? The top of tests/crash/main.rs says what there is.");
    std::process::exit(2);
}

fn start(arguments: &Arguments, place: &Path) -> Campaign {
    let (setup, seed, steps) = (arguments.setup.clone(), arguments.seed, arguments.steps);
    if arguments.traced {
        let strace = require_peer("strace").expect("strace");
        return Campaign::traced(&strace, setup, place, seed, steps);
    }
    let campaign = Campaign::forgetful(setup, place, seed, steps);
    match arguments.kinds.as_slice() {
        [] => campaign,
        kinds => campaign.only(kinds),
    }
}

/// Whether a promise was broken; the panic says which.
fn breaks(campaign: &mut Campaign) -> bool {
    catch_unwind(AssertUnwindSafe(|| campaign.crash())).is_err()
}

fn main() {
    let arguments = arguments();
    // A broken promise is said in a few lines; where in this tool it was noticed does not matter.
    std::panic::set_hook(Box::new(|panic| {
        println!("{}", panic.payload_as_str().unwrap_or("(no reason)"));
    }));
    let place = tempfile::tempdir().expect("a folder");
    let mut campaign = start(&arguments, place.path());
    let is_good = if arguments.each_sync {
        campaign = campaign.only(&[Crash::Machine, Crash::MachineByChance]);
        leave_out_each_sync(&mut campaign, arguments.crashes.unwrap_or(40))
    } else {
        crash(&mut campaign, &arguments)
    };
    // Exiting drops nothing.
    drop(campaign);
    drop(place);
    if !is_good {
        std::process::exit(1);
    }
}

fn crash(campaign: &mut Campaign, arguments: &Arguments) -> bool {
    let started = Instant::now();
    let (budget, goal) = match (arguments.seconds, arguments.crashes) {
        (Some(seconds), crashes) => (Duration::from_secs(seconds), crashes.unwrap_or(usize::MAX)),
        (None, Some(crashes)) => (Duration::MAX, crashes),
        (None, None) if arguments.all => (Duration::MAX, 30 * campaign.points().count()),
        (None, None) => (Duration::from_secs(120), usize::MAX),
    };
    let mut said = Instant::now();
    let mut broken = 0;
    let mut crashes = 0;
    while crashes < goal && started.elapsed() < budget {
        if breaks(campaign) {
            broken += 1;
            if arguments.stop {
                break;
            }
            campaign.start_afresh();
        }
        crashes += 1;
        if said.elapsed() > Duration::from_secs(30) {
            println!("{crashes} crashes in {:.0?}", started.elapsed());
            said = Instant::now();
        }
    }
    println!("{campaign}\nin {:.0?}", started.elapsed());
    println!("crashes after which promises were broken: {broken}");
    let missed = match (arguments.traced, arguments.all) {
        (true, _) => campaign.missed_calls(),
        (false, true) => campaign.missed_by_kind(),
        (false, false) => campaign.missed(),
    };
    if !missed.is_empty() {
        println!("never struck: {}", missed.join(", "));
    }
    broken == 0 && missed.is_empty()
}

/// Syncs that a run need not miss: a name of the journal's is durable by the checkpoint's `syncfs` too,
/// which begins a moment after a segment does. The journal's own tests miss it.
const ELSEWHERE: &[&str] = &["fsync folder journal"];

fn leave_out_each_sync(campaign: &mut Campaign, crashes: usize) -> bool {
    let points = campaign.points().map(|(point, _)| point);
    let syncs: Vec<FaultPoint> = points.filter(FaultPoint::is_sync).collect();
    // Otherwise what comes after would prove nothing.
    println!("== with all of them");
    if (0..crashes).any(|_| breaks(campaign)) {
        return false;
    }
    let mut unseen = Vec::new();
    for sync in syncs {
        println!("== without {sync}");
        campaign.leave_out(&[sync]);
        let broken = (1..=crashes).find(|_| breaks(campaign));
        campaign.leave_out(&[]);
        campaign.start_afresh();
        match broken {
            Some(crash) => println!("   noticed after {crash} crashes"),
            None if ELSEWHERE.contains(&&*sync.to_string()) => println!("   not noticed here"),
            None => unseen.push(sync.to_string()),
        }
    }
    if !unseen.is_empty() {
        println!("nobody missed: {}", unseen.join(", "));
    }
    unseen.is_empty()
}
