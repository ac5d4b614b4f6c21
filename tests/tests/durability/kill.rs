//! The process killed in the middle of 200 deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Barrier, Condvar, Mutex, mpsc},
    thread,
};

use facteur_tests::{Facteur, Imap, PATIENCE, Setup, Smtp};

const ACCOUNTS: usize = 8;
const DELIVERIES: usize = 200;

fn address(account: usize) -> String {
    format!("user{account}@example.test")
}

fn start() -> Facteur {
    (0..ACCOUNTS)
        .fold(Setup::new(), |setup, n| setup.account(&address(n), "pw"))
        .sections("[process]\nsmtpd_client_connection_count_limit = 1000\n")
        .start()
}

/// A delivery: its number says how it comes, and to whom.
struct Delivery {
    id: String,
    to: Vec<usize>,
    way: Way,
}

enum Way {
    Smtp(Smtp),
    Lmtp(Smtp),
    Append(Imap, String),
}

/// What was said of one copy: message and account.
type Copy = (String, usize);

impl Delivery {
    fn message(id: &str) -> String {
        let body = "A line that is there to be there.\r\n".repeat(20 + id.len());
        format!("Message-ID: <{id}>\r\nSubject: {id}\r\n\r\n{body}end of {id}\r\n")
    }

    /// Everything up to the message.
    fn begin(round: usize, n: usize, [smtp, lmtp, imap]: [SocketAddr; 3]) -> Self {
        let id = format!("r{round}n{n}@client.example");
        let mut to = vec![n % ACCOUNTS];
        let way = match n % 3 {
            0 | 1 => {
                to.push((n + 3) % ACCOUNTS);
                let (hello, address) = [("EHLO", smtp), ("LHLO", lmtp)][n % 3];
                let mut client = Smtp::connect(address);
                client.expect(&format!("{hello} client.example"), 250);
                client.expect("MAIL FROM:<a@elsewhere.example>", 250);
                for account in &to {
                    let to = self::address(*account);
                    client.expect(&format!("RCPT TO:<{to}>"), 250);
                }
                client.expect("DATA", 354);
                if n.is_multiple_of(3) {
                    Way::Smtp(client)
                } else {
                    Way::Lmtp(client)
                }
            }
            _ => {
                let mut imap = Imap::connect(imap);
                imap.login(&self::address(to[0]), "pw");
                let length = Self::message(&id).len();
                let tag = imap.send(&format!("APPEND INBOX {{{length}}}"));
                assert!(imap.connection.line().starts_with('+'));
                Way::Append(imap, tag)
            }
        };
        Self { id, to, way }
    }

    /// Sends the message and tells of each acknowledgement; the connection may break at any time.
    fn end(self, acknowledge: impl Fn(Copy)) {
        let mut text = Self::message(&self.id);
        let (connection, good, each) = match self.way {
            Way::Smtp(client) => (client.connection, "250 ".to_owned(), false),
            Way::Lmtp(client) => (client.connection, "250 ".to_owned(), true),
            Way::Append(imap, tag) => (imap.connection, format!("{tag} OK"), false),
        };
        let mut connection = connection;
        text.push_str(if good == "250 " { ".\r\n" } else { "\r\n" });
        if connection.try_send(text.as_bytes()).is_err() {
            return;
        }
        let groups: Vec<&[usize]> = if each {
            self.to.chunks(1).collect()
        } else {
            vec![&self.to]
        };
        for group in groups {
            let Some(line) = connection.try_line() else {
                return;
            };
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(line.starts_with(&good), "{line}");
            for account in group {
                acknowledge((self.id.clone(), *account));
            }
        }
    }
}

/// Every copy that is there, with how many there are of it; each must be whole.
fn census(facteur: &Facteur) -> BTreeMap<Copy, usize> {
    let mut found = BTreeMap::new();
    for account in 0..ACCOUNTS {
        let mut imap = facteur.imap(&address(account), "pw");
        imap.must("SELECT INBOX");
        let all = imap.must("UID FETCH 1:* (RFC822.SIZE BODY.PEEK[])");
        for fetch in all.with("FETCH") {
            let (_, rest) = fetch.split_once("Message-ID: <").unwrap();
            let (id, _) = rest.split_once('>').unwrap();
            assert!(fetch.contains(&Delivery::message(id)), "torn: {fetch}");
            *found.entry((id.to_owned(), account)).or_insert(0) += 1;
        }
    }
    found
}

/// Kills the server when `acknowledged` copies were acknowledged.
fn kill_after(facteur: &mut Facteur, round: usize, acknowledged: usize) -> BTreeSet<Copy> {
    let done = Mutex::new(BTreeSet::new());
    let more = Condvar::new();
    let ready = Barrier::new(DELIVERIES);
    let places = ["smtp", "lmtp", "imap"].map(|name| facteur.address(name));
    thread::scope(|scope| {
        let (failed, failure) = mpsc::channel::<()>();
        for n in 0..DELIVERIES {
            let (done, more, ready, failed) = (&done, &more, &ready, failed.clone());
            scope.spawn(move || {
                let _failed = failed;
                let delivery = Delivery::begin(round, n, places);
                ready.wait();
                delivery.end(|copy| {
                    done.lock().unwrap().insert(copy);
                    more.notify_all();
                });
            });
        }
        drop(failed);
        let guard = done.lock().unwrap();
        let few = |done: &mut BTreeSet<Copy>| done.len() < acknowledged;
        let (guard, late) = more.wait_timeout_while(guard, PATIENCE, few).unwrap();
        assert!(!late.timed_out(), "only {} acknowledged", guard.len());
        drop(guard);
        facteur.kill();
        // All have noticed when nobody is left to say anything.
        let _ = failure.recv_timeout(PATIENCE);
    });
    done.into_inner().unwrap()
}

#[test]
fn kill_amid_200_deliveries_loses_nothing_acknowledged_and_doubles_nothing() {
    let mut facteur = start();
    let mut promised = BTreeSet::new();
    for (round, acknowledged) in [3, 90, 200].into_iter().enumerate() {
        let fresh = kill_after(&mut facteur, round, acknowledged);
        let count = fresh.len();
        promised.extend(fresh);
        facteur.restart();
        let found = census(&facteur);
        for copy in &promised {
            assert_eq!(found.get(copy), Some(&1), "{copy:?} was acknowledged");
        }
        for (copy, count) in &found {
            assert_eq!(*count, 1, "{copy:?}");
        }
        let prefix = format!("r{round}n");
        let there = found.keys().filter(|(id, _)| id.starts_with(&prefix));
        let there: Vec<_> = there.collect();
        // A transaction is there for all of its recipients or for none.
        for n in (0..DELIVERIES).filter(|n| n % 3 != 2) {
            let id = format!("r{round}n{n}@client.example");
            let copies = there.iter().filter(|(other, _)| *other == id).count();
            assert!(copies == 0 || copies == 2, "{id}: {copies}");
        }
        println!(
            "killed at {count} acknowledged copies: {} there",
            there.len()
        );
    }
    // What was left half done does not come back later.
    let before = census(&facteur);
    facteur.kill();
    facteur.restart();
    assert_eq!(census(&facteur), before);
}
