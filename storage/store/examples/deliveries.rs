//! How much a delivery costs: prints rate and CPU of 4 KiB messages from several threads, and how
//! long large mailboxes take to open. `cargo run --release --example deliveries [DIR]`

use std::{path::PathBuf, time::Instant};

use bytes::Bytes;
use facteur_model::{
    AccountId, AccountSpec, Flag, FlagOperation, Flags, Guid, InternalDate, MailboxName,
    QuotaLimits, Uid, UidSet,
};
use facteur_store::{Append, Batch, Body, FlagChange, Options, QuotaCheck, Store};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

const THREADS: usize = 20;
const EACH: usize = 200;
const ACCOUNTS: usize = 100;

fn main() -> Outcome {
    let temporary = std::env::temp_dir().join(format!("facteur-bench-{}", std::process::id()));
    let dir = std::env::args().nth(1).map_or(temporary, PathBuf::from);
    let store = Store::open(Options {
        state: dir.join("state"),
        auto_folders: Vec::new(),
        staging_memory: 128 * 1024,
        ..Options::default()
    })?;
    let spec = |number: usize| AccountSpec {
        id: AccountId::new(&format!("user{number}@example.test")),
        home: dir.join(format!("mail/user{number}")),
        format: facteur_model::MailFormat::Sdbox,
        quota: QuotaLimits::default(),
    };
    let head = "From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: a test\r\nDate: Fri, 20 Nov 2026 21:44:10 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n";
    let body = Bytes::from(format!(
        "{head}{}",
        "0123456789abcdef0123456789abcdef01234567890123456789\r\n".repeat(70)
    ));
    for number in 0..ACCOUNTS {
        store.account(&spec(number))?;
    }
    let deliver = |number: usize| -> Outcome {
        let append = Append {
            account: spec(number),
            mailbox: MailboxName::inbox(),
            create: false,
            prefix: Bytes::from_static(b"Return-Path: <alice@example.test>\r\n"),
            body: Body::Memory(body.clone()),
            flags: Flags::EMPTY,
            keywords: Vec::new(),
            internal_date: InternalDate::from_unix(1_600_000_000),
            delivery: Guid::random()?,
            repeated: false,
            quota: QuotaCheck::Ignore,
        };
        store.commit(Batch {
            appends: vec![append],
            ..Batch::default()
        })?;
        Ok(())
    };
    measure(
        "deliveries, each to one of 100 accounts",
        THREADS * EACH,
        || {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|thread| {
                        let deliver = &deliver;
                        scope.spawn(move || {
                            (0..EACH).try_for_each(|n| deliver((thread * 7 + n * 13) % ACCOUNTS))
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .try_for_each(|t| t.join().unwrap_or(Ok(())))
            })
        },
    )?;
    measure("deliveries to one account, one thread", 2000, || {
        (0..2000).try_for_each(|_| deliver(ACCOUNTS))
    })?;
    sessions(&store, &spec(ACCOUNTS))?;
    store.close()?;
    drop(store);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// What sessions do with a mailbox of 10,000 messages.
fn sessions(store: &Store, spec: &AccountSpec) -> Outcome {
    let account = store.account(spec)?;
    let inbox = account.open(&MailboxName::inbox())?;
    let mut all = UidSet::new();
    all.insert_range(Uid::FIRST..=Uid::new(u32::MAX).ok_or("UID")?);
    measure("copies of 2000", 8000, || {
        (0..4).try_for_each(|_| {
            let some: UidSet = inbox.snapshot().iter().take(2000).map(|m| m.uid).collect();
            inbox.copy(&some, &MailboxName::inbox()).map(|_| ())
        })?;
        Ok(())
    })?;
    let seen = FlagChange {
        operation: FlagOperation::Add,
        flags: Flags::EMPTY.with(Flag::Seen),
        keywords: Vec::new(),
        unchanged_since: None,
    };
    measure("messages flagged", 10_000, || {
        inbox.store(&all, &seen)?;
        Ok(())
    })?;
    drop(inbox);
    measure("messages of a mailbox opened", 10_000, || {
        account.open(&MailboxName::inbox())?;
        Ok(())
    })?;
    let inbox = account.open(&MailboxName::inbox())?;
    measure("summaries", 10_000, || {
        let mut bytes = 0;
        inbox.summaries(&all, &mut |_, summary| bytes += summary.envelope.len())?;
        Ok(())
    })?;
    measure("messages expunged", 1000, || {
        let some: UidSet = inbox.snapshot().iter().take(1000).map(|m| m.uid).collect();
        inbox.expunge(&some, true)?;
        Ok(())
    })?;
    Ok(())
}

fn measure(what: &str, count: usize, work: impl FnOnce() -> Outcome) -> Outcome {
    let (started, before) = (Instant::now(), cpu());
    work()?;
    let (wall, used) = (started.elapsed().as_secs_f64(), cpu() - before);
    let each = used * 1e6 / count as f64;
    println!(
        "{count} {what}: {wall:.3} s, {:.0} /s, {each:.1} µs CPU each",
        count as f64 / wall
    );
    Ok(())
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    let fields = after.split(' ').skip(11).take(2);
    fields.filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / 100.0
}
