//! The process: configuration, reload, stop, privileges, quickstart.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

use facteur_tests::{Connection, Imap, Setup, Smtp};

const BOB: &str = "bob@example.test";

#[test]
fn sigterm_ends_idle_sessions_politely_and_the_process_with_success() {
    let mut facteur = Setup::new().with_alice_and_bob().start();
    let mut imap = facteur.imap(BOB, "bob-password");
    imap.must("SELECT INBOX");
    imap.send("IDLE");
    assert!(imap.connection.line().starts_with('+'));
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    assert!(facteur.stop().success());
    assert!(imap.connection.line().starts_with("* BYE"), "BYE first");
    assert_eq!(imap.connection.try_line(), None);
    assert_eq!(smtp.reply().code, 421);
}

#[test]
fn reload_keeps_connections_and_changes_new_ones() {
    let mut facteur = Setup::new().with_alice_and_bob().start();
    let mut early = facteur.imap(BOB, "bob-password");
    let ports = facteur.address("imap");
    let text = fs::read_to_string(facteur.config()).unwrap();
    let text = text.replace(
        "[log]",
        "[smtp]\nsmtpd_banner = \"$myhostname ESMTP changed\"\n\n[log]",
    ) + "\n[[listener]]\nname = \"more\"\nprotocol = \"imap\"\naddress = \"127.0.0.1:0\"\n";
    fs::write(facteur.config(), &text).unwrap();
    assert!(facteur.reload(), "{}", facteur.log());
    early.must("NOOP");
    assert_eq!(facteur.address("imap"), ports, "the socket stays");
    assert_eq!(
        facteur.smtp("smtp").greeting.lines,
        ["mail.example.test ESMTP changed"]
    );
    let more = facteur.address("more");
    Imap::connect(more).login(BOB, "bob-password");

    let without = text.rsplit_once("\n[[listener]]").unwrap().0;
    fs::write(facteur.config(), without).unwrap();
    assert!(facteur.reload(), "{}", facteur.log());
    early.must("NOOP");
    while std::net::TcpStream::connect(more).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn broken_configuration_is_refused_and_the_old_one_kept() {
    let mut facteur = Setup::new().with_alice_and_bob().start();
    let text = fs::read_to_string(facteur.config()).unwrap();
    let line = text.lines().count() + 2;
    fs::write(facteur.config(), format!("{text}\nrelay_host = \"x\"\n")).unwrap();
    assert!(!facteur.reload());
    let refused = facteur.wait_log("configuration refused: the server goes on with the old one");
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains(&format!("facteur.toml:{line}: ")), "{error}");
    assert_eq!(facteur.smtp("smtp").greeting.code, 220);

    let check = facteur.cli(&["config", "check"], "");
    assert!(!check.status.success());
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(said.contains(&format!(":{line}: ")), "{said}");
}

/// What parts judge, not the configuration itself, and all of it at once.
#[test]
fn config_check_names_line_and_key_of_all_that_is_wrong() {
    let facteur = Setup::new().start();
    let file = facteur.folder().join("wrong.toml");
    let wrong = [
        ("[storage]", ""),
        (
            "mail_location = \"mbox:/var/mail/%d/%n\"",
            "use sdbox or maildir",
        ),
        ("[auth]", ""),
        ("default_pass_scheme = \"ROT13\"", "unknown password scheme"),
        ("[queue]", ""),
        ("relayhost = \"[mail\"", "] is missing"),
        ("[tls]", ""),
        (
            "ssl_cert = \"/nonexistent/cert.pem\"",
            "/nonexistent/cert.pem",
        ),
        ("ssl_key = \"/nonexistent/key.pem\"", ""),
        ("[smtp]", ""),
        (
            "smtpd_recipient_restrictions = [\"reject_rbl_client x\"]",
            "reject_unauth_destination",
        ),
        ("[sieve]", ""),
        ("sieve_after = [\"/nonexistent/global.sieve\"]", ""),
    ];
    let text: Vec<&str> = wrong.iter().map(|(line, _)| *line).collect();
    fs::write(&file, text.join("\n")).unwrap();
    let check = facteur.cli_of(&file, &["config", "check"], "");
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8_lossy(&check.stderr);
    for (n, (line, reason)) in wrong.iter().enumerate() {
        if reason.is_empty() {
            continue;
        }
        let key = line.split(' ').next().unwrap();
        let place = format!("wrong.toml:{}: ", n + 1);
        let found = said.lines().find(|said| said.contains(&place));
        let found = found.unwrap_or_else(|| panic!("{place} is missing:\n{said}"));
        assert!(found.contains(key) && found.contains(reason), "{found}");
    }
    // A script that is not there yet is a doubt, and no more.
    fs::write(&file, text[11..].join("\n")).unwrap();
    let check = facteur.cli_of(&file, &["config", "check"], "");
    assert!(check.status.success(), "{check:?}");
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(said.contains("wrong.toml:2: sieve.sieve_after: "), "{said}");
}

#[test]
fn certificate_is_replaced_on_reload_and_a_broken_one_is_not_taken() {
    let mut facteur = Setup::new().with_alice_and_bob().start();
    let old = fs::read(facteur.certificate()).unwrap();
    let other = Setup::new().start();
    fs::copy(other.certificate(), facteur.certificate()).unwrap();
    assert!(!facteur.reload(), "a certificate without its key");
    let trusted = facteur.folder().join("old.pem");
    fs::write(&trusted, old).unwrap();
    Imap::connect_tls(facteur.address("imaps"), &trusted);
    fs::copy(
        other.data().join("certificate.key"),
        facteur.data().join("certificate.key"),
    )
    .unwrap();
    assert!(facteur.reload(), "{}", facteur.log());
    Imap::connect_tls(facteur.address("imaps"), &facteur.certificate());
}

#[test]
fn made_key_and_data_are_nobody_elses() {
    let facteur = Setup::new().start();
    let key = fs::metadata(facteur.data().join("certificate.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let directory = fs::metadata(facteur.data().join("directory.db")).unwrap();
    assert_eq!(directory.permissions().mode() & 0o077, 0);
}

#[test]
fn proxy_header_names_the_client() {
    let facteur = Setup::new()
        .with_alice_and_bob()
        .without_listeners()
        .sections(
            "[[listener]]\nname = \"proxied\"\nprotocol = \"smtp\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n\
             [process]\nhaproxy_trusted_networks = [\"127.0.0.0/8\"]\n",
        )
        .start();
    let mut connection = Connection::plain(facteur.address("proxied"));
    connection.send_line("PROXY TCP4 192.0.2.7 192.0.2.1 4000 25");
    assert!(connection.line().starts_with("220 "));
    connection.send_line("EHLO client.example");
    while connection.line().starts_with("250-") {}
    // 192.0.2.7 is not in mynetworks, as loopback is.
    connection.send_line("MAIL FROM:<a@elsewhere.example>");
    assert!(connection.line().starts_with("250 "));
    connection.send_line("RCPT TO:<someone@elsewhere.example>");
    assert!(connection.line().starts_with("554 "));
}

#[test]
fn config_verbs_explain_show_and_set() {
    let facteur = Setup::new().start();
    let explained = facteur.must(&["config", "explain", "relayhost"], "");
    assert!(explained.contains("queue.relayhost"), "{explained}");
    facteur.must(
        &["config", "set", "queue.relayhost", "[mail.example.org]:587"],
        "",
    );
    let difference = facteur.must(&["config", "diff"], "");
    assert!(
        difference.contains("relayhost = \"[mail.example.org]:587\""),
        "{difference}"
    );
    let all = facteur.must(&["config", "show", "--json"], "");
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert!(all.as_array().unwrap().len() > 100);
    let refused = facteur.cli(&["config", "set", "queue.relay_host", "x"], "");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("did you mean relayhost?"), "{said}");
}

/// Root is needed to start as root.
#[test]
fn started_as_root_the_server_is_not_root_and_reloads() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this test starts the server as root");
        return;
    }
    let mut facteur = Setup::new()
        .with_alice_and_bob()
        .sections("[process]\nuser = \"nobody\"\n")
        .start_as_root();
    let pid = facteur.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let [child] = children.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("one child: {children:?}");
    };
    let status = fs::metadata(format!("/proc/{child}/status")).unwrap();
    assert_ne!(status.uid(), 0, "the server must not be root");
    let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    let rights = ["Uid:", "Gid:", "Groups:"];
    let of_rights = |line: &&str| rights.iter().any(|name| line.starts_with(name));
    for line in status.lines().filter(of_rights) {
        assert!(!line.split_whitespace().any(|id| id == "0"), "{line}");
    }
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    let mut early = facteur.imap(BOB, "bob-password");
    assert!(facteur.reload(), "{}", facteur.log());
    early.must("NOOP");
    let mut smtp: Smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    assert_eq!(smtp.send("", &[BOB], "Subject: x\r\n\r\nx\r\n").code, 250);
    assert!(facteur.stop().success());
}

#[test]
fn quickstart_serves_and_a_second_start_reuses_what_is_there() {
    let mut first = facteur_tests::Quickstart::start();
    let before = first.report();
    let smtp = before["listeners"]["smtp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut smtp = Smtp::connect(smtp);
    smtp.expect("EHLO client.example", 250);
    assert_eq!(smtp.send("", &[BOB], "Subject: x\r\n\r\nx\r\n").code, 250);
    first.stop();
    first.restart();
    let after = first.report();
    assert_eq!(before, after);
    let bob = &after["accounts"][1];
    let imap = after["listeners"]["imaps"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let certificate = after["certificate"].as_str().unwrap();
    let mut imap = Imap::connect_tls(imap, certificate.as_ref());
    imap.login(
        bob["address"].as_str().unwrap(),
        bob["password"].as_str().unwrap(),
    );
    let status = imap.must("STATUS INBOX (MESSAGES)");
    assert!(status.untagged[0].contains("MESSAGES 1"), "{status:?}");
}
