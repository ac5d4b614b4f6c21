//! Crash after crash.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::{
    check::check,
    client::{note, transcript},
    ledger::{Doubt, Ledger},
    text::vacation,
    work::{ALICE, BOB, CAROL, End, FILING, Places, Work},
};
use crate::{
    Facteur, FaultCounts, FaultPoint, Forgetful, Image, Loss, Random, Setup, Strike,
    activate_script,
};

/// What crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crash {
    /// The process: what it wrote stays.
    Process,
    /// The machine: what was not synced is gone.
    Machine,
    /// The machine: what was not synced is there or not, page by page.
    MachineByChance,
}

impl Crash {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Process, Self::Machine, Self::MachineByChance];
}

/// After so many crashes it starts afresh: mailboxes grow.
const CRASHES_IN_A_ROW: usize = 12;

/// A server on a disk that forgets, and what it has promised.
pub struct Campaign {
    // The server goes before the disk that it lies on.
    facteur: Facteur,
    disk: Forgetful,
    fresh: (Image, Ledger),
    ledger: Ledger,
    random: Random,
    steps: usize,
    kinds: Vec<Crash>,
    in_a_row: usize,
    /// How often each point is met in one run without a crash, and while the server starts.
    met: [FaultCounts; 2],
    struck: BTreeMap<FaultPoint, BTreeMap<Crash, usize>>,
    not_struck: usize,
    while_starting: usize,
}

impl Campaign {
    /// Starts the server with its disk mounted at `place`; each client does `steps` things in a run.
    /// `sections` are added to the configuration.
    ///
    /// # Panics
    /// When something does not work before there was any crash.
    pub fn new(place: &Path, sections: &str, seed: u64, steps: usize) -> Self {
        let disk = Forgetful::mount(place, Image::new(0));
        assert!(disk.hears_syncfs(), "FUSE needs syncfs (Linux 6.18)");
        let mut ledger = Ledger::default();
        let mut facteur = prepare(place, sections, &mut ledger);
        facteur.stop();
        let mut this = Self {
            facteur,
            fresh: (disk.image(), ledger.clone()),
            disk,
            ledger,
            random: Random::new(seed),
            steps,
            kinds: Crash::ALL.to_vec(),
            in_a_row: 0,
            met: [FaultCounts::new(), FaultCounts::new()],
            struck: BTreeMap::new(),
            not_struck: 0,
            while_starting: 0,
        };
        this.rehearse();
        this
    }

    /// Only crashes of these kinds.
    #[must_use]
    pub fn only(mut self, kinds: &[Crash]) -> Self {
        self.kinds = kinds.to_vec();
        self
    }

    /// A run without a crash tells which points there are.
    fn rehearse(&mut self) {
        self.disk.reset();
        self.facteur.restart();
        assert!(
            self.work(),
            "the server died by itself: {}",
            self.facteur.log()
        );
        self.met[0] = self.disk.counts();
        self.facteur.kill();
        self.disk.reset();
        self.facteur.restart();
        self.met[1] = self.disk.counts();
        check(&self.facteur, &mut self.ledger, None);
    }

    fn work(&mut self) -> bool {
        let ledger = Mutex::new(std::mem::take(&mut self.ledger));
        let work = Work {
            ledger: &ledger,
            places: Places::of(&self.facteur),
            seed: self.random.next_number(),
            end: End::Steps(self.steps),
        };
        let done = work.run();
        self.ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        done
    }

    /// The points that were met without a crash.
    pub fn points(&self) -> impl Iterator<Item = (FaultPoint, usize)> {
        self.met[0].iter().map(|(point, count)| (*point, *count))
    }

    /// Crashes once, at the point that was struck least, and checks every promise.
    ///
    /// # Panics
    /// When one was broken.
    pub fn crash(&mut self) {
        let done: usize = self.struck.values().flat_map(BTreeMap::values).sum();
        let crash = self.kinds[(done + self.not_struck) % self.kinds.len()];
        let times = |point: &FaultPoint| self.struck.get(point).map_or(0, |by| by.values().sum());
        let least: usize = self.met[0].keys().map(times).min().unwrap_or(0);
        let candidates: Vec<_> = self
            .points()
            .filter(|(point, _)| times(point) == least)
            .collect();
        let (point, count) = *self.random.pick(&candidates);
        let nth = 1 + self.random.below(count);
        self.crash_at(crash, Strike { point, nth });
    }

    /// Crashes at a certain call of the run to come, or at its end when it is not met.
    ///
    /// # Panics
    /// When a promise was broken.
    pub fn crash_at(&mut self, crash: Crash, strike: Strike) {
        if self.in_a_row >= CRASHES_IN_A_ROW {
            self.facteur.kill();
            self.disk.replace(self.fresh.0.clone());
            self.ledger = self.fresh.1.clone();
            self.facteur.restart();
            self.in_a_row = 0;
        }
        self.in_a_row += 1;
        note(format!(
            "== {crash:?} crash at call {} of {}",
            strike.nth, strike.point
        ));
        let _told = Told(format!(
            "{crash:?} crash at call {} of {}",
            strike.nth, strike.point
        ));
        self.disk.strike(strike, self.facteur.pid());
        let done = self.work();
        let struck = self.disk.has_struck();
        assert!(
            done || struck,
            "the server died by itself: {}",
            self.facteur.log()
        );
        self.disk.freeze();
        let lost = (crash != Crash::Process).then(Instant::now);
        if struck {
            self.facteur.wait();
            *self
                .struck
                .entry(strike.point)
                .or_default()
                .entry(crash)
                .or_default() += 1;
        } else {
            self.facteur.kill();
            self.not_struck += 1;
        }
        note(format!("== struck: {struck}"));
        self.lose(crash);
        if self.random.below(4) == 0 {
            self.crash_while_starting(crash);
        }
        self.facteur.restart();
        check(&self.facteur, &mut self.ledger, lost);
    }

    fn lose(&mut self, crash: Crash) {
        self.disk.cut(match crash {
            Crash::Process => Loss::Nothing,
            Crash::Machine => Loss::Everything,
            Crash::MachineByChance => Loss::Some {
                seed: self.random.next_number(),
            },
        });
    }

    /// Once more before it is up again.
    fn crash_while_starting(&mut self, crash: Crash) {
        let points: Vec<_> = self.met[1]
            .iter()
            .map(|(point, count)| (*point, *count))
            .collect();
        let (point, count) = *self.random.pick(&points);
        let strike = Strike {
            point,
            nth: 1 + self.random.below(count),
        };
        let _told = Told(format!(
            "and again while starting, at call {} of {point}",
            strike.nth
        ));
        note(format!("== again at call {} of {point}", strike.nth));
        self.disk.strike_whoever_calls(strike);
        let disk = &self.disk;
        if !self.facteur.restart_unless(|| disk.has_struck()) {
            assert!(
                disk.has_struck(),
                "it does not start: {}",
                self.facteur.log()
            );
            self.while_starting += 1;
            *self
                .struck
                .entry(point)
                .or_default()
                .entry(crash)
                .or_default() += 1;
        }
        self.disk.freeze();
        self.facteur.kill();
        self.lose(crash);
    }

    /// Points that were never struck.
    pub fn missed(&self) -> Vec<FaultPoint> {
        let points = self.points().map(|(point, _)| point);
        points
            .filter(|point| !self.struck.contains_key(point))
            .collect()
    }
}

/// How often each point was struck.
impl fmt::Display for Campaign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<36} {:>6} {:>8} {:>8} {:>8}",
            "point", "in run", "process", "machine", "chance"
        )?;
        let mut points: Vec<FaultPoint> = self.met[0]
            .keys()
            .chain(self.struck.keys())
            .copied()
            .collect();
        points.sort_unstable();
        points.dedup();
        let mut sums = [0; 3];
        for point in points {
            let met = self.met[0].get(&point).copied().unwrap_or(0);
            write!(formatter, "{:<36} {met:>6}", point.to_string())?;
            for (crash, sum) in Crash::ALL.iter().zip(&mut sums) {
                let count = self.struck.get(&point).and_then(|by| by.get(crash));
                let count = count.copied().unwrap_or(0);
                *sum += count;
                write!(formatter, " {count:>8}")?;
            }
            writeln!(formatter)?;
        }
        writeln!(
            formatter,
            "{:<43} {:>8} {:>8} {:>8}",
            "sum", sums[0], sums[1], sums[2]
        )?;
        write!(
            formatter,
            "{} crashes, {} of them while starting; {} more at a run's end; {} promises answered and kept",
            sums.iter().sum::<usize>(),
            self.while_starting,
            self.not_struck,
            self.ledger.answered,
        )
    }
}

/// Says what was going on when something panics.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
            if let Some(file) = std::env::var_os("FACTEUR_CRASH_TRANSCRIPT") {
                let _ = std::fs::write(file, transcript());
            }
        }
    }
}

/// A server with three accounts, two scripts and a few folders.
fn prepare(place: &Path, sections: &str, ledger: &mut Ledger) -> Facteur {
    let users = [ALICE, BOB, CAROL];
    let setup = users
        .iter()
        .fold(Setup::new(), |setup, user| setup.account(user, "pw"));
    let facteur = setup
        .sections("[queue]\ntransport_maps = { \"remote.test\" = \"smtp:[127.0.0.1]:1\" }\n")
        .sections(sections)
        .data_in(place)
        .start();
    let places = facteur.address("managesieve");
    let number = ledger.number();
    activate_script(places, ALICE, "pw", FILING);
    activate_script(places, BOB, "pw", &vacation(number));
    ledger.account(BOB).script = Some(Doubt::sure(vacation(number)));
    for user in users {
        let mut imap = facteur.imap(user, "pw");
        for folder in ["INBOX", "Filed", "Fone", "Ftwo"] {
            if folder != "INBOX" {
                imap.must(&format!("CREATE {folder}"));
            }
            let there = Doubt::sure(true);
            ledger
                .account(user)
                .folders
                .insert(folder.to_owned(), there);
        }
    }
    facteur
}
