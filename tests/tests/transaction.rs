//! One SMTP transaction to five recipients: kept, rejected by script, over quota, script error, and
//! elsewhere. Each has its outcome, also when the process dies at any step of the commit.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use facteur_tests::{Facteur, PATIENCE, Setup, Smtp, Strace, activate_script, require_peer};
use serde_json::Value;

const SENDER: &str = "sender@example.test";
const KEEP: &str = "keep@example.test";
const REJECT: &str = "reject@example.test";
const FULL: &str = "full@example.test";
const BROKEN: &str = "broken@example.test";
const REMOTE: &str = "far@remote.test";
const PASSWORD: &str = "a-password";

/// Five recipients, and a server elsewhere that cannot be reached.
fn five() -> Facteur {
    // A port on which nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let setup = [SENDER, KEEP, REJECT, FULL, BROKEN]
        .into_iter()
        .fold(Setup::new(), |setup, who| setup.account(who, PASSWORD));
    let facteur = setup
        .sections(&format!(
            "[queue]\ntransport_maps = {{ \"remote.test\" = \"smtp:[127.0.0.1]:{port}\" }}\n"
        ))
        .start();
    facteur.must(&["account", "set", FULL, "--quota", "1"], "");
    let sieve = facteur.address("managesieve");
    activate_script(
        sieve,
        REJECT,
        PASSWORD,
        "require \"reject\"; reject \"Not for me.\";",
    );
    // It is well-formed; what it includes is not there when it runs.
    activate_script(
        sieve,
        BROKEN,
        PASSWORD,
        "require [\"include\", \"fileinto\"]; include \"missing\"; fileinto \"Trash\";",
    );
    facteur
}

fn message(token: &str) -> String {
    format!(
        "From: {SENDER}\r\nTo: {KEEP}\r\nSubject: five {token}\r\nMessage-ID: <{token}@example.test>\r\n\
         Date: Fri, 20 Nov 2026 12:00:00 +0000\r\n\r\nFirst line of {token}.\r\n{}last line of {token}.\r\n",
        "In between there is a line.\r\n".repeat(50)
    )
}

/// The envelope, ready for DATA.
fn begin(facteur: &Facteur) -> Smtp {
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    smtp.expect(&format!("MAIL FROM:<{SENDER}>"), 250);
    for to in [KEEP, REJECT, FULL, BROKEN, REMOTE] {
        smtp.expect(&format!("RCPT TO:<{to}>"), 250);
    }
    smtp.expect("DATA", 354);
    smtp
}

/// Sends the message after DATA; whether it was acknowledged before the connection broke.
fn end(smtp: &mut Smtp, text: &str) -> bool {
    let whole = format!("{text}.\r\n");
    if smtp.connection.try_send(whole.as_bytes()).is_err() {
        return false;
    }
    match smtp.connection.try_line() {
        None => false,
        Some(line) => {
            assert!(
                line.starts_with(b"250 "),
                "{}",
                String::from_utf8_lossy(&line)
            );
            true
        }
    }
}

/// Every message in an account's INBOX.
fn inbox(facteur: &Facteur, who: &str) -> Vec<String> {
    let mut imap = facteur.imap(who, PASSWORD);
    imap.must("SELECT INBOX");
    let uids = imap.must("UID SEARCH ALL");
    let uids = uids.with("SEARCH").next().unwrap_or_default().to_owned();
    uids.split_whitespace()
        .filter_map(|uid| uid.parse().ok())
        .map(|uid| imap.fetch_text(uid))
        .collect()
}

/// What waits in the queue: recipients of each entry.
fn queue(facteur: &Facteur) -> Vec<Value> {
    facteur
        .must(&["queue", "list", "--json"], "")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn is_remote(entry: &Value) -> bool {
    entry["recipients"][0]["forward_path"] == REMOTE
}

/// Waits until nothing waits but what is for elsewhere, and returns that.
fn settled(facteur: &Facteur) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waiting = queue(facteur);
        if waiting.iter().all(is_remote) {
            return waiting;
        }
        assert!(Instant::now() < deadline, "{waiting:?}\n{}", facteur.log());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// How many copies and notices of `token` there are; fails on one that is not whole.
fn census(facteur: &Facteur, token: &str) -> BTreeMap<&'static str, usize> {
    let remote = settled(facteur);
    let mut found = BTreeMap::from([("remote", remote.len())]);
    for (name, who) in [
        ("keep", KEEP),
        ("broken", BROKEN),
        ("reject", REJECT),
        ("full", FULL),
    ] {
        let copies: Vec<String> = inbox(facteur, who)
            .into_iter()
            .filter(|text| text.contains(&format!("<{token}@")))
            .collect();
        for copy in &copies {
            assert!(
                copy.starts_with(&format!("Return-Path: <{SENDER}>")),
                "{copy}"
            );
            assert!(copy.ends_with(&message(token)), "{copy}");
        }
        found.insert(name, copies.len());
    }
    let notices = inbox(facteur, SENDER)
        .into_iter()
        .filter(|text| text.contains(&format!("<{token}@")));
    let mut counted = 0;
    for notice in notices {
        assert!(notice.starts_with("Return-Path: <>"), "{notice}");
        for part in [
            REJECT,
            FULL,
            "Not for me.",
            "5.7.1",
            "5.2.2",
            "multipart/report",
        ] {
            assert!(notice.contains(part), "{part} is not in\n{notice}");
        }
        for other in [KEEP, BROKEN, REMOTE] {
            assert!(!notice.contains(&format!("rfc822;{other}")), "{notice}");
        }
        counted += 1;
    }
    found.insert("notices", counted);
    found
}

const ONCE: [(&str, usize); 6] = [
    ("keep", 1),
    ("broken", 1),
    ("reject", 0),
    ("full", 0),
    ("notices", 1),
    ("remote", 1),
];

#[test]
fn five_recipients_have_five_outcomes() {
    let facteur = five();
    let mut smtp = begin(&facteur);
    assert!(end(&mut smtp, &message("plain")));
    assert_eq!(census(&facteur, "plain"), BTreeMap::from(ONCE));
    let suspended = facteur.wait_log_where("the script error", |entry| {
        entry["message"]
            .as_str()
            .unwrap_or_default()
            .contains("message kept")
    });
    assert!(suspended.to_string().contains(BROKEN), "{suspended}");
    let waiting = settled(&facteur);
    assert_eq!(waiting[0]["reverse_path"], SENDER);
    assert_eq!(waiting[0]["recipients"].as_array().unwrap().len(), 1);

    // Known to be too large, it is refused for the full mailbox at once.
    smtp.expect(&format!("MAIL FROM:<{SENDER}> SIZE=2000"), 250);
    let refused = smtp.expect(&format!("RCPT TO:<{FULL}>"), 552);
    assert!(refused.lines[0].starts_with("5.2.2 "), "{refused:?}");
    smtp.expect(&format!("RCPT TO:<{KEEP}>"), 250);

    // Those who refuse are told apart only where the protocol can: LMTP.
    let mut lmtp = Smtp::connect(facteur.address("lmtp"));
    lmtp.expect("LHLO client.example", 250);
    lmtp.expect(&format!("MAIL FROM:<{SENDER}>"), 250);
    for to in [KEEP, REJECT, FULL, BROKEN] {
        lmtp.expect(&format!("RCPT TO:<{to}>"), 250);
    }
    assert_eq!(lmtp.data(&message("lmtp")).code, 250);
    assert_eq!(lmtp.reply().code, 550);
    assert_eq!(lmtp.reply().code, 552);
    assert_eq!(lmtp.reply().code, 250);
    let found = census(&facteur, "lmtp");
    assert_eq!(
        (found["keep"], found["broken"], found["notices"]),
        (1, 1, 0)
    );
}

/// What became of a message before it was sent again.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Fate {
    /// The server lived to say 250.
    Acknowledged,
    /// Nothing is left of it.
    Gone,
    /// The next start finished it.
    Finished,
}

/// Kills the server at its `nth` call of `call` after the end of data.
fn killed_at(facteur: &mut Facteur, strace: &Path, call: &str, nth: u32) -> Fate {
    let token = format!("{call}-{nth}");
    let mut smtp = begin(facteur);
    let output = facteur.folder().join("kill.strace");
    let tracer = Strace::attach(
        strace,
        facteur.pid(),
        &output,
        &[
            &format!("--trace={call}"),
            &format!("--inject={call}:signal=SIGKILL:when={nth}"),
        ],
    );
    let acknowledged = end(&mut smtp, &message(&token));
    if acknowledged {
        facteur.kill();
    } else {
        facteur.wait();
    }
    drop(tracer);
    facteur.restart();
    let before = census(facteur, &token);
    // All of it or nothing.
    let kept = before["keep"];
    assert!(kept <= 1, "{token}: {before:?}");
    if acknowledged {
        assert_eq!(before, BTreeMap::from(ONCE), "{token}");
    } else {
        for (what, once) in ONCE {
            assert_eq!(before[what], kept * once, "{token}: {before:?}");
        }
        let mut smtp = begin(facteur);
        assert!(end(&mut smtp, &message(&token)), "{token}");
        let after = census(facteur, &token);
        for (what, once) in ONCE {
            assert_eq!(after[what], (kept + 1) * once, "{token}: {after:?}");
        }
    }
    for entry in queue(facteur) {
        let id = entry["queue_id"].as_str().unwrap();
        facteur.must(&["queue", "delete", id], "");
    }
    match (acknowledged, kept) {
        (true, _) => Fate::Acknowledged,
        (false, 0) => Fate::Gone,
        (false, _) => Fate::Finished,
    }
}

/// Every step of a commit is one of these calls. Files and folders in the store's own order are
/// gone through call by call in `storage/store/tests`; here it is the real process that dies.
#[test]
fn five_recipients_have_five_outcomes_after_a_kill_at_each_step() {
    let Some(strace) = require_peer("strace") else {
        return;
    };
    let mut facteur = five();
    let mut fates = BTreeMap::new();
    for call in [
        "fsync",
        "fdatasync",
        "rename",
        "renameat2",
        "unlink",
        "pwrite64",
    ] {
        for nth in 1.. {
            let fate = killed_at(&mut facteur, &strace, call, nth);
            *fates.entry((fate, call)).or_insert(0) += 1;
            if fate == Fate::Acknowledged {
                break;
            }
            assert!(nth < 100, "{call} is called for ever");
        }
    }
    println!("killed at each call: {fates:?}");
    // On both sides of the point from which it will be done.
    for fate in [Fate::Gone, Fate::Finished] {
        assert!(fates.keys().any(|(f, _)| *f == fate), "{fates:?}");
    }
}
