//! How many durable commits a second: `commits DIR [THREADS] [RECORD BYTES] [SECONDS] [written]`.
//! A checkpoint (rotate, cut) follows whenever 64 MiB have been written, as in a store at work.

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use facteur_disk::Disk;
use facteur_journal::{Journal, JournalError, Options, Until};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (threads, size, seconds) = (number(20)?, number(4096)?, number(5)?);
    let until = match arguments.next().as_deref() {
        Some("written") => Until::Written,
        _ => Until::Durable,
    };
    let (disk, faults) = Disk::failing(u64::MAX, io::ErrorKind::Other);
    let (journal, _) = Journal::open(disk, Options::new(&dir))?;
    let body = vec![b'x'; usize::try_from(size)?];
    let (commits, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let result: Result<(), JournalError> = std::thread::scope(|scope| {
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let ticket = journal.append(&[&body])?;
                journal.wait(ticket, until)?;
                commits.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while begun.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(Duration::from_millis(20));
            if journal.bytes() > 64 << 20 {
                let here = journal.rotate()?;
                journal.cut(here)?;
            }
        }
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            if let Ok(result) = worker.join() {
                result?;
            }
        }
        Ok(())
    });
    result?;
    let took = begun.elapsed().as_secs_f64();
    let commits = commits.load(Ordering::Relaxed);
    let count = |name: &str| faults.log().iter().filter(|call| **call == name).count();
    let (syncs, writes) = (count("sync_data"), count("write"));
    println!(
        "{threads} threads, {size} bytes: {:.0} commits/s, {:.3} syncs and {:.3} writes a commit, \
         {:.0} syncs/s",
        commits as f64 / took,
        syncs as f64 / commits as f64,
        writes as f64 / commits as f64,
        syncs as f64 / took,
    );
    journal.close()?;
    Ok(())
}
