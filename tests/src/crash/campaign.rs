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
    tally::{Phase, Tally},
    text::vacation,
    traced::TracedGround,
    work::{ALICE, BOB, CAROL, End, FILING, Places, Work},
};
use crate::{Facteur, FaultPoint, Loss, Random, Setup, Strike, activate_script};

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

    /// What the tool's option calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Machine => "machine",
            Self::MachineByChance => "chance",
        }
    }
}

/// After a crash at most so many of its starts crash, too.
const STARTS: usize = 4;

/// After so many crashes it starts afresh: mailboxes grow.
const CRASHES_IN_A_ROW: usize = 12;

/// So many runs without a break are made for one strike.
const ROUNDS: usize = 6;

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
    tally: Tally,
    not_struck: usize,
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
            tally: Tally::default(),
            not_struck: 0,
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
        self.tally.meet(Phase::Run, &self.ground.counts());
        self.facteur.kill();
        self.ground.rehearse(0);
        self.facteur.restart();
        self.tally.meet(Phase::Start, &self.ground.counts());
        check(&self.facteur, &mut self.ledger, None);
    }

    fn work(&mut self) -> bool {
        let ledger = Mutex::new(std::mem::take(&mut self.ledger));
        let data = self.facteur.data();
        let work = Work {
            ledger: &ledger,
            places: Places::of(&self.facteur),
            seed: self.random.next_number(),
            end: End::Steps(self.steps),
            data: &data,
        };
        let before = work.ledger().answered;
        let done = work.run();
        self.answered += work.ledger().answered - before;
        self.ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        done
    }

    /// The points that are met in a run, and how often at most.
    pub fn points(&self) -> impl Iterator<Item = (FaultPoint, usize)> {
        self.tally.points(Phase::Run)
    }

    /// Crashes once, at a point for which least was done, and checks every promise.
    ///
    /// # Panics
    /// When one was broken.
    pub fn crash(&mut self) {
        let aimed = self.tally.aim(&self.kinds, &mut self.random);
        let (crash, strike, misses) = aimed.expect("a run meets points");
        if misses % 2 == 1 {
            // Some are met only by a server that has not crashed yet.
            self.start_afresh();
        }
        self.crash_at(crash, strike);
    }

    /// Crashes at a certain call of the run to come, or at its end when it is not met.
    ///
    /// # Panics
    /// When a promise was broken.
    pub fn crash_at(&mut self, crash: Crash, strike: Strike) {
        let done = catch_unwind(AssertUnwindSafe(|| self.crash_and_check(crash, strike)));
        if let Err(broken) = done {
            note(format!("== the server's log\n{}", self.facteur.log()));
            if let Some(file) = std::env::var_os("FACTEUR_CRASH_TRANSCRIPT") {
                let _ = std::fs::write(file, transcript());
            }
            resume_unwind(broken);
        }
    }

    fn crash_and_check(&mut self, crash: Crash, strike: Strike) {
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
        let mut done = self.work();
        // No run is like another: what was not met yet is met if it goes on.
        for _ in 1..ROUNDS {
            if !done || self.ground.has_struck() {
                break;
            }
            done = self.work();
        }
        let begun = self.spend("work", begun);
        let struck = self.ground.struck(!done);
        self.tally.meet(Phase::Run, &self.ground.met());
        let alive = done || struck.is_some();
        assert!(alive, "the server died by itself: {}", self.facteur.log());
        self.ground.freeze();
        let died = Instant::now();
        let mut power_lost = crash != Crash::Process;
        if let Some(point) = struck {
            self.facteur.wait();
            self.tally.strike(Phase::Run, point, crash);
        } else {
            self.facteur.kill();
            self.not_struck += 1;
        }
        let begun = self.spend("death", begun);
        note(format!("== struck: {struck:?}"));
        self.lose(crash);
        let begun = self.spend("loss", begun);
        power_lost |= self.crash_starts();
        let begun = self.spend("start2", begun);
        if !self.facteur.is_there() {
            self.facteur.restart();
            self.tally.meet(Phase::Start, &self.ground.met());
        }
        let begun = self.spend("start", begun);
        // Nothing was synced since it died first.
        let lost = power_lost.then_some(died);
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

    fn lose(&mut self, crash: Crash) {
        self.ground.lose(match crash {
            Crash::Process => Loss::Nothing,
            Crash::Machine => Loss::Everything,
            Crash::MachineByChance => Loss::Some {
                seed: self.random.next_number(),
            },
        });
    }

    /// Crashes a few times more before it is up again; whether the power was lost.
    ///
    /// What a start does depends on how it was left: it is looked at first, and then made again.
    fn crash_starts(&mut self) -> bool {
        let mut power_lost = false;
        for _ in 0..STARTS {
            self.ground.keep();
            self.ground.rehearse(0);
            self.facteur.restart();
            let met = self.ground.met();
            self.tally.meet(Phase::Start, &met);
            let aimed = self.tally.aim_at_start(&met, &self.kinds, &mut self.random);
            let Some((crash, strike)) = aimed else {
                break;
            };
            self.ground.freeze();
            self.facteur.kill();
            self.ground.go_back();
            power_lost |= self.crash_while_starting(crash, strike);
        }
        power_lost
    }

    /// Once more before it is up again; whether the power was lost.
    fn crash_while_starting(&mut self, crash: Crash, strike: Strike) -> bool {
        if !self.ground.strike_next(strike) {
            return false;
        }
        let (nth, point) = (strike.nth, strike.point);
        let what = format!("and again while starting, at call {nth} of {point}, {crash:?}");
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
            self.tally.strike(Phase::Start, point, crash);
        }
        self.tally.meet(Phase::Start, &self.ground.met());
        self.ground.freeze();
        self.facteur.kill();
        self.lose(crash);
        crash != Crash::Process
    }

    /// From here on these syncs are not done, whatever they say; a promise must be broken soon.
    pub fn leave_out(&mut self, syncs: &[FaultPoint]) {
        self.ground.leave_out(syncs);
    }

    /// System calls that were met and never struck, on whatever file.
    pub fn missed_calls(&self) -> Vec<String> {
        self.tally.missed_calls()
    }

    /// Points that were met and never struck, in a run or while the server started.
    pub fn missed(&self) -> Vec<String> {
        self.tally.missed()
    }

    /// The same for each kind of crash.
    pub fn missed_by_kind(&self) -> Vec<String> {
        self.tally.missed_by_kind(&self.kinds)
    }

    /// How often it crashed at a point.
    pub fn crashes(&self) -> usize {
        self.tally.sum()
    }
}

/// How often each point was struck.
impl fmt::Display for Campaign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.tally)?;
        writeln!(
            formatter,
            "{} crashes; {} more at a run's end; {} promises answered and kept",
            self.crashes(),
            self.not_struck,
            self.answered,
        )?;
        write!(formatter, "time went into")?;
        for (what, time) in &self.spent {
            write!(formatter, " {what}: {:.1} s", time.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Says what was going on when something panics.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
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
