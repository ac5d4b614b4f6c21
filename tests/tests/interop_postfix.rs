//! A real Postfix and Facteur send each other mail.
#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says so and ends"
)]

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use facteur_tests::{Facteur, Setup, Smtp, require_peer, require_root, wait_for};
use rustix::process::{Pid, Signal, kill_process};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
/// Postfix's user.
const PIA: &str = "pia@peer.test";
/// Whose mailbox Postfix writes as: Debian's `nobody`.
const NOBODY: u32 = 65534;

/// What runs in Postfix. All of it without chroot, as its folders are in no usual place.
const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// A Postfix that has `peer.test` and sends `example.test` to Facteur; ends when dropped.
struct Postfix {
    folder: tempfile::TempDir,
    master: Option<Child>,
    address: SocketAddr,
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Postfix {
    /// Starts it on a port. Whoever asks for TLS at the other finds a version that nobody speaks.
    fn start(program: &Path, [port, old]: [u16; 2], facteur: &Facteur) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("facteur-postfix-")
            .tempdir();
        let this = Self {
            folder: folder.expect("a folder"),
            master: None,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        let root = this.folder.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("its mode");
        for name in ["etc", "queue", "data", "mail"] {
            fs::create_dir(root.join(name)).expect("a folder");
        }
        chown(root.join("mail"), Some(NOBODY), Some(NOBODY)).expect("the mailboxes' owner");
        let owned = Command::new("chown")
            .arg("postfix")
            .arg(root.join("data"))
            .status();
        assert!(owned.expect("chown").success());
        fs::copy(facteur.certificate(), root.join("cert.pem")).expect("a certificate");
        fs::copy(facteur.data().join("certificate.key"), root.join("key.pem")).expect("a key");
        let services = format!(
            "127.0.0.1:{port} inet n - n - - smtpd\n\
             127.0.0.1:{old} inet n - n - - smtpd\n  -o smtpd_tls_protocols=TLSv1\n{SERVICES}"
        );
        fs::write(root.join("etc/master.cf"), services).expect("master.cf");
        let settings = this.settings(facteur.address("smtp").port());
        fs::write(root.join("etc/main.cf"), settings).expect("main.cf");
        this.run(program)
    }

    fn settings(&self, facteur: u16) -> String {
        let root = self.folder.path().display();
        format!(
            "compatibility_level = 3.6\nqueue_directory = {root}/queue\ndata_directory = {root}/data\n\
             maillog_file = /dev/stdout\nmyhostname = mx.peer.test\nmydestination =\n\
             mynetworks = 127.0.0.0/8\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
             alias_maps =\nalias_database =\nlocal_recipient_maps =\n\
             smtpd_tls_cert_file = {root}/cert.pem\nsmtpd_tls_key_file = {root}/key.pem\n\
             smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\n\
             smtp_tls_security_level = may\nsmtputf8_enable = no\n\
             virtual_mailbox_domains = peer.test, old.test\nvirtual_mailbox_base = {root}/mail\n\
             virtual_mailbox_maps = inline:{{ {{ {PIA} = pia }}, {{ pia@old.test = old }}, {{ closed@peer.test = closed }} }}\n\
             virtual_uid_maps = static:{NOBODY}\nvirtual_gid_maps = static:{NOBODY}\nvirtual_minimum_uid = 1\n\
             transport_maps = inline:{{ {{ example.test = smtp:[127.0.0.1]:{facteur} }}, {{ closed@peer.test = error:5.2.1 mailbox closed }} }}\n\
             relayhost = [127.0.0.1]:{facteur}\n"
        )
    }

    fn run(mut self, program: &Path) -> Self {
        let log = fs::File::create(self.log_file()).expect("a log");
        let master = Command::new(program)
            .arg("-c")
            .arg(self.folder.path().join("etc"))
            .arg("start-fg")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn();
        self.master = Some(master.expect("Postfix starts"));
        wait_for("Postfix", || {
            let ended = self.master.as_mut()?.try_wait().expect("its state");
            assert!(ended.is_none(), "Postfix ended:\n{}", self.log());
            self.log().contains("daemon started").then_some(())
        });
        self
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits until one of its mailbox files has this text, and returns the file.
    fn wait_mailbox(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join("mail").join(name);
        wait_for(text, || {
            let mail = fs::read(&file).unwrap_or_default();
            let mail = String::from_utf8_lossy(&mail).into_owned();
            mail.contains(text).then_some(mail)
        })
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if let Some(mut master) = self.master.take() {
            // What was started waits for the daemon, which ends all its processes.
            let pid = fs::read_to_string(self.folder.path().join("queue/pid/master.pid"));
            let pid = pid
                .ok()
                .and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
            let pid = pid.unwrap_or_else(|| Pid::from_child(&master));
            let _ = kill_process(pid, Signal::TERM);
            let _ = master.wait();
            if std::thread::panicking() {
                eprintln!("Postfix's log:\n{}", self.log());
            }
        }
    }
}

/// Facteur and Postfix, each of which knows where the other is.
fn pair() -> Option<(Facteur, Postfix)> {
    let postfix = require_peer("postfix")?;
    if !require_root("Postfix") {
        return None;
    }
    let ports = [free_port(), free_port()];
    let facteur = Setup::new()
        .with_alice_and_bob()
        .sections(&format!(
            "[queue]\nminimal_backoff_time = \"1s\"\n\
             transport_maps = {{ \"peer.test\" = \"smtp:[127.0.0.1]:{}\", \"old.test\" = \"smtp:[127.0.0.1]:{}\" }}\n",
            ports[0], ports[1]
        ))
        .start();
    let postfix = Postfix::start(&postfix, ports, &facteur);
    Some((facteur, postfix))
}

/// A message with lines that are hard to carry.
fn message(subject: &str) -> String {
    format!(
        "From: <{ALICE}>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}",
        body()
    )
}

fn body() -> String {
    let long = "Été ".repeat(150);
    let many = "a line of many\r\n".repeat(10_000);
    format!(".\r\n..\r\n.dot\r\n\r\n{long}\r\n trailing \t\r\n{many}the end\r\n")
}

/// Hands a message in, as a client does.
fn hand_in(smtp: &mut Smtp, from: &str, to: &[&str], message: &str) {
    smtp.expect(&format!("MAIL FROM:<{from}> BODY=8BITMIME"), 250);
    for recipient in to {
        smtp.expect(&format!("RCPT TO:<{recipient}>"), 250);
    }
    assert_eq!(smtp.data(message).code, 250);
}

/// An SMTP client of Facteur's port 25, to which loopback may relay.
fn facteur_smtp(facteur: &Facteur) -> Smtp {
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    smtp
}

fn postfix_smtp(postfix: &Postfix) -> Smtp {
    let mut smtp = Smtp::connect(postfix.address);
    smtp.expect("EHLO client.example", 250);
    smtp
}

/// Waits for the first message of a user's INBOX that has this text.
fn wait_inbox(facteur: &Facteur, user: &str, password: &str, text: &str) -> String {
    let mut imap = facteur.imap_tls(user, password);
    imap.must("SELECT INBOX");
    let mut next = 1;
    wait_for(text, || {
        imap.must("NOOP");
        let found = imap.must("UID SEARCH ALL");
        let found = found.with("SEARCH").next().unwrap_or_default().to_owned();
        let uids = found.split(' ').filter_map(|uid| uid.parse::<u32>().ok());
        for uid in uids.filter(|&uid| uid >= next).collect::<Vec<_>>() {
            next = uid + 1;
            let message = imap.fetch_text(uid);
            if message.contains(text) {
                return Some(message);
            }
        }
        None
    })
}

#[test]
fn postfix_sends_us_mail_through_starttls() {
    let Some((facteur, postfix)) = pair() else {
        return;
    };
    let mut smtp = postfix_smtp(&postfix);
    hand_in(&mut smtp, PIA, &[BOB, ALICE], &message("from postfix"));
    for (user, password) in [(BOB, "bob-password"), (ALICE, "alice-password")] {
        let text = wait_inbox(&facteur, user, password, "Subject: from postfix\r\n");
        assert!(
            text.starts_with(&format!("Return-Path: <{PIA}>\r\n")),
            "{}",
            &text[..400]
        );
        assert!(text.ends_with(&body()), "the body is as it was sent");
        // The first Received is ours, of the hop from Postfix.
        let ours = text.split("\r\nReceived: ").nth(1).expect("our Received");
        assert!(
            ours.contains("mx.peer.test") && ours.contains("TLSv1.3"),
            "{ours}"
        );
        assert!(ours.contains("with ESMTPS"), "{ours}");
    }
    // Whom we do not have goes back to Postfix's user, by Postfix.
    hand_in(
        &mut smtp,
        PIA,
        &["nobody@example.test"],
        &message("to nobody"),
    );
    let bounce = postfix.wait_mailbox("pia", "Subject: to nobody\n");
    assert!(
        bounce.contains("550 5.1.1 <nobody@example.test>: user unknown"),
        "{bounce}"
    );
}

#[test]
fn we_send_postfix_mail_through_starttls_and_return_what_it_refuses() {
    let Some((facteur, postfix)) = pair() else {
        return;
    };
    let mut smtp = facteur_smtp(&facteur);
    let recipients = [PIA, "nobody@peer.test", "closed@peer.test"];
    hand_in(&mut smtp, ALICE, &recipients, &message("from facteur"));
    let mail = postfix.wait_mailbox("pia", "Subject: from facteur\n");
    assert!(
        mail.contains(&format!("\n\n{}", body().replace("\r\n", "\n"))),
        "{}",
        &mail[..800]
    );
    let first = mail
        .split("\nReceived: ")
        .nth(1)
        .expect("Postfix's Received");
    assert!(
        first.contains("mail.example.test") && first.contains("using TLSv1.3"),
        "{first}"
    );
    assert!(first.contains("with ESMTPS"), "{first}");

    // Refused at RCPT: our bounce, with Postfix's words.
    let bounce = wait_inbox(&facteur, ALICE, "alice-password", "nobody@peer.test");
    for part in [
        "Return-Path: <>\r\n",
        "Content-Type: multipart/report;",
        "report-type=delivery-status",
        "Final-Recipient: rfc822; nobody@peer.test\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1",
        "Subject: from facteur\r\n",
    ] {
        assert!(
            bounce.contains(part),
            "{part}: {}",
            &bounce[..bounce.len().min(3000)]
        );
    }
    assert!(
        !bounce.contains(&format!("rfc822; {PIA}")),
        "only what failed"
    );

    // Taken and returned by Postfix, with its null sender.
    let returned = wait_inbox(&facteur, ALICE, "alice-password", "closed@peer.test");
    assert!(
        returned.starts_with("Return-Path: <>\r\n"),
        "{}",
        &returned[..300]
    );
    assert!(returned.contains("mailbox closed"), "{}", &returned[..3000]);
    let queue = facteur.must(&["queue", "list"], "");
    assert!(!queue.contains(PIA) && !queue.contains(ALICE), "{queue}");
}

#[test]
fn we_send_in_clear_when_starttls_fails() {
    let Some((facteur, postfix)) = pair() else {
        return;
    };
    let mut smtp = facteur_smtp(&facteur);
    hand_in(&mut smtp, ALICE, &["pia@old.test"], &message("in clear"));
    let mail = postfix.wait_mailbox("old", "Subject: in clear\n");
    let first = mail
        .split("\nReceived: ")
        .nth(1)
        .expect("Postfix's Received");
    assert!(
        first.contains("mail.example.test") && first.contains("with ESMTP id"),
        "{first}"
    );
    assert!(postfix.log().contains("SSL_accept error"), "it was tried");
}
