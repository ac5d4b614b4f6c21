//! The command line and the running server: what goes through the control socket, and the same
//! without a server.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use facteur_tests::{Facteur, Imap, Setup, require_root};
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

/// A server whose alice has three messages, the second of them flagged.
fn start() -> Facteur {
    let server = Setup::new().with_alice_and_bob().start();
    let mut smtp = server.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    for n in 1..=3 {
        let message = format!("Subject: number {n}\r\n\r\nText.\r\n");
        assert_eq!(smtp.send("", &[ALICE], &message).code, 250);
    }
    let mut imap = server.imap(ALICE, "alice-password");
    imap.must("SELECT INBOX");
    imap.must("STORE 2 +FLAGS (\\Flagged Urgent)");
    imap.must("LOGOUT");
    server
}

fn socket(server: &Facteur) -> PathBuf {
    server.data().join("state/control.sock")
}

fn home(server: &Facteur, who: &str) -> PathBuf {
    server.data().join("mail/example.test").join(who)
}

fn mails(server: &Facteur) -> PathBuf {
    home(server, "alice").join("mailboxes/INBOX/dbox-Mails")
}

/// Runs a verb with `--json`; its status, and the objects it printed.
fn json(server: &Facteur, arguments: &[&str]) -> (bool, Vec<Value>) {
    let arguments = [arguments, &["--json"]].concat();
    let output = server.cli(&arguments, "");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let objects = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (output.status.success(), objects.collect())
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Alice has all her messages, and the flags of the second.
fn whole(server: &Facteur) {
    let mut imap = server.imap(ALICE, "alice-password");
    imap.must("SELECT INBOX");
    let found = imap.must("UID FETCH 1:* (FLAGS BODY.PEEK[TEXT])");
    let found: Vec<&str> = found.with("UID").collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[1].contains("\\Flagged") && found[1].contains("Urgent"),
        "{found:?}"
    );
    assert!(found.iter().all(|one| one.contains("Text.")), "{found:?}");
}

/// Each verb on a running server, then on a stopped one.
fn both_ways(server: &mut Facteur, test: impl Fn(&Facteur)) {
    test(server);
    server.stop();
    test(server);
    server.restart();
    whole(server);
}

#[test]
fn check_of_sound_accounts_says_so_with_a_server_and_without() {
    let mut server = start();
    both_ways(&mut server, |server| {
        let text = server.must(&["account", "check", ALICE], "");
        assert!(
            text.contains("alice@example.test: sound: 3 messages"),
            "{text}"
        );
        let (fine, all) = json(server, &["account", "check", "--all"]);
        assert!(fine);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0]["account"], ALICE);
        assert_eq!(all[0]["checked"]["messages"], 3);
        assert_eq!(all[0]["checked"]["findings"], Value::Array(Vec::new()));
        assert_eq!(all[1]["checked"]["never_used"], true);
    });
    assert!(!home(&server, "bob").exists());
}

#[test]
fn check_names_what_is_wrong_and_changes_nothing() {
    let mut server = start();
    let lost = mails(&server).join("u.1");
    let aside = server.folder().join("aside");
    server.must(&["account", "sync", ALICE], "");
    fs::rename(&lost, &aside).unwrap();
    let test = |server: &Facteur| {
        let output = server.cli(&["account", "check", ALICE], "");
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("INBOX UID 1: file missing"), "{said}");
        assert!(said.contains("restore the file from a backup"), "{said}");
        let (fine, all) = json(server, &["account", "check", ALICE, BOB]);
        assert!(!fine);
        let finding = &all[0]["checked"]["findings"][0];
        assert_eq!(finding["kind"], "file_missing");
        assert_eq!(
            (&finding["mailbox"], &finding["uid"]),
            (&"INBOX".into(), &1.into())
        );
        assert_eq!(finding["remedy"], "restore");
    };
    test(&server);
    server.stop();
    test(&server);
    // Put back, all is as it was.
    fs::rename(&aside, &lost).unwrap();
    server.must(&["account", "check", ALICE], "");
    server.restart();
    whole(&server);
}

#[test]
fn rebuild_keeps_flags_and_sends_only_that_accounts_sessions_away() {
    let mut server = start();
    let mut alice = server.imap(ALICE, "alice-password");
    alice.must("SELECT INBOX");
    let mut waiting = server.imap(ALICE, "alice-password");
    waiting.must("SELECT INBOX");
    waiting.send("IDLE");
    assert_eq!(waiting.response_line(), "+ idling");
    let mut bob = server.imap(BOB, "bob-password");
    bob.must("SELECT INBOX");
    let text = server.must(&["account", "rebuild", ALICE], "");
    assert!(text.contains("rebuilt: 3 messages"), "{text}");
    bob.must("NOOP");
    // Who waits is told at once, others when they ask something.
    let told = waiting.response_line();
    assert!(told.starts_with("* BYE"), "{told}");
    alice.send("UID STORE 1 +FLAGS (\\Seen)");
    let told = alice.response_line();
    assert!(told.starts_with("* BYE"), "{told}");
    whole(&server);

    server.stop();
    let text = server.must(&["account", "rebuild", "--all"], "");
    assert!(text.contains("rebuilt: 3 messages"), "{text}");
    server.restart();
    whole(&server);
}

#[test]
fn rebuild_of_a_lost_index_finds_every_message() {
    let mut server = start();
    server.stop();
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(home(&server, "alice").join(format!("index.db{suffix}")));
    }
    server.restart();
    let (fine, all) = json(&server, &["account", "rebuild", ALICE]);
    assert!(fine);
    assert_eq!(all[0]["rebuilt"]["messages"], 3);
    assert_eq!(all[0]["rebuilt"]["was_damaged"], true);
    server.must(&["account", "check", ALICE], "");
    let mut imap = server.imap(ALICE, "alice-password");
    let selected = imap.must("SELECT INBOX");
    assert!(
        selected.untagged.contains(&"3 EXISTS".to_owned()),
        "{selected:?}"
    );
}

#[test]
fn sync_lets_rsync_copy_an_account_from_a_running_server() {
    let mut server = start();
    let text = server.must(&["account", "sync", "--all"], "");
    assert!(text.contains("alice@example.test: synced"), "{text}");
    assert!(text.contains("bob@example.test: never used"), "{text}");
    // Another server gets the copy.
    let mut other = Setup::new().with_alice_and_bob().start();
    other.stop();
    let (from, to) = (home(&server, "alice"), home(&other, "alice"));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let copied = Command::new("cp").arg("-a").arg(&from).arg(&to).status();
    assert!(copied.unwrap().success());
    let owner = fs::metadata(other.data()).unwrap();
    for folder in [to.parent().unwrap(), to.parent().unwrap().parent().unwrap()] {
        std::os::unix::fs::chown(folder, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    other.must(&["account", "check", ALICE], "");
    other.restart();
    whole(&other);
    assert!(!other.log().contains("brought in line"), "{}", other.log());
    both_ways(&mut server, |server| {
        server.must(&["account", "sync", ALICE], "");
    });
}

#[test]
fn optimize_works_with_a_server_and_without() {
    let mut server = start();
    both_ways(&mut server, |server| {
        let (fine, all) = json(server, &["account", "optimize", ALICE]);
        assert!(fine);
        assert!(all[0]["optimized"]["after"].as_u64().unwrap() > 0);
    });
    server.must(&["account", "check", ALICE], "");
}

#[test]
fn accounts_that_do_not_exist_are_refused_before_anything_is_done() {
    let mut server = start();
    both_ways(&mut server, |server| {
        let output = server.cli(&["account", "rebuild", ALICE, "nobody@example.test"], "");
        assert_eq!(output.status.code(), Some(1));
        let said = said(&output);
        assert!(
            said.contains("there is no account nobody@example.test"),
            "{said}"
        );
        assert!(!said.contains("rebuilt"), "{said}");
    });
}

#[test]
fn password_and_account_changed_beside_the_server_count_at_once() {
    // Without being told, the server would find out after an hour.
    let server = Setup::new()
        .with_alice_and_bob()
        .sections("[directory]\ncache_ttl = \"1h\"\ncache_negative_ttl = \"1h\"\n")
        .start();
    let log_in = |who: &str, password: &str| {
        let mut imap = Imap::connect(server.address("imap"));
        imap.command(&format!("LOGIN {who} {password}")).is_ok()
    };
    assert!(log_in(ALICE, "alice-password"));
    server.must(&["account", "set", ALICE, "--password"], "other-password\n");
    assert!(!log_in(ALICE, "alice-password"));
    assert!(log_in(ALICE, "other-password"));

    let carol = "carol@example.test";
    let mut smtp = server.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    smtp.expect("MAIL FROM:<>", 250);
    smtp.expect(&format!("RCPT TO:<{carol}>"), 550);
    server.must(&["account", "add", carol], "carol-password\n");
    smtp.expect(&format!("RCPT TO:<{carol}>"), 250);
    server.must(&["account", "set", carol, "--active", "false"], "");
    smtp.expect("RSET", 250);
    smtp.expect("MAIL FROM:<>", 250);
    smtp.expect(&format!("RCPT TO:<{carol}>"), 550);
    server.must(&["alias", "add", "info@example.test", BOB], "");
    smtp.expect("RCPT TO:<info@example.test>", 250);
    server.must(&["domain", "add", "example.net"], "");
    smtp.expect("RCPT TO:<x@example.net>", 550);
}

#[test]
fn socket_goes_with_the_server_and_is_made_anew() {
    let mut server = start();
    let path = socket(&server);
    let found = fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    // Killed, it leaves its socket behind: nobody answers there, and the files are used.
    server.kill();
    assert!(path.exists());
    server.must(&["account", "check", ALICE], "");
    assert_eq!(server.must(&["queue", "list"], ""), "The queue is empty.\n");
    server.restart();
    server.must(&["account", "check", ALICE], "");
    whole(&server);
}

/// A program of another user's.
fn stranger(server: &Facteur, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .uid(12_345)
        .gid(12_345)
        .current_dir("/")
        .env("FACTEUR_CONFIG", server.config())
        .stdin(Stdio::null());
    command
}

/// What is said to a connection of another user's, by a program that is everywhere.
fn ask_as_stranger(server: &Facteur, path: &Path) -> String {
    let script = format!(
        "import socket\n\
         s = socket.socket(socket.AF_UNIX)\n\
         s.settimeout(60)\n\
         s.connect({:?})\n\
         try: s.sendall(b'{{\"version\":1,\"verb\":\"queue\",\"arguments\":{{\"verb\":\"list\"}}}}\\n')\n\
         except BrokenPipeError: pass\n\
         print(s.makefile().readline())\n",
        path.display().to_string()
    );
    said(
        &stranger(server, "python3", &["-c", &script])
            .output()
            .unwrap(),
    )
}

#[test]
fn other_users_cannot_ask() {
    if !require_root("being two other users") {
        return;
    }
    let server = start();
    let path = socket(&server);
    let refused = ask_as_stranger(&server, &path);
    assert!(refused.contains("PermissionError"), "{refused}");
    // Nor where somebody opened everything up: the server looks who it is.
    for open in [
        server.folder(),
        &server.data(),
        &server.data().join("state"),
        &path,
    ] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let refused = ask_as_stranger(&server, &path);
    assert!(
        refused.contains("only root and the server's own user may ask"),
        "{refused}"
    );
    server.wait_log("control connection of another user refused");

    // Root may: we are.
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"{\"version\":1,\"verb\":\"queue\",\"arguments\":{\"verb\":\"list\"}}\n")
        .unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"done\":null}\n");
}
