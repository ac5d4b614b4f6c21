//! A thousand clients that wait: each for its own account, and all for one.

use std::{
    ops::Range,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use facteur_tests::{Facteur, Imap, Setup};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::figure;

const CLIENTS: usize = 1000;
/// Connections that are made at once.
const AT_ONCE: usize = 4;

fn user(n: usize) -> String {
    format!("user{n}@example.test")
}

/// A thousand accounts in a passwd-file: nothing has to be hashed for them.
fn many() -> Facteur {
    // Each client has a socket here.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let setup = Setup::new().with_users_in_a_file().sections(
        "[process]\nclient_connection_count_limit = 3000\n[imap]\nmail_max_userip_connections = 3000\n",
    );
    (0..CLIENTS)
        .fold(setup, |setup, n| setup.account(&user(n), "pw"))
        .start()
}

fn idle(facteur: &Facteur, n: usize, certificate: Option<&Path>) -> Imap {
    let mut imap = match certificate {
        Some(certificate) => Imap::connect_tls(facteur.address("imaps"), certificate),
        None => Imap::connect(facteur.address("imap")),
    };
    imap.login(&user(n), "pw");
    imap.must("SELECT INBOX");
    imap.send("IDLE");
    assert!(imap.connection.line().starts_with('+'));
    imap
}

/// The server's share of memory: all of it, and what is its own.
fn share(facteur: &Facteur) -> [u64; 2] {
    ["Pss:", "Anonymous:"].map(|name| figure(facteur.pid(), "smaps_rollup", name))
}

/// Connects clients from one number to another, to as many accounts or to one.
fn connect(
    facteur: &Facteur,
    numbers: Range<usize>,
    one_account: bool,
    certificate: Option<&Path>,
) -> Vec<Imap> {
    let next = AtomicUsize::new(numbers.start);
    let connect = || {
        let mut mine = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= numbers.end {
                return mine;
            }
            let account = if one_account { 0 } else { n };
            mine.push(idle(facteur, account, certificate));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(connect)).collect();
        let joined = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        joined.collect()
    })
}

/// Connects everybody. Returns how many bytes of its own the server takes for each, all in all, and
/// for each of the second half: by then what it keeps a fixed number of, such as open indexes, is
/// there.
fn measure(facteur: &Facteur, what: &str, certificate: Option<&Path>) -> [u64; 2] {
    // Everything that is made once.
    drop(idle(facteur, 0, certificate));
    let before = share(facteur);
    let mut clients = connect(facteur, 0..CLIENTS / 2, false, certificate);
    let half = share(facteur);
    clients.extend(connect(facteur, CLIENTS / 2..CLIENTS, false, certificate));
    let after = share(facteur);
    assert_eq!(clients.len(), CLIENTS);
    let each = |n: usize, from: &[u64; 2], connections: usize| {
        after[n].saturating_sub(from[n]) / connections as u64
    };
    let [all, later] = [each(1, &before, CLIENTS), each(1, &half, CLIENTS / 2)];
    println!(
        "{what}: {CLIENTS} connections in IDLE on {CLIENTS} accounts: {} bytes PSS and {all} bytes anonymous for each; \
         {later} anonymous for each of the second half; the server alone {} kB PSS, {} kB anonymous",
        each(0, &before, CLIENTS),
        before[0] / 1000,
        before[1] / 1000
    );
    [all, later]
}

/// The same on one account, so that what accounts cost is left out.
fn measure_alone(what: &str, tls: bool) -> u64 {
    let facteur = many();
    let certificate = tls.then(|| facteur.certificate());
    let first = idle(&facteur, 0, certificate.as_deref());
    let [_, before] = share(&facteur);
    let clients = connect(&facteur, 0..CLIENTS, true, certificate.as_deref());
    let [_, after] = share(&facteur);
    drop((first, clients));
    let each = after.saturating_sub(before) / CLIENTS as u64;
    println!(
        "{what}: {CLIENTS} connections in IDLE on one account: {each} bytes anonymous for each"
    );
    each
}

#[test]
fn connection_in_idle_costs_at_most_16_kib_in_clear_and_32_kib_over_tls() {
    let clear = measure_alone("clear", false);
    let tls = measure_alone("TLS", true);
    assert!(clear <= 16 << 10 && tls <= 32 << 10, "{clear}, {tls}");
}

#[test]
fn thousand_clients_in_idle_over_tls_cost_little() {
    let facteur = many();
    let certificate = facteur.certificate();
    let [all, later] = measure(&facteur, "TLS", Some(&certificate));
    assert!(all < 80 << 10 && later < 40 << 10, "{all}, {later}");
}

#[test]
fn thousand_clients_in_idle_in_clear_cost_little() {
    let facteur = many();
    let [all, later] = measure(&facteur, "clear", None);
    assert!(all < 72 << 10 && later < 32 << 10, "{all}, {later}");
}
