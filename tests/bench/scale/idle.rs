//! Ten thousand connections in IDLE.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use facteur_tests::{Facteur, Imap, Smtp};

use crate::{
    accounts::address,
    clients::{PASSWORD, message},
    measure::{cpu, open_files, print_memory, print_times},
};

/// Connections that are opened at the same time.
const OPENERS: usize = 20;
/// How many deliveries are timed.
const DELIVERIES: usize = 100;

/// One connection for each account, which has `messages` messages.
pub(crate) fn run(facteur: &mut Facteur, order: &[usize], messages: usize) {
    facteur.stop();
    facteur.restart();
    let before = print_memory(facteur, "idle, no connection");
    let files_before = open_files(facteur);
    let cpu_before = cpu(facteur);
    let next = AtomicUsize::new(0);
    let connections = Mutex::new(Vec::with_capacity(order.len()));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..OPENERS {
            scope.spawn(|| {
                while let Some(n) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut imap = Imap::connect(facteur.address("imap"));
                    imap.login(&address(*n), PASSWORD);
                    let selected = imap.must("SELECT INBOX");
                    let exists = format!("{messages} EXISTS");
                    assert!(selected.untagged.contains(&exists), "{selected:?}");
                    imap.send("IDLE");
                    assert!(imap.connection.line().starts_with('+'));
                    let mut all = connections.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push((*n, imap));
                }
            });
        }
    });
    let time = started.elapsed().as_secs_f64();
    let count = order.len() as f64;
    println!(
        "{:<52} {:>10.0} /s, {:.2} ms CPU each (LOGIN, SELECT, IDLE)",
        format!("{} connections opened", order.len()),
        count / time,
        (cpu(facteur) - cpu_before).as_secs_f64() * 1000.0 / count,
    );
    let after = print_memory(facteur, "with all of them in IDLE");
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / count;
    println!(
        "{:<52} {:>10.1} KiB PSS, {:.1} KiB anonymous, {:.2} open files",
        "each connection, with its mailbox",
        each(after.pss, before.pss),
        each(after.anonymous, before.anonymous),
        (open_files(facteur) - files_before) as f64 / count,
    );
    let mut connections = connections
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    deliveries(facteur, &mut connections);
    let cpu_before = cpu(facteur);
    let started = Instant::now();
    thread::sleep(std::time::Duration::from_secs(10));
    println!(
        "{:<52} {:>10.2} %",
        "CPU while nothing happens",
        (cpu(facteur) - cpu_before).as_secs_f64() / started.elapsed().as_secs_f64() * 100.0
    );
}

/// From the 250 of a delivery to EXISTS at the one who waits.
fn deliveries(facteur: &Facteur, connections: &mut [(usize, Imap)]) {
    let mut lmtp = Smtp::connect(facteur.address("lmtp"));
    lmtp.expect("LHLO client.example", 250);
    let every = (connections.len() / DELIVERIES).max(1);
    let mut times = Vec::new();
    for (n, imap) in connections.iter_mut().step_by(every) {
        let reply = lmtp.send("sender@elsewhere.example", &[&address(*n)], &message(*n));
        assert_eq!(reply.code, 250, "{reply:?}");
        let started = Instant::now();
        while !imap.response_line().ends_with("EXISTS") {}
        times.push(started.elapsed());
    }
    times.sort_unstable();
    print_times("250 of a delivery to EXISTS in IDLE", &times);
}
