//! Quota through the real binary: limits by folder, account and domain, warnings, counting anew.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so and ends"
)]

use std::{fs, os::unix::fs::PermissionsExt as _};

use facteur_tests::{
    Facteur, Imap, Setup, Smtp,
    database::{Database, MariaDb, PostfixAdmin, Postgres, require},
    wait_for,
};
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn start(sections: &str) -> Facteur {
    let cached = "[directory]\ncache_ttl = \"0s\"\n";
    Setup::new()
        .with_alice_and_bob()
        .sections(&format!("{cached}{sections}"))
        .start()
}

fn bob(server: &Facteur) -> Imap {
    server.imap(BOB, "bob-password")
}

/// A message of so many bytes.
fn message(subject: &str, size: usize) -> String {
    let head = format!("From: a@elsewhere.example\r\nSubject: {subject}\r\n\r\n");
    let line = "x".repeat(70) + "\r\n";
    let body = line.repeat((size - head.len()) / line.len() + 1);
    let end = size - head.len() - 2;
    format!("{head}{}\r\n", &body[..end])
}

/// The limits as JSON.
fn quota(server: &Facteur, verb: &str, address: &str) -> Value {
    let said = server.must(&["quota", verb, address, "--json"], "");
    serde_json::from_str(&said).unwrap()
}

fn lmtp(server: &Facteur) -> Smtp {
    let mut lmtp = Smtp::connect(server.address("lmtp"));
    lmtp.expect("LHLO client.example", 250);
    lmtp
}

#[test]
fn rules_by_folder_hold_and_peers_hear_the_configured_text() {
    let server = start(
        "[quota]\nquota_rule = [\"*:messages=100\", \"Trash:storage=+10K\", \"Spam:ignore\"]\n\
         quota_exceeded_message = \"No more room, sorry\"\n",
    );
    server.must(&["account", "set", BOB, "--quota", "20K"], "");
    let mut imap = bob(&server);
    imap.must("CREATE Spam");
    for _ in 0..2 {
        assert!(imap.append("INBOX", &message("a", 10 << 10)).is_ok());
    }
    let root = imap.must("GETQUOTAROOT INBOX");
    let expected = "QUOTA \"User quota\" (STORAGE 20 20 MESSAGE 2 100)";
    assert!(
        root.untagged.iter().any(|line| line == expected),
        "{root:?}"
    );
    let spam = imap.must("GETQUOTAROOT Spam");
    assert_eq!(spam.untagged, ["QUOTAROOT Spam"]);
    let refused = imap.append("INBOX", &message("b", 100)).tagged;
    assert_eq!(refused, "NO [OVERQUOTA] No more room, sorry");
    imap.must("SELECT INBOX");
    let refused = imap.command("COPY 1 INBOX").tagged;
    assert_eq!(refused, "NO [OVERQUOTA] No more room, sorry");
    assert!(imap.append("Spam", &message("c", 30 << 10)).is_ok());
    imap.must("COPY 1 Trash");
    let refused = imap.command("COPY 2 Trash").tagged;
    assert!(refused.starts_with("NO [OVERQUOTA]"), "{refused}");
    let mut lmtp = lmtp(&server);
    lmtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
    let reply = lmtp.command(&format!("RCPT TO:<{BOB}>"));
    assert_eq!(reply.code, 552, "{reply:?}");
    assert!(
        reply.lines[0].contains("5.2.2 No more room, sorry"),
        "{reply:?}"
    );
    imap.must("MOVE 1:2 Spam");
    lmtp.expect(&format!("RCPT TO:<{BOB}>"), 250);
}

#[test]
fn deliveries_that_end_at_once_hold_the_limit_and_its_grace_together() {
    const SESSIONS: usize = 32;
    let server = start("");
    server.must(&["account", "set", BOB, "--quota", "100K"], "");
    let mut sessions: Vec<Smtp> = (0..SESSIONS).map(|_| lmtp(&server)).collect();
    let message = message("at once", 20 << 10);
    for lmtp in &mut sessions {
        lmtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
        lmtp.expect(&format!("RCPT TO:<{BOB}>"), 250);
        lmtp.expect("DATA", 354);
        lmtp.connection.send(message.as_bytes());
    }
    for lmtp in &mut sessions {
        lmtp.connection.send(b".\r\n");
    }
    let replies: Vec<_> = sessions.iter_mut().map(Smtp::reply).collect();
    // Five are within 100 KiB and the ten per cent that what was accepted at RCPT may have more.
    let accepted = replies.iter().filter(|reply| reply.code == 250).count();
    assert_eq!(accepted, 5, "{replies:?}");
    let full =
        |reply: &&facteur_tests::Reply| reply.code == 552 && reply.lines[0].starts_with("5.2.2 ");
    assert_eq!(
        replies.iter().filter(full).count(),
        SESSIONS - accepted,
        "{replies:?}"
    );
    assert_eq!(quota(&server, "get", BOB)["quota"]["messages"], accepted);
}

#[test]
fn warning_is_a_message_that_no_quota_stops_once_for_each_crossing() {
    let server = start(
        "[quota]\nquota_warning = [\"storage=100%%\", \"storage=80%\"]\n\
         quota_warning_subject = \"Plein à $percent%\"\nquota_warning_message = \"$user $used $limit\"\n",
    );
    server.must(&["account", "set", BOB, "--quota", "20K"], "");
    let mut imap = bob(&server);
    imap.must("SELECT INBOX");
    let warnings = |server: &Facteur| {
        let mut imap = bob(server);
        imap.must("SELECT INBOX");
        let found = imap.must("SEARCH HEADER Auto-Submitted auto-generated");
        let line = found.with("SEARCH").next().unwrap_or_default().to_owned();
        line.split(' ').skip(1).count()
    };
    assert!(imap.append("INBOX", &message("a", 12 << 10)).is_ok());
    assert!(imap.append("INBOX", &message("a", 5 << 10)).is_ok());
    wait_for("the warning", || (warnings(&server) == 1).then_some(()));
    let text = wait_for("its text", || {
        imap.must("NOOP");
        let text = imap.fetch_text(3);
        (!text.is_empty()).then_some(text)
    });
    for part in [
        "From: <postmaster@mail.example.test>",
        "Subject: =?utf-8?",
        "bob@example.test 17.0 KB 20.0 KB",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // More of the same crosses nothing; the next mark warns though the account is full then.
    assert!(imap.append("INBOX", &message("b", 100)).is_ok());
    let left = 20 * 1024
        - quota(&server, "get", BOB)["quota"]["bytes"]
            .as_u64()
            .unwrap();
    assert!(
        imap.append("INBOX", &message("c", usize::try_from(left).unwrap()))
            .is_ok()
    );
    wait_for("the second warning", || {
        (warnings(&server) == 2).then_some(())
    });
    let over = quota(&server, "get", BOB)["quota"]["bytes"]
        .as_u64()
        .unwrap();
    assert!(over > 20 * 1024, "{over}");
    // Down below both and up again: the first is due once more.
    imap.must("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.must("EXPUNGE");
    assert!(imap.append("INBOX", &message("d", 9 << 10)).is_ok());
    wait_for("the third warning", || {
        (warnings(&server) == 3).then_some(())
    });
}

#[test]
fn warning_runs_a_program_when_usage_falls_below() {
    let folder = tempfile::tempdir().unwrap();
    // The server's user is not ours.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (script, said) = (folder.path().join("warn.sh"), folder.path().join("said"));
    let text = format!("#!/bin/sh\necho \"$1 $2 $USER $#\" >> {}\n", said.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let server = start(&format!(
        "[quota]\nquota_warning = [\"-storage=50%% quota-warning below %n\", \"storage=90%% quota-warning above %u\"]\n\
         quota_warning_programs = {{ \"quota-warning\" = \"{}\" }}\n",
        script.display()
    ));
    server.must(&["account", "set", BOB, "--quota", "10K"], "");
    let mut imap = bob(&server);
    assert!(imap.append("INBOX", &message("a", 9500)).is_ok());
    imap.must("SELECT INBOX");
    let lines = |count: usize| {
        wait_for("the program", || {
            let said = fs::read_to_string(&said).unwrap_or_default();
            (said.lines().count() >= count).then_some(said)
        })
    };
    assert_eq!(lines(1), format!("above {BOB} {BOB} 2\n"));
    imap.must("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.must("EXPUNGE");
    assert_eq!(
        lines(2),
        format!("above {BOB} {BOB} 2\nbelow bob {BOB} 2\n")
    );
}

#[test]
fn accounts_of_a_domain_share_its_quota_when_that_is_asked_for() {
    let setup = |on: bool| start(&format!("[quota]\ndomain_quota = {on}\nquota_grace = 10\n"));
    let fill = |server: &Facteur| {
        server.must(&["domain", "set", "example.test", "--quota", "1"], "");
        let mut alice = server.imap(ALICE, "alice-password");
        assert!(alice.append("INBOX", &message("a", 700 << 10)).is_ok());
    };
    // To PostfixAdmin the number limits what may be given, not what may be stored.
    let server = setup(false);
    fill(&server);
    assert!(
        bob(&server)
            .append("INBOX", &message("b", 700 << 10))
            .is_ok()
    );
    drop(server);

    let mut server = setup(true);
    fill(&server);
    server.stop();
    server.restart();
    server.wait_log("domain counted");
    let mut imap = bob(&server);
    let refused = imap.append("INBOX", &message("b", 400 << 10)).tagged;
    assert!(refused.starts_with("NO [OVERQUOTA]"), "{refused}");
    assert!(imap.append("INBOX", &message("c", 300 << 10)).is_ok());
    let root = imap.must("GETQUOTAROOT INBOX");
    let expected = [
        "QUOTAROOT INBOX \"Domain quota\"",
        "QUOTA \"Domain quota\" (STORAGE 1000 1024)",
    ];
    assert_eq!(root.untagged, expected);
    let mut lmtp = lmtp(&server);
    lmtp.expect(
        &format!("MAIL FROM:<a@elsewhere.example> SIZE={}", 30 << 10),
        250,
    );
    lmtp.expect(&format!("RCPT TO:<{ALICE}>"), 552);
    lmtp.expect("RSET", 250);
    // What was accepted may overshoot by the grace.
    lmtp.expect("MAIL FROM:<a@elsewhere.example>", 250);
    lmtp.expect(&format!("RCPT TO:<{ALICE}>"), 250);
    assert_eq!(lmtp.data(&message("d", 30 << 10)).code, 250);
}

#[test]
fn counts_are_shown_and_made_anew_with_a_server_and_without() {
    let mut server = start("[quota]\nquota_rule = [\"*:messages=50\", \"Trash:ignore\"]\n");
    server.must(&["account", "set", BOB, "--quota", "1M"], "");
    let mut imap = bob(&server);
    for mailbox in ["INBOX", "INBOX", "Trash"] {
        assert!(imap.append(mailbox, &message("a", 1000)).is_ok());
    }
    imap.must("LOGOUT");
    let shown = server.must(&["quota", "get", BOB], "");
    let expected = format!("{BOB}: 2000 bytes of 1M (0 %), 2 messages of 50 (4 %)\n");
    assert_eq!(shown, expected);
    let check = |server: &Facteur| {
        for verb in ["get", "recalc"] {
            let said = quota(server, verb, BOB);
            let quota = &said["quota"];
            assert_eq!(said["account"], BOB);
            assert_eq!(quota["bytes"], 2000, "{said}");
            assert_eq!(quota["bytes_limit"], 1 << 20);
            assert_eq!(
                (&quota["messages"], &quota["messages_limit"]),
                (&2.into(), &50.into())
            );
            let corrected = (verb == "recalc").then(|| 0.into());
            assert_eq!(quota["recount"].get("corrected"), corrected.as_ref());
        }
        let shown = server.must(&["account", "show", BOB], "");
        assert!(shown.contains("bytes:       2000"), "{shown}");
    };
    check(&server);
    let all = server.must(&["quota", "recalc", "--all", "--json"], "");
    assert_eq!(all.lines().count(), 2, "{all}");
    server.stop();
    check(&server);
    let unknown = server.cli(&["quota", "get", "nobody@example.test"], "");
    assert!(!unknown.status.success());
}

#[test]
fn quota_settings_that_cannot_be_read_are_refused_with_the_line() {
    let server = Setup::new().start();
    let config = server.config();
    let text = fs::read_to_string(&config).unwrap();
    for (line, reason) in [
        ("quota_rule = \"*:storage=1X\"", "no amount"),
        (
            "quota_warning = \"storage=80% quota-warning 80 %u\"",
            "is no program",
        ),
        ("quota_warning = \"80%\"", "is no limit"),
        ("quota_exceeded_message = \"a\\nb\"", "expected a line"),
    ] {
        fs::write(&config, format!("{text}\n[quota]\n{line}\n")).unwrap();
        let said = server.cli(&["config", "check"], "");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        let key = line.split(' ').next().unwrap_or_default();
        assert!(
            said.contains(reason) && said.contains(key),
            "{line}: {said}"
        );
    }
}

/// quota2 has what the account holds, though the database was away when it changed, and away when
/// the server stopped.
fn quota2_follows(mut database: impl Database) {
    let Some(postfixadmin) = require(PostfixAdmin::unpack()) else {
        return;
    };
    postfixadmin.upgrade(&database.postfixadmin_settings());
    let mut server = Setup::new().directory(&database.url("postfix")).start();
    server.must(&["domain", "add", "example.test"], "");
    server.must(&["account", "add", BOB], "bob-password\n");
    let holds = |server: &Facteur, bytes: u64| {
        wait_for("such a row of quota2", || {
            let shown = server.cli(&["account", "show", BOB], "");
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            let line = format!("bytes:       {bytes}\n");
            shown.contains(&line).then_some(())
        });
    };
    let mut imap = bob(&server);
    assert!(imap.append("INBOX", &message("a", 1000)).is_ok());
    holds(&server, 1000);
    database.stop();
    assert!(imap.append("INBOX", &message("b", 1000)).is_ok());
    server.wait_log("quota not mirrored");
    database.resume();
    holds(&server, 2000);
    database.stop();
    assert!(imap.append("INBOX", &message("c", 1000)).is_ok());
    server.stop();
    database.resume();
    server.restart();
    // It is put right when the account is used.
    drop(bob(&server));
    holds(&server, 3000);
}

#[test]
fn quota2_follows_on_postgresql_whenever_the_database_is_away() {
    if let Some(database) = require(Postgres::start()) {
        quota2_follows(database);
    }
}

#[test]
fn quota2_follows_on_mariadb_whenever_the_database_is_away() {
    if let Some(database) = require(MariaDb::start()) {
        quota2_follows(database);
    }
}
