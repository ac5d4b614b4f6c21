//! Crash after crash.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    check::check,
    client::{note, transcript},
    ground::{ForgetfulGround, Ground},
    ledger::{Doubt, FLAGS_SYNCED_WITHIN, Ledger},
    text::vacation,
    traced::TracedGround,
    work::{ALICE, BOB, CAROL, End, FILING, Places, Work},
};
use crate::{Facteur, FaultCounts, FaultPoint, Loss, Random, Setup, Strike, activate_script};

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

/// A server that is struck again and again, and what it has promised.
pub struct Campaign {
    // The server goes before the ground that it lies on.
    facteur: Facteur,
    ground: Box<dyn Ground>,
    fresh: Ledger,
    ledger: Ledger,
    random: Random,
    steps: usize,
    kinds: Vec<Crash>,
    in_a_row: usize,
    /// How often each point is met in one run without a crash, and while the server starts.
    met: [FaultCounts; 2],
    /// How often each point was aimed at.
    tried: BTreeMap<FaultPoint, usize>,
    struck: BTreeMap<FaultPoint, BTreeMap<Crash, usize>>,
    not_struck: usize,
    while_starting: usize,
    /// Promises given so far.
    answered: u64,
    /// What the time went into.
    spent: BTreeMap<&'static str, Duration>,
}

impl Campaign {
    /// On a disk that forgets, mounted at `place`; each client does `steps` things in a run. `setup` may
    /// hold more configuration.
    ///
    /// # Panics
    /// When something does not work before there was any crash.
    pub fn forgetful(setup: Setup, place: &Path, seed: u64, steps: usize) -> Self {
        let ground = Box::new(ForgetfulGround::new(place));
        Self::on(ground, setup.data_in(place), seed, steps).only(&Crash::ALL)
    }

    /// On a real disk, in the folder `place`, with `strace`: the process alone crashes.
    ///
    /// # Panics
    /// As [`Campaign::forgetful`].
    pub fn traced(strace: &Path, setup: Setup, place: &Path, seed: u64, steps: usize) -> Self {
        let ground = Box::new(TracedGround::new(strace, place));
        Self::on(ground, setup.data_in(place), seed, steps)
    }

    fn on(ground: Box<dyn Ground>, setup: Setup, seed: u64, steps: usize) -> Self {
        let mut ledger = Ledger::default();
        let mut facteur = prepare(setup, &mut ledger);
        facteur.stop();
        let mut this = Self {
            facteur,
            ground,
            fresh: ledger.clone(),
            ledger,
            random: Random::new(seed),
            steps,
            kinds: vec![Crash::Process],
            in_a_row: 0,
            met: [FaultCounts::new(), FaultCounts::new()],
            tried: BTreeMap::new(),
            struck: BTreeMap::new(),
            not_struck: 0,
            while_starting: 0,
            answered: 0,
            spent: BTreeMap::new(),
        };
        this.ground.save();
        this.rehearse();
        this
    }

    /// Only crashes of these kinds.
    #[must_use]
    pub fn only(mut self, kinds: &[Crash]) -> Self {
        self.kinds = kinds.to_vec();
        self
    }

    /// A run without a crash tells which points there are, and a start after a kill.
    fn rehearse(&mut self) {
        self.facteur.restart();
        self.ground.rehearse(self.facteur.pid());
        let done = self.work();
        assert!(done, "the server died by itself: {}", self.facteur.log());
        self.met[0] = self.ground.counts();
        self.facteur.kill();
        self.ground.rehearse(0);
        self.facteur.restart();
        self.met[1] = self.ground.counts();
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
        let before = work.ledger().answered;
        let done = work.run();
        self.answered += work.ledger().answered - before;
        self.ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        done
    }

    /// The points that were met without a crash.
    pub fn points(&self) -> impl Iterator<Item = (FaultPoint, usize)> {
        self.met[0].iter().map(|(point, count)| (*point, *count))
    }

    /// Crashes once, at the point that was aimed at least, and checks every promise.
    ///
    /// # Panics
    /// When one was broken.
    pub fn crash(&mut self) {
        let done: usize = self.tried.values().sum();
        let crash = self.kinds[done % self.kinds.len()];
        let tried = |point: &FaultPoint| self.tried.get(point).copied().unwrap_or(0);
        let least = self.met[0].keys().map(tried).min().unwrap_or(0);
        let candidates: Vec<_> = self
            .points()
            .filter(|(point, _)| tried(point) == least)
            .collect();
        let (point, count) = *self.random.pick(&candidates);
        let struck = self.struck.get(&point).map_or(0, |by| by.values().sum());
        *self.tried.entry(point).or_insert(0) += 1;
        // What was aimed at in vain is tried earlier: not every run gets so far.
        let early = count >> least.saturating_sub(struck).min(16);
        let nth = 1 + self.random.below(early.max(1));
        self.crash_at(crash, Strike { point, nth });
    }

    /// Crashes at a certain call of the run to come, or at its end when it is not met.
    ///
    /// # Panics
    /// When a promise was broken.
    pub fn crash_at(&mut self, crash: Crash, strike: Strike) {
        if self.in_a_row >= CRASHES_IN_A_ROW {
            self.start_afresh();
        }
        self.in_a_row += 1;
        let what = format!("{crash:?} crash at call {} of {}", strike.nth, strike.point);
        note(format!("== {what}"));
        let _told = Told(what);
        if crash != Crash::Process && self.random.below(8) == 0 {
            // Flags that are older than a second are durable too.
            let done = self.work();
            assert!(done, "the server died by itself: {}", self.facteur.log());
            std::thread::sleep(FLAGS_SYNCED_WITHIN);
        }
        self.ground.strike(strike, self.facteur.pid());
        let begun = Instant::now();
        let done = self.work();
        let begun = self.spend("work", begun);
        let struck = self.ground.struck(!done);
        let alive = done || struck.is_some();
        assert!(alive, "the server died by itself: {}", self.facteur.log());
        self.ground.freeze();
        let lost = (crash != Crash::Process).then(Instant::now);
        if let Some(point) = struck {
            self.facteur.wait();
            self.count(point, crash);
        } else {
            self.facteur.kill();
            self.not_struck += 1;
        }
        let begun = self.spend("death", begun);
        note(format!("== struck: {struck:?}"));
        self.lose(crash);
        let begun = self.spend("loss", begun);
        if self.random.below(4) == 0 {
            self.crash_while_starting(crash);
        }
        let begun = self.spend("start2", begun);
        self.facteur.restart();
        let begun = self.spend("start", begun);
        let (facteur, ledger) = (&self.facteur, &mut self.ledger);
        let checked = catch_unwind(AssertUnwindSafe(|| check(facteur, ledger, lost)));
        self.spend("check", begun);
        if let Err(broken) = checked {
            note(format!("== the server's log\n{}", self.facteur.log()));
            resume_unwind(broken);
        }
    }

    /// Goes back to how it was before the first crash: after a broken promise too.
    ///
    /// # Panics
    /// When the server does not start.
    pub fn start_afresh(&mut self) {
        self.ground.freeze();
        if self.facteur.is_there() {
            self.facteur.kill();
        }
        self.ground.restore();
        self.ledger = self.fresh.clone();
        self.facteur.restart();
        self.in_a_row = 0;
    }

    fn spend(&mut self, on: &'static str, begun: Instant) -> Instant {
        *self.spent.entry(on).or_default() += begun.elapsed();
        Instant::now()
    }

    fn count(&mut self, point: FaultPoint, crash: Crash) {
        let by = self.struck.entry(point).or_default();
        *by.entry(crash).or_insert(0) += 1;
    }

    fn lose(&mut self, crash: Crash) {
        self.ground.lose(match crash {
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
        if points.is_empty() {
            return;
        }
        let (point, count) = *self.random.pick(&points);
        let nth = 1 + self.random.below(count);
        if !self.ground.strike_next(Strike { point, nth }) {
            return;
        }
        let what = format!("and again while starting, at call {nth} of {point}");
        note(format!("== {what}"));
        let _told = Told(what);
        let ground = RefCell::new(&mut self.ground);
        let is_struck = || ground.borrow_mut().struck(false).is_some();
        if !self.facteur.restart_unless(is_struck) {
            let struck = self.ground.struck(false);
            assert!(
                struck.is_some(),
                "it does not start: {}",
                self.facteur.log()
            );
            self.while_starting += 1;
            self.count(point, crash);
        }
        self.ground.freeze();
        self.facteur.kill();
        self.lose(crash);
    }

    /// From here on these syncs are not done, whatever they say; a promise must be broken soon.
    pub fn leave_out(&mut self, syncs: &[FaultPoint]) {
        self.ground.leave_out(syncs);
    }

    /// System calls that were never struck, on whatever file.
    pub fn missed_calls(&self) -> Vec<&'static str> {
        let struck = |call| self.struck.keys().any(|point| point.call == call);
        let mut calls: Vec<_> = self.points().map(|(point, _)| point.call).collect();
        calls.dedup();
        calls.retain(|call| !struck(*call));
        calls
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
        writeln!(formatter, "{:.1?}", self.spent)?;
        write!(
            formatter,
            "{} crashes, {} of them while starting; {} more at a run's end; {} promises answered and kept",
            sums.iter().sum::<usize>(),
            self.while_starting,
            self.not_struck,
            self.answered,
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
fn prepare(setup: Setup, ledger: &mut Ledger) -> Facteur {
    let users = [ALICE, BOB, CAROL];
    let setup = users
        .iter()
        .fold(setup, |setup, user| setup.account(user, "pw"));
    let facteur = setup
        .with_users_in_a_file()
        // Checkpoints come often, as with much mail.
        .storage("journal_size = \"4M\"")
        .sections("[queue]\ntransport_maps = { \"remote.test\" = \"smtp:[127.0.0.1]:1\" }\n")
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
