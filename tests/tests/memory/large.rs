//! 50 MB in and out over TLS, a script that looks at the header active.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use facteur_tests::{Facteur, Imap, Pop3, Setup, Smtp, activate_script};

use crate::figure;

const BOB: &str = "bob@example.test";
const SIZE: usize = 50_000_000;
/// How much the server's own memory may grow while such a message passes.
const BOUND: u64 = 8 << 20;

fn message() -> String {
    let mut text = "From: a@elsewhere.example\r\nSubject: large\r\nMIME-Version: 1.0\r\n\
                    Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        .to_owned();
    let line = "QmFzZTY0IGxpbmVzIGFyZSBzZXZlbnR5LXNpeCBjaGFyYWN0ZXJzIGxvbmcsIGFzIGlzIHRoaXMu";
    while text.len() < SIZE {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

/// How much anonymous memory grows at most while `work` is done.
fn growth(pid: u32, what: &str, work: impl FnOnce()) {
    let anonymous = || figure(pid, "status", "RssAnon:");
    let before = anonymous();
    let peak = AtomicU64::new(before);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(anonymous(), Ordering::Relaxed);
                thread::park_timeout(Duration::from_millis(1));
            }
        });
        // Also when it panics: the watcher must end.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    let growth = peak.into_inner() - before;
    println!(
        "{what}: {} kB before, {} kB more at the peak",
        before / 1000,
        growth / 1000
    );
    assert!(growth < BOUND, "{what}: {growth} bytes");
}

fn smtp(facteur: &Facteur) -> Smtp {
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    smtp.starttls(&facteur.certificate())
}

fn begin(smtp: &mut Smtp) {
    smtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
    smtp.expect(&format!("RCPT TO:<{BOB}>"), 250);
}

fn data(smtp: &mut Smtp, text: &str) {
    begin(smtp);
    smtp.expect("DATA", 354);
    smtp.connection.send(text.as_bytes());
    smtp.connection.send(b".\r\n");
    assert_eq!(smtp.reply().code, 250);
}

fn bdat(smtp: &mut Smtp, text: &str) {
    begin(smtp);
    let (first, last) = text.as_bytes().split_at(text.len() / 3);
    smtp.connection.send_line(&format!("BDAT {}", first.len()));
    smtp.connection.send(first);
    assert_eq!(smtp.reply().code, 250);
    smtp.connection
        .send_line(&format!("BDAT {} LAST", last.len()));
    smtp.connection.send(last);
    assert_eq!(smtp.reply().code, 250);
}

fn append(imap: &mut Imap, text: &str) {
    assert!(imap.append("Archive", text).is_ok());
}

/// The end of what is fetched must be what was sent.
fn fetch(imap: &mut Imap, mailbox: &str, text: &str) {
    imap.must(&format!("SELECT {mailbox}"));
    let tag = imap.send("FETCH * BODY[]");
    let head = imap.connection.line();
    let (_, length) = head.strip_suffix('}').unwrap().rsplit_once('{').unwrap();
    let bytes = imap.connection.bytes(length.parse().unwrap());
    assert!(bytes.ends_with(text.as_bytes()), "{mailbox}");
    assert!(imap.finish(&tag).is_ok());
}

/// Fetches much more than memory should hold, and throws it away: returns how much it was.
fn fetch_literals(imap: &mut Imap, what: &str) -> usize {
    let tag = imap.send(&format!("FETCH {what}"));
    let mut sum = 0;
    loop {
        let line = imap.connection.line();
        let literal = line.strip_suffix('}').and_then(|l| l.rsplit_once('{'));
        match literal {
            Some((_, length)) => sum += imap.connection.bytes(length.parse().unwrap()).len(),
            None if line.starts_with(&tag) => return sum,
            None => {}
        }
    }
}

#[test]
fn message_fetched_many_times_with_one_command_passes_in_bounded_memory() {
    let facteur = Setup::new().with_alice_and_bob().start();
    let mut imap = facteur.imap(BOB, "bob-password");
    let text = &message()[..200_000];
    append(&mut imap, text);
    imap.must("SELECT Archive");
    assert_eq!(fetch_literals(&mut imap, "1 BODY[]"), text.len());
    let parts: Vec<String> = (0..500).map(|at| format!("BODY[]<{at}.199000>")).collect();
    growth(facteur.pid(), "FETCH of 500 parts", || {
        let fetched = fetch_literals(&mut imap, &format!("1 ({})", parts.join(" ")));
        assert_eq!(fetched, 500 * 199_000);
    });
}

#[test]
fn many_long_headers_pass_in_bounded_memory() {
    const LONG: usize = 300_000;
    let facteur = Setup::new().with_alice_and_bob().start();
    let mut imap = facteur.imap(BOB, "bob-password");
    let text = format!("X: {}\r\n\r\nbody\r\n", "long ".repeat(LONG / 5));
    append(&mut imap, &text);
    imap.must("SELECT Archive");
    for _ in 0..6 {
        imap.must("COPY 1:* Archive");
    }
    let fetch = |imap: &mut Imap, messages: &str| {
        fetch_literals(
            imap,
            &format!("{messages} BODY.PEEK[HEADER.FIELDS.NOT (Y)]"),
        )
    };
    let one = fetch(&mut imap, "1");
    assert!(one > LONG);
    growth(facteur.pid(), "FETCH of 64 headers", || {
        assert_eq!(fetch(&mut imap, "1:64"), 64 * one);
    });
    // More than that of one message is refused, and nothing else.
    let fields: Vec<String> = (0..100)
        .map(|n| format!("BODY.PEEK[HEADER.FIELDS (X Y{n})]"))
        .collect();
    growth(facteur.pid(), "FETCH of a header 100 times", || {
        let refused = imap.command(&format!("FETCH 1 ({})", fields.join(" ")));
        assert!(refused.tagged.starts_with("NO [SERVERBUG] "), "{refused:?}");
    });
    assert_eq!(fetch(&mut imap, "2"), one);
}

#[test]
fn many_changes_of_another_session_are_told_in_bounded_memory() {
    const MESSAGES: usize = 1 << 14;
    let facteur = Setup::new().with_alice_and_bob().start();
    let [mut one, mut other] = [0, 1].map(|_| facteur.imap(BOB, "bob-password"));
    append(&mut one, "Subject: small\r\n\r\nx\r\n");
    one.must("SELECT Archive");
    while one
        .must("STATUS Archive (MESSAGES)")
        .with(&format!("(MESSAGES {MESSAGES})"))
        .count()
        == 0
    {
        one.must("COPY 1:* Archive");
    }
    other.must("SELECT Archive");
    let keywords: Vec<String> = (0..5)
        .map(|n| format!("keyword{n}{}", "x".repeat(200)))
        .collect();
    one.must(&format!(
        "STORE 1:* +FLAGS.SILENT ({} \\Deleted)",
        keywords.join(" ")
    ));
    growth(facteur.pid(), "NOOP that tells of 16384 changes", || {
        assert_eq!(other.must("NOOP").with(&keywords[4]).count(), MESSAGES + 2);
    });
    one.must("EXPUNGE");
    growth(facteur.pid(), "NOOP that tells of 16384 expunges", || {
        assert_eq!(other.must("NOOP").with("EXPUNGE").count(), MESSAGES);
    });
}

fn retrieve(pop3: &mut Pop3, text: &str) {
    pop3.must("RETR 1");
    let mut sum = 0;
    loop {
        let line = pop3.connection.line();
        if line == "." {
            break;
        }
        sum += line.len() + 2;
    }
    assert!(sum > text.len(), "{sum}");
}

#[test]
fn large_message_passes_in_bounded_memory() {
    let facteur = Setup::new().with_alice_and_bob().start();
    let certificate = facteur.certificate();
    activate_script(
        facteur.address("managesieve"),
        BOB,
        "bob-password",
        "require \"fileinto\"; if header :contains \"subject\" \"large\" { fileinto \"Junk\"; }",
    );
    let mut smtp = smtp(&facteur);
    let mut imap = Imap::connect_tls(facteur.address("imaps"), &certificate);
    imap.login(BOB, "bob-password");
    // Every way once, so that what is made once is there.
    let (small, large) = ("Subject: small\r\n\r\nx\r\n", message());
    data(&mut smtp, small);
    bdat(&mut smtp, small);
    append(&mut imap, small);
    fetch(&mut imap, "INBOX", small);

    let pid = facteur.pid();
    growth(pid, "DATA", || data(&mut smtp, &large));
    growth(pid, "BDAT", || bdat(&mut smtp, &large));
    growth(pid, "APPEND", || append(&mut imap, &large));
    growth(pid, "FETCH of DATA's", || fetch(&mut imap, "Junk", &large));
    growth(pid, "FETCH of APPEND's", || {
        fetch(&mut imap, "Archive", &large)
    });

    // POP3 knows only the INBOX.
    imap.must("SELECT INBOX");
    imap.must("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    imap.must("EXPUNGE");
    imap.must("SELECT Archive");
    imap.must("COPY * INBOX");
    let mut pop3 = Pop3::connect_tls(facteur.address("pop3s"), &certificate);
    pop3.login(BOB, "bob-password");
    growth(pid, "RETR", || {
        retrieve(&mut pop3, &large[..large.len() - 1])
    });
}
