//! Clients of others that send, fetch and upload scripts. What they did is looked at with another.

use std::path::Path;

use facteur_tests::{Facteur, Imap, Setup, Workdir, require_peer};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

/// A server that lets no password cross without TLS.
fn start() -> Facteur {
    Setup::new()
        .with_alice_and_bob()
        .sections("[auth]\nplaintext_auth_on_loopback = false\nauth_failure_delay = \"0s\"\n")
        .start()
}

fn port(server: &Facteur, listener: &str) -> String {
    server.address(listener).port().to_string()
}

fn certificate(server: &Facteur) -> String {
    server.certificate().display().to_string()
}

/// The texts of all messages of Bob's INBOX.
fn texts(server: &Facteur) -> Vec<String> {
    imap_texts(&mut server.imap_tls(BOB, "bob-password"))
}

fn imap_texts(imap: &mut Imap) -> Vec<String> {
    imap.must("SELECT INBOX");
    let found = imap.must("UID SEARCH ALL");
    let uids = found.with("SEARCH").next().unwrap_or_default().to_owned();
    let uids = uids.split(' ').filter_map(|uid| uid.parse().ok());
    uids.map(|uid| imap.fetch_text(uid)).collect()
}

/// Puts messages into Bob's INBOX, with these subjects.
fn fill(server: &Facteur, subjects: &[&str]) {
    let mut smtp = server.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    for subject in subjects {
        let message =
            format!("From: {ALICE}\r\nTo: {BOB}\r\nSubject: {subject}\r\n\r\n.dot\r\nbody\r\n");
        assert_eq!(smtp.send(ALICE, &[BOB], &message).code, 250);
    }
}

#[test]
fn swaks_sends_by_every_way_in() {
    let Some(swaks) = require_peer("swaks") else {
        return;
    };
    let server = start();
    let (work, trust) = (Workdir::new(&server, "swaks"), certificate(&server));
    let send = |subject: &str, listener: &str, more: &str| {
        let (port, header) = (port(&server, listener), format!("Subject: {subject}"));
        let mut arguments = vec!["--server", "localhost", "--port", &port];
        arguments.extend(["--from", ALICE, "--to", BOB, "--header", &header]);
        if more.contains("--tls") {
            arguments.extend(["--tls-verify", "--tls-ca-path", &trust]);
        }
        if more.contains("--auth") {
            arguments.extend(["--auth-user", ALICE]);
            if !more.contains("--auth-password") {
                arguments.extend(["--auth-password", "alice-password"]);
            }
        }
        arguments.extend(more.split_whitespace());
        work.run(&swaks, &arguments, "")
    };
    for (subject, listener, more) in [
        ("25 plain", "smtp", ""),
        ("25 tls", "smtp", "--tls --pipeline"),
        ("587 plain", "submission", "--tls --auth PLAIN"),
        ("587 login", "submission", "--tls --auth LOGIN"),
        ("465 plain", "submissions", "--tls-on-connect --auth PLAIN"),
        ("lmtp", "lmtp", "--protocol LMTP"),
    ] {
        let ran = send(subject, listener, more);
        assert_eq!(ran.code, Some(0), "{subject}: {}", ran.output);
        let texts = texts(&server);
        let text = texts.last().expect("the message");
        assert!(text.contains(&format!("Subject: {subject}\r\n")), "{text}");
        assert_eq!(more.contains("--tls"), text.contains("TLSv1.3"), "{text}");
    }
    // swaks ends with 28 when AUTH fails or is not there, with 23 and 24 when MAIL or RCPT does.
    for (listener, more, code, says) in [
        ("submission", "--auth PLAIN", 28, ""),
        ("submission", "--tls", 23, "530 5.7.0"),
        (
            "submission",
            "--tls --auth PLAIN --auth-password no",
            28,
            "535 5.7.8",
        ),
        ("smtp", "--to nobody@example.test", 24, "550 5.1.1"),
    ] {
        let ran = send("never", listener, more);
        assert_eq!(ran.code, Some(code), "{listener} {more}: {}", ran.output);
        assert!(ran.output.contains(says), "{more}: {}", ran.output);
    }
    assert_eq!(texts(&server).len(), 6);
}

#[test]
fn curl_sends_and_reads() {
    let Some(curl) = require_peer("curl") else {
        return;
    };
    let server = start();
    let (work, trust) = (Workdir::new(&server, "curl"), certificate(&server));
    let run = |url: &str, more: &[&str], input: &str| {
        let mut arguments = vec!["--silent", "--show-error", "--cacert", &trust, "--url", url];
        arguments.extend(more);
        work.must(&curl, &arguments, input)
    };
    let mail = [
        "--mail-from",
        ALICE,
        "--mail-rcpt",
        BOB,
        "--upload-file",
        "-",
    ];
    let alice = ["--ssl-reqd", "--user", "alice@example.test:alice-password"];
    for (url, user) in [
        (format!("smtp://localhost:{}", port(&server, "smtp")), false),
        (
            format!("smtp://localhost:{}", port(&server, "submission")),
            true,
        ),
        (
            format!("smtps://localhost:{}", port(&server, "submissions")),
            true,
        ),
    ] {
        let more = if user {
            [&mail[..], &alice].concat()
        } else {
            mail.to_vec()
        };
        run(
            &url,
            &more,
            "From: alice@example.test\r\nSubject: by curl\r\n\r\n.dot\r\nHello.\r\n",
        );
    }
    let texts = texts(&server);
    assert_eq!(texts.len(), 3);
    let bob = ["--user", "bob@example.test:bob-password"];
    let imaps = format!("imaps://localhost:{}", port(&server, "imaps"));
    let pop3s = format!("pop3s://localhost:{}", port(&server, "pop3s"));
    for (at, text) in texts.iter().enumerate() {
        assert!(text.ends_with("\r\n\r\n.dot\r\nHello.\r\n"), "{text}");
        let by_imap = run(&format!("{imaps}/INBOX;MAILINDEX={}", at + 1), &bob, "");
        assert_eq!(by_imap, *text);
        assert_eq!(run(&format!("{pop3s}/{}", at + 1), &bob, ""), *text);
    }
    assert_eq!(
        run(&format!("{imaps}/INBOX?SUBJECT%20curl"), &bob, ""),
        "* SEARCH 1 2 3\r\n"
    );
    let upload = [&bob[..], &["--upload-file", "-"]].concat();
    work.write("draft", "Subject: a draft\r\n\r\ntext\r\n");
    let upload = upload
        .iter()
        .map(|&word| if word == "-" { "draft" } else { word });
    run(&format!("{imaps}/Drafts"), &upload.collect::<Vec<_>>(), "");
    let draft = run(&format!("{imaps}/Drafts;UID=1"), &bob, "");
    assert_eq!(draft, "Subject: a draft\r\n\r\ntext\r\n");
    assert_eq!(run(&pop3s, &bob, "").lines().count(), 3);
}

#[test]
fn msmtp_submits_and_hears_of_unknown_recipients() {
    let Some(msmtp) = require_peer("msmtp") else {
        return;
    };
    let server = start();
    let work = Workdir::new(&server, "msmtp");
    let account = |name: &str, listener: &str, tls: &str, auth: &str| {
        format!(
            "account {name}\nhost localhost\nport {}\ntls on\ntls_starttls {tls}\n\
             tls_trust_file {}\nfrom {ALICE}\nauth {auth}\nuser {ALICE}\npassword alice-password\n",
            port(&server, listener),
            certificate(&server)
        )
    };
    let settings = account("starttls", "submission", "on", "login")
        + &account("implicit", "submissions", "off", "plain");
    work.write("msmtprc", &settings);
    let message = "From: alice@example.test\nSubject: by msmtp\n\n.dot\nbody\n";
    for name in ["starttls", "implicit"] {
        work.must(&msmtp, &["-C", "msmtprc", "-a", name, BOB], message);
    }
    let texts = texts(&server);
    assert_eq!(texts.len(), 2);
    for text in texts {
        assert!(text.ends_with("\r\n\r\n.dot\r\nbody\r\n"), "{text}");
        assert!(text.contains("\r\nMessage-ID: <"), "{text}");
    }
    let refused = work.run(
        &msmtp,
        &["-C", "msmtprc", "-a", "starttls", "nobody@example.test"],
        message,
    );
    assert_eq!(refused.code, Some(65), "EX_DATAERR: {}", refused.output);
    assert!(refused.output.contains("550 5.1.1"), "{}", refused.output);
}

#[test]
fn python_standard_library_sends_and_reads() {
    let Some(python) = require_peer("python3") else {
        return;
    };
    let server = start();
    let work = Workdir::new(&server, "python");
    work.write("stdlib.py", include_str!("python/stdlib.py"));
    let listeners = [
        "submission",
        "submissions",
        "lmtp",
        "imap",
        "imaps",
        "pop3",
        "pop3s",
    ];
    let ports = listeners.map(|listener| port(&server, listener));
    let trust = certificate(&server);
    let mut arguments = vec!["stdlib.py", &trust];
    arguments.extend(ports.iter().map(String::as_str));
    work.must(&python, &arguments, "");
}

/// What a fetcher wrote, without the lines that it may add: whether each message's own text is there.
fn assert_holds(mailbox: &str, subjects: &[&str]) {
    for subject in subjects {
        let header = format!("Subject: {subject}\n");
        assert_eq!(mailbox.matches(&header).count(), 1, "{subject}: {mailbox}");
    }
    assert_eq!(
        mailbox.matches("\n\n.dot\nbody\n").count(),
        subjects.len(),
        "{mailbox}"
    );
}

#[test]
fn fetchmail_pulls_by_pop3_and_imap() {
    let Some(fetchmail) = require_peer("fetchmail") else {
        return;
    };
    let server = start();
    let work = Workdir::new(&server, "fetchmail");
    let trust = certificate(&server);
    let poll = |protocol: &str, listener: &str, options: &str| {
        let server_options = if options.contains("keep") { "uidl" } else { "" };
        let port = port(&server, listener);
        let settings = format!(
            "poll localhost protocol {protocol} port {port} {server_options} user \"{BOB}\" password \"bob-password\"\n\
             options {options} sslcertck sslcertfile \"{trust}\" mda \"cat >>{listener}\"\n"
        );
        work.write("fetchmailrc", &settings);
        let arguments = ["-f", "fetchmailrc", "--nosyslog", "--idfile", "ids"];
        work.run(&fetchmail, &arguments, "")
    };
    for (protocol, listener, options, subjects) in [
        ("pop3", "pop3s", "ssl", ["one", "two"]),
        ("pop3", "pop3", "sslproto tls1.2+", ["three", "four"]),
        ("imap", "imaps", "ssl", ["five", "six"]),
        ("imap", "imap", "sslproto tls1.2+", ["seven", "eight"]),
    ] {
        fill(&server, &subjects);
        let ran = poll(protocol, listener, options);
        assert_eq!(ran.code, Some(0), "{listener}: {}", ran.output);
        assert_holds(&work.read(listener), &subjects);
        // It deletes what it has fetched; 1 means that there is no mail.
        assert_eq!(texts(&server), Vec::<String>::new());
        assert_eq!(poll(protocol, listener, options).code, Some(1));
    }
    fill(&server, &["kept"]);
    for code in [0, 1] {
        let ran = poll("pop3", "pop3s", "ssl keep");
        assert_eq!(ran.code, Some(code), "{}", ran.output);
    }
    assert_eq!(work.read("pop3s").matches("Subject: kept\n").count(), 1);
    assert_eq!(texts(&server).len(), 1);
}

/// getmail hands what it fetched to our LMTP: when it delivers to a file it may wait for a child that
/// has ended already.
#[test]
fn getmail_moves_mail_from_pop3_and_imap_to_lmtp() {
    let Some(getmail) = require_peer("getmail") else {
        return;
    };
    let server = start();
    let (work, trust) = (Workdir::new(&server, "getmail"), certificate(&server));
    for (kind, listener, subjects) in [
        ("SimplePOP3SSLRetriever", "pop3s", ["one", "two"]),
        ("SimpleIMAPSSLRetriever", "imaps", ["three", "four"]),
    ] {
        fill(&server, &subjects);
        work.write(
            "getmailrc",
            &format!(
                "[retriever]\ntype = {kind}\nserver = localhost\nport = {}\nusername = {BOB}\n\
                 password = bob-password\nca_certs = {trust}\n\
                 [destination]\ntype = MDA_lmtp\nhost = localhost\nport = {}\noverride = {ALICE}\n\
                 [options]\nread_all = false\ndelete = true\n",
                port(&server, listener),
                port(&server, "lmtp")
            ),
        );
        let folder = work.path().display().to_string();
        let arguments = ["--getmaildir", &folder, "--rcfile", "getmailrc"];
        work.must(&getmail, &arguments, "");
        assert_eq!(texts(&server), Vec::<String>::new(), "it deletes");
    }
    let mut imap = server.imap_tls(ALICE, "alice-password");
    let moved = imap_texts(&mut imap).concat().replace("\r\n", "\n");
    assert_holds(&moved, &["one", "two", "three", "four"]);
}

/// The script that sieve-connect uploads.
const SCRIPT: &str = "require [\"fileinto\"];\nif header :contains \"Subject\" \"to the archive\" {\n  fileinto \"Archive\";\n}\n";

#[test]
fn sieve_connect_uploads_activates_and_deletes() {
    let Some(program) = require_peer("sieve-connect") else {
        return;
    };
    let server = start();
    let (work, trust) = (Workdir::new(&server, "sieve"), certificate(&server));
    let port = port(&server, "managesieve");
    // It takes the password from a terminal or from an open file.
    let shell = Path::new("/bin/sh");
    work.write("password", "bob-password");
    let run = |arguments: &str| {
        let command = format!(
            "exec {} --server localhost --port {port} --user {BOB} --tlscafile {trust} \
             --passwordfd 3 {arguments} 3<password",
            program.display()
        );
        work.run(shell, &["-c", &command], "")
    };
    let must = |arguments: &str| {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments}: {}", ran.output);
        ran.output
    };
    work.write("good", SCRIPT);
    work.write("bad", "require [\"fileinto\"];\nkeep;\nif header {\n");
    work.write("unknown", "keep;\nrequire [\"no-such-extension\"];\n");
    must("--localsieve good --remotesieve mine --upload");
    for (script, line) in [("bad", "line 3"), ("unknown", "line 2")] {
        let refused = run(&format!(
            "--localsieve {script} --remotesieve {script} --upload"
        ));
        assert_eq!(refused.code, Some(1), "{}", refused.output);
        assert!(
            refused.output.contains(line),
            "{script}: {}",
            refused.output
        );
    }
    assert_eq!(must("--list").trim(), "\"mine\"");
    must("--remotesieve mine --activate");
    assert_eq!(must("--list").trim(), "\"mine\" ACTIVE");
    must("--remotesieve mine --localsieve back --download");
    assert_eq!(work.read("back"), SCRIPT);

    fill(&server, &["to the archive", "to the inbox"]);
    let mut imap = server.imap_tls(BOB, "bob-password");
    let filed = imap.must("STATUS Archive (MESSAGES)");
    assert!(filed.untagged[0].contains("MESSAGES 1"), "{filed:?}");
    assert_eq!(texts(&server).len(), 1);

    let active = run("--remotesieve mine --delete");
    assert_eq!(active.code, Some(1), "{}", active.output);
    must("--deactivate");
    must("--remotesieve mine --delete");
    assert_eq!(must("--list").trim(), "");
}
