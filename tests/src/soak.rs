//! Mixed load for as long as one likes, with a ledger of every message.
//!
//! 20 accounts: deliveries by SMTP and LMTP, clients of IMAP that do everything that changes anything,
//! others that wait in IDLE, POP3 sessions, scripts stored, the configuration read again. No reply may
//! be an error, and at the end everything is compared with what was answered, before and after a restart.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Facteur, Random, Setup, activate_script,
    crash::{
        check::check,
        client::Client,
        ledger::{Doubt, Flags, Ledger},
        text::{message, size},
        work::{End, FILING, Places, Work},
    },
};

/// Accounts with a client that changes things, then accounts that POP3 empties.
const READERS: usize = 16;
const POPPED: usize = 4;

/// What the server used at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Since the load began.
    pub at: Duration,
    /// Proportional set size, KiB.
    pub pss: u64,
    /// Of it, memory of no file, KiB.
    pub anonymous: u64,
    /// Open files.
    pub open_files: usize,
    /// Messages in folders, copies counted.
    pub messages: usize,
    /// Things that were asked for and answered.
    pub answered: u64,
}

impl Sample {
    fn take(facteur: &Facteur, at: Duration, ledger: &Mutex<Ledger>) -> Self {
        let (messages, answered) = {
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            (ledger.messages(), ledger.answered)
        };
        let process = format!("/proc/{}", facteur.pid());
        let rollup = fs::read_to_string(format!("{process}/smaps_rollup")).expect("its memory");
        let kib = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let open_files = fs::read_dir(format!("{process}/fd")).expect("its files");
        Self {
            at,
            pss: kib("Pss:"),
            anonymous: kib("Anonymous:"),
            open_files: open_files.count(),
            messages,
            answered,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Soaked {
    /// One every `every`.
    pub samples: Vec<Sample>,
    /// How much was done of what.
    pub done: BTreeMap<&'static str, u64>,
    /// Messages that are there at the end.
    pub messages: usize,
}

/// Lets everything run for `length`, and checks everything.
///
/// # Panics
/// When a reply is an error, or a message is not where it must be.
pub fn soak(setup: Setup, seed: u64, length: Duration, every: Duration) -> Soaked {
    let mut ledger = Ledger::default();
    let mut facteur = prepare(setup, &mut ledger);
    let over = AtomicBool::new(false);
    let ledger = Mutex::new(ledger);
    let data = facteur.data();
    let work = Work {
        ledger: &ledger,
        places: Places::of(&facteur),
        seed,
        end: End::When(&over),
        data: &data,
    };
    let counts = Counts::default();
    let samples = thread::scope(|scope| {
        let mut clients = Vec::new();
        for n in 0..READERS {
            let (work, facteur, over, counts) = (&work, &facteur, &over, &counts);
            clients.push(scope.spawn(move || work.read_mail(&user(n), 100 + n as u64)));
            clients.push(scope.spawn(move || wait_in_idle(facteur, &user(n), over, counts)));
        }
        for n in 0..4 {
            let (work, counts, facteur) = (&work, &counts, &facteur);
            clients.push(scope.spawn(move || deliver(work, facteur, n, counts)));
        }
        for n in READERS..READERS + POPPED {
            let (work, counts, facteur) = (&work, &counts, &facteur);
            clients.push(scope.spawn(move || empty_by_pop3(work, facteur, n, counts)));
        }
        {
            let (work, counts, facteur) = (&work, &counts, &facteur);
            clients.push(scope.spawn(move || store_scripts(work, facteur, counts)));
        }
        let samples = watch(&facteur, &ledger, &counts, length, every);
        over.store(true, Ordering::Relaxed);
        for client in clients {
            match client.join() {
                Ok(end) => assert!(end.is_some(), "the server hung up"),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        samples
    });
    let mut ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
    check(&facteur, &mut ledger, None);
    facteur.stop();
    facteur.restart();
    check(&facteur, &mut ledger, None);
    Soaked {
        samples,
        done: counts.done(ledger.answered),
        messages: ledger.messages(),
    }
}

fn user(n: usize) -> String {
    format!("user{n:02}@example.test")
}

fn prepare(setup: Setup, ledger: &mut Ledger) -> Facteur {
    let users: Vec<String> = (0..READERS + POPPED).map(user).collect();
    let setup = users
        .iter()
        .fold(setup, |setup, user| setup.account(user, "pw"));
    let facteur = setup.start();
    let address = facteur.address("managesieve");
    for user in &users {
        activate_script(address, user, "pw", FILING);
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

#[derive(Debug, Default)]
struct Counts {
    deliveries: AtomicU64,
    notices: AtomicU64,
    retrieved: AtomicU64,
    scripts: AtomicU64,
    reloads: AtomicU64,
}

impl Counts {
    fn done(&self, answered: u64) -> BTreeMap<&'static str, u64> {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        BTreeMap::from([
            ("all that was answered", answered),
            ("copies delivered", of(&self.deliveries)),
            ("changes told in IDLE", of(&self.notices)),
            ("messages taken by POP3", of(&self.retrieved)),
            ("scripts stored", of(&self.scripts)),
            ("reloads", of(&self.reloads)),
        ])
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

/// Takes samples to the end, and has the configuration read again now and then.
fn watch(
    facteur: &Facteur,
    ledger: &Mutex<Ledger>,
    counts: &Counts,
    length: Duration,
    every: Duration,
) -> Vec<Sample> {
    let started = Instant::now();
    let mut samples = Vec::new();
    while started.elapsed() < length {
        thread::sleep(every.min(length.saturating_sub(started.elapsed())));
        samples.push(Sample::take(facteur, started.elapsed(), ledger));
        facteur.signal(Signal::HUP);
        add(&counts.reloads, 1);
    }
    samples
}

/// Deliveries to one account or a few, by SMTP or LMTP, on a few connections.
fn deliver(work: &Work<'_>, facteur: &Facteur, n: usize, counts: &Counts) -> Option<()> {
    let mut random = work.random(1000 + n as u64);
    let by_lmtp = n % 2 == 1;
    let mut step = 0;
    while work.goes_on(step) {
        let (listener, hello) = if by_lmtp {
            ("lmtp", "LHLO")
        } else {
            ("smtp", "EHLO")
        };
        let mut client = Client::mail(facteur.address(listener), hello)?;
        for _ in 0..50 {
            step += 1;
            if !work.goes_on(step) {
                break;
            }
            let to = recipients(work, &mut random);
            if to.is_empty() {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            deliver_once(work, &mut client, &mut random, by_lmtp, &to)?;
            add(&counts.deliveries, to.len());
        }
        client.reply("QUIT", "221")?;
    }
    Some(())
}

/// One to three accounts with room.
fn recipients(work: &Work<'_>, random: &mut Random) -> Vec<String> {
    let mut ledger = work.ledger();
    let mut to: Vec<String> = Vec::new();
    for _ in 0..=random.below(3) {
        let user = user(random.below(READERS + POPPED));
        if !to.contains(&user) && !ledger.account(&user).is_full() {
            to.push(user);
        }
    }
    to
}

fn deliver_once(
    work: &Work<'_>,
    client: &mut Client,
    random: &mut Random,
    by_lmtp: bool,
    to: &[String],
) -> Option<()> {
    let id = format!("d{}@client.example", work.ledger().number());
    // What is filed is out of POP3's reach.
    let popped = |user: &String| (READERS..READERS + POPPED).any(|n| *user == self::user(n));
    let filed = random.below(3) == 0 && !to.iter().any(popped);
    let (head, folder) = if filed {
        ("X-File: yes\r\n", "Filed")
    } else {
        ("", "INBOX")
    };
    let size = size(random);
    for user in to {
        let mut ledger = work.ledger();
        ledger
            .account(user)
            .expect(&id, (head, size), folder, Flags::new());
    }
    client.reply("MAIL FROM:<sender@elsewhere.example>", "250")?;
    for user in to {
        client.reply(&format!("RCPT TO:<{user}>"), "250")?;
    }
    client.reply("DATA", "354")?;
    client.reply(&format!("{}.", message(&id, head, size)), "250")?;
    for _ in 1..if by_lmtp { to.len() } else { 1 } {
        let line = client.line()?;
        assert!(line.starts_with("250"), "{line}");
    }
    let mut ledger = work.answered();
    for user in to {
        ledger.account(user).answered(&id);
    }
    Some(())
}

/// Waits in IDLE and counts what it is told.
fn wait_in_idle(facteur: &Facteur, user: &str, over: &AtomicBool, counts: &Counts) -> Option<()> {
    let mut client = Client::imap(facteur.address("imap"), user)?;
    client.must("SELECT INBOX")?;
    while !over.load(Ordering::Relaxed) {
        client.send("i IDLE\r\n")?;
        client.wait_briefly()?;
        client.send("DONE\r\n")?;
        let mut told = 0;
        loop {
            let line = client.line()?;
            if line.starts_with("i ") {
                assert!(line.starts_with("i OK"), "{line}");
                break;
            }
            told += usize::from(line.starts_with("* "));
        }
        add(&counts.notices, told);
    }
    Some(())
}

/// Retrieves and deletes what is there, again and again.
fn empty_by_pop3(work: &Work<'_>, facteur: &Facteur, n: usize, counts: &Counts) -> Option<()> {
    let user = user(n);
    let mut step = 0;
    while work.goes_on(step) {
        step += 1;
        let mut pop3 = facteur.pop3(&user, "pw");
        let listed = pop3.lines("UIDL").len();
        let mut gone = Vec::new();
        for number in 1..=listed.min(20) {
            let text = pop3.lines(&format!("RETR {number}")).join("\r\n");
            let (_, rest) = text.split_once("Message-ID: <")?;
            let (id, _) = rest.split_once('>')?;
            // One whose sender was not answered yet may still be withdrawn.
            if work.ledger().account(&user).is_settled(id, "INBOX") {
                pop3.must(&format!("DELE {number}"));
                gone.push(id.to_owned());
            }
        }
        for id in &gone {
            if let Some(message) = work.ledger().account(&user).messages.get_mut(id) {
                message.leave("INBOX");
            }
        }
        pop3.must("QUIT");
        add(&counts.retrieved, gone.len());
        for id in gone {
            work.answered().account(&user).gone(&id);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Some(())
}

/// Stores the script that every account has already, and others.
fn store_scripts(work: &Work<'_>, facteur: &Facteur, counts: &Counts) -> Option<()> {
    let mut random = work.random(5000);
    let mut step = 0;
    while work.goes_on(step) {
        step += 1;
        let user = user(random.below(READERS));
        activate_script(facteur.address("managesieve"), &user, "pw", FILING);
        add(&counts.scripts, 1);
        thread::sleep(Duration::from_millis(200));
    }
    Some(())
}
