//! Fills mailboxes and prints what loading and changing them costs.
//!
//! `cargo run --release -p facteur-index --example mailboxes -- [messages…]`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for the developer's terminal"
)]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use facteur_disk::Disk;
use facteur_index::{Details, Index, IndexError, MailboxRow, MessageRow, Parts};
use facteur_model::{Flag, Flags, Guid, InternalDate, ModSeq, Uid, UidSet, UidValidity};

const ENVELOPE: &[u8] = br#"("Tue, 14 Nov 2023 09:12:44 +0100" "Compte rendu de la reunion du comite, version corrigee" (("Jeanne Dupont" NIL "jeanne.dupont" "association.example")) (("Jeanne Dupont" NIL "jeanne.dupont" "association.example")) (("Jeanne Dupont" NIL "jeanne.dupont" "association.example")) (("Comite" NIL "comite" "association.example")) NIL NIL "<20231113.1234@mail.example>" "<20231114081244.GA1234@association.example>")"#;
const STRUCTURE: &[u8] = br#"(("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 1234 40 NIL NIL NIL NIL)("TEXT" "HTML" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 4321 99 NIL NIL NIL NIL) "ALTERNATIVE" ("BOUNDARY" "=_4f1c9a0d7be24d0e") NIL NIL NIL)"#;
const BODY: &[u8] = br#"(("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 1234 40)("TEXT" "HTML" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 4321 99) "ALTERNATIVE")"#;

/// The same numbers in every run (Steele, Lea and Flood's splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % u64::from(end)).unwrap()
    }
}

fn main() {
    let counts: Vec<u32> = std::env::args().skip(1).flat_map(|a| a.parse()).collect();
    // With a word in their place: only the last part.
    let counts = if std::env::args().len() == 1 {
        vec![10_000, 1_000_000]
    } else {
        counts
    };
    for count in counts {
        let dir = tempfile::tempdir().unwrap();
        println!("\n{count} messages");
        Run::new(dir.path(), count).all();
    }
    open_many();
}

struct Run {
    path: PathBuf,
    index: Index,
    row: MailboxRow,
    count: u32,
    numbers: Numbers,
}

impl Run {
    fn new(dir: &Path, count: u32) -> Self {
        let path = dir.join("index.db");
        let mut index = Index::open(&Disk::real(), &path).unwrap();
        let mut row = mailbox();
        row.id = index.transaction(|t| t.add_mailbox(&row)).unwrap();
        Self {
            path,
            index,
            row,
            count,
            numbers: Numbers(7),
        }
    }

    fn all(&mut self) {
        self.fill();
        self.load();
        self.summaries();
        let (append, bytes) = self.written(|run| {
            timed(|| {
                for n in 1..=500 {
                    run.append(run.count + n..=run.count + n);
                }
            })
        });
        println!(
            "append one by one      {:>9.1} µs, {} B of log each",
            micros(append, 500),
            bytes / 500
        );
        let (store, bytes) = self.written(|run| {
            timed(|| {
                for n in 0..1000 {
                    let uid = run.numbers.below(run.count) + 1;
                    run.store(uid, uid, 10_000_000 + n);
                }
            })
        });
        println!(
            "STORE one at random    {:>9.1} µs, {} B of log each",
            micros(store, 1000),
            bytes / 1000
        );
        let (all, bytes) = self.written(|run| timed(|| run.store(1, run.count, 20_000_000)));
        println!(
            "STORE 1:*              {:>9.2} ms, {} B of log",
            millis(all),
            bytes
        );
        self.expunge();
        self.load();
        self.index.checkpoint().unwrap();
    }

    fn fill(&mut self) {
        let time = timed(|| {
            let mut first = 1;
            while first <= self.count {
                let last = (first + 999).min(self.count);
                self.append(first..=last);
                first = last + 1;
            }
        });
        self.index.checkpoint().unwrap();
        let size = std::fs::metadata(&self.path).unwrap().len();
        println!(
            "append 1000 at a time  {:>9.1} µs each",
            micros(time, self.count)
        );
        println!(
            "index.db               {:>9.1} B a message",
            size as f64 / f64::from(self.count)
        );
    }

    fn append(&mut self, uids: std::ops::RangeInclusive<u32>) {
        let row = &mut self.row;
        self.index
            .transaction(|t| {
                for uid in uids {
                    let message = message(uid);
                    let details = Details {
                        guid: Guid::from_bytes([7; 16]),
                        parts: Parts {
                            envelope: ENVELOPE,
                            body_structure: STRUCTURE,
                            body: BODY,
                        },
                    };
                    t.add_message(row.id, &message, &details)?;
                    row.messages += 1;
                    row.unseen += 1;
                    row.bytes += message.size;
                    row.uid_next = u64::from(uid) + 1;
                    row.highest_modseq = row.highest_modseq.max(message.modseq);
                }
                t.set_mailbox(row)
            })
            .unwrap();
    }

    fn store(&mut self, first: u32, last: u32, modseq: u64) {
        let row = MessageRow {
            modseq: ModSeq::new(modseq),
            flags: Flags::EMPTY.with(Flag::Seen),
            ..message(last)
        };
        self.row.highest_modseq = row.modseq;
        self.index
            .transaction::<_, IndexError>(|t| {
                t.set_flags(self.row.id, Uid::new(first).unwrap(), &row)?;
                t.set_mailbox(&self.row)
            })
            .unwrap();
    }

    fn expunge(&mut self) {
        let mut gone = UidSet::new();
        while gone.len() < 1000.min(u64::from(self.count) / 2) {
            gone.insert(Uid::new(self.numbers.below(self.count) + 1).unwrap());
        }
        let (time, bytes) = self.written(|run| {
            timed(|| {
                run.index
                    .transaction(|t| t.expunge(run.row.id, &gone, ModSeq::new(30_000_000)))
                    .unwrap();
            })
        });
        println!(
            "expunge 1000 at random {:>9.2} ms, {bytes} B of log",
            millis(time)
        );
    }

    fn load(&mut self) {
        let warm = timed(|| drop(self.index.messages(self.row.id).unwrap()));
        self.index.checkpoint().unwrap();
        let cold = self.again();
        println!(
            "load, warm / file cold {:>9.2} / {:.2} ms",
            millis(warm),
            millis(cold)
        );
    }

    /// Opens anew with nothing of the file in the system's cache; loads.
    fn again(&mut self) -> Duration {
        let aside = tempfile::tempdir().unwrap();
        let other = Index::open(&Disk::real(), &aside.path().join("index.db")).unwrap();
        drop(std::mem::replace(&mut self.index, other));
        let file = std::fs::File::open(&self.path).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let path = self.path.clone();
        timed(|| {
            self.index = Index::open(&Disk::real(), &path).unwrap();
            drop(self.index.messages(self.row.id).unwrap());
        })
    }

    fn summaries(&mut self) {
        let mut uids = UidSet::new();
        uids.insert_range(Uid::FIRST..=Uid::new(self.count.min(10_000)).unwrap());
        let mut bytes = 0;
        let time = timed(|| {
            self.index
                .summaries(self.row.id, &uids, &mut |_, parts| {
                    bytes += parts.envelope.len() + parts.body_structure.len() + parts.body.len();
                })
                .unwrap();
        });
        println!("summaries of {:<9} {:>9.2} ms", uids.len(), millis(time));
    }

    /// What `work` takes, and by how much the log grew.
    fn written(&mut self, work: impl FnOnce(&mut Self) -> Duration) -> (Duration, u64) {
        self.index.checkpoint().unwrap();
        let before = written_bytes();
        let time = work(self);
        (time, written_bytes() - before)
    }
}

/// Accounts' indexes opened one after the other, each asked for its mailboxes: a server with more
/// accounts than handles.
fn open_many() {
    const ACCOUNTS: u32 = 500;
    let dir = tempfile::tempdir().unwrap();
    let path = |n: u32| dir.path().join(format!("{n}.db"));
    let made = timed(|| {
        for n in 0..ACCOUNTS {
            let mut index = Index::open(&Disk::real(), &path(n)).unwrap();
            index
                .transaction::<_, IndexError>(|t| {
                    let mut row = mailbox();
                    row.id = t.add_mailbox(&row)?;
                    for uid in 1..=10 {
                        let details = Details {
                            guid: Guid::from_bytes([7; 16]),
                            parts: Parts {
                                envelope: ENVELOPE,
                                body_structure: STRUCTURE,
                                body: BODY,
                            },
                        };
                        t.add_message(row.id, &message(uid), &details)?;
                    }
                    t.set_mailbox(&row)
                })
                .unwrap();
        }
    });
    let size: u64 = (0..ACCOUNTS)
        .map(|n| std::fs::metadata(path(n)).unwrap().len())
        .sum();
    println!(
        "\nmake an index          {:>9.1} µs, {} B with 10 messages",
        micros(made, ACCOUNTS),
        size / u64::from(ACCOUNTS)
    );
    let opened = timed(|| {
        for n in 0..ACCOUNTS {
            let index = Index::open(&Disk::real(), &path(n)).unwrap();
            assert_eq!(index.mailboxes().unwrap().len(), 1);
        }
    });
    println!(
        "open, ask for mailboxes{:>9.1} µs",
        micros(opened, ACCOUNTS)
    );
    let before = resident();
    let mut held = Vec::new();
    for n in 0..ACCOUNTS {
        let mut index = Index::open(&Disk::real(), &path(n)).unwrap();
        let mut row = *index.mailboxes().unwrap().first().unwrap();
        index.messages(row.id).unwrap();
        index
            .transaction::<_, IndexError>(|t| {
                row.uid_next += 1;
                let details = Details {
                    guid: Guid::from_bytes([7; 16]),
                    parts: Parts {
                        envelope: ENVELOPE,
                        body_structure: STRUCTURE,
                        body: BODY,
                    },
                };
                t.add_message(row.id, &message(11), &details)?;
                t.set_mailbox(&row)
            })
            .unwrap();
        held.push(index);
    }
    println!(
        "memory of an open one  {:>9.1} KiB",
        (resident() - before) as f64 / 1024.0 / f64::from(ACCOUNTS)
    );
}

fn mailbox() -> MailboxRow {
    MailboxRow::new(Guid::from_bytes([1; 16]), UidValidity::FIRST)
}

fn message(uid: u32) -> MessageRow {
    MessageRow {
        uid: Uid::new(uid).unwrap(),
        modseq: ModSeq::new(u64::from(uid) + 1),
        internal_date: InternalDate::from_unix(1_700_000_000 + i64::from(uid) * 311),
        size: 3000 + u64::from(uid.wrapping_mul(2_654_435_761) >> 18),
        keywords: 0,
        flags: Flags::EMPTY,
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration, count: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(count)
}

/// What this process gave to write(2) so far.
fn written_bytes() -> u64 {
    field("/proc/self/io", "wchar:")
}

fn resident() -> u64 {
    field("/proc/self/status", "VmRSS:") * 1024
}

fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
