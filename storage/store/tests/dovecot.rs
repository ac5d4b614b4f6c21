//! A real Dovecot reads what we wrote, and we read what it wrote, byte for byte.
//!
//! Needs `doveadm`; without it the test notes that it was skipped, and with `CI=true` fails.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{
    io::Write as _,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bytes::Bytes;
use facteur_model::{AccountId, AccountSpec, Flags, Guid, InternalDate, MailboxName, QuotaLimits};
use facteur_store::{Append, Batch, Body, Options, QuotaCheck, Store};

/// Notes for `tests/run` that a program is missing.
fn skip(program: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "{program} is missing, and in CI nothing is skipped"
    );
    let line = format!("store: {program} is missing\n");
    eprint!("skipped: {line}");
    if let Some(path) = std::env::var_os("FACTEUR_TEST_SKIPS") {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Dovecot on a home of ours, run by whoever runs the test.
struct Dovecot {
    dir: tempfile::TempDir,
    home: PathBuf,
}

impl Dovecot {
    fn new() -> Option<Self> {
        if Command::new("doveadm").arg("--version").output().is_err() {
            skip("doveadm");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("bob");
        std::fs::create_dir(&home).unwrap();
        let dovecot = Self { dir, home };
        let config = format!(
            "base_dir = {dir}/run\nlog_path = /dev/stderr\nssl = no\nprotocols =\nfirst_valid_uid = 1\n\
             first_valid_gid = 1\nmail_location = sdbox:{home}\nnamespace {{\n inbox = yes\n separator = /\n}}\n\
",
            dir = dovecot.dir.path().display(),
            home = dovecot.home.display(),
        );
        std::fs::write(dovecot.config(), config).unwrap();
        Some(dovecot)
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("dovecot.conf")
    }

    fn doveadm(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("doveadm");
        if owner(&self.home).0 == 0 || owner(self.dir.path()).0 == NOBODY {
            // Dovecot gives root no mail.
            let given = Command::new("chown")
                .args(["-R", &format!("{NOBODY}:{NOBODY}")])
                .arg(self.dir.path())
                .status();
            assert!(given.unwrap().success());
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child = command
            .arg("-c")
            .arg(self.config())
            .args(arguments)
            .env("HOME", &self.home)
            .env("USER", "bob")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "doveadm {arguments:?}: {errors}");
        // Rebuilding is what it was asked for; anything else is a complaint.
        let complaints: Vec<&str> = errors.lines().filter(|l| !l.contains("ebuil")).collect();
        assert!(
            complaints.is_empty(),
            "doveadm {arguments:?}: {complaints:?}"
        );
        output.stdout
    }

    fn store(&self) -> Store {
        Store::open(Options {
            state: self.dir.path().join("state"),
            auto_folders: Vec::new(),
            staging_memory: 4096,
            ..Options::default()
        })
        .unwrap()
    }

    fn spec(&self) -> AccountSpec {
        AccountSpec {
            id: AccountId::new("bob@example.test"),
            home: self.home.clone(),
            format: facteur_model::MailFormat::Sdbox,
            quota: QuotaLimits::default(),
        }
    }
}

/// Who reads the mail when the test runs as root.
const NOBODY: u32 = 65_534;

fn owner(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).unwrap();
    (found.uid(), found.gid())
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

const FOLDERS: [&str; 4] = ["INBOX", "Été & Hiver/日本", ".dot", "Tab \"quoted\""];

fn messages() -> Vec<Vec<u8>> {
    let long = format!("Subject: long\r\n\r\n{}", "x".repeat(70).repeat(1000));
    [
        &b"From: a@b\r\nSubject: plain\r\n\r\nbody\r\n"[..],
        b"Subject: no body\r\n\r\n",
        b"Subject: no end\r\n\r\nlast line",
        b"Subject: dots\r\n\r\n.\r\n..\r\n\xff\xfe\x01\x02N\r\n\n\x01\x03\nG\r\n",
        long.as_bytes(),
    ]
    .iter()
    .map(|m| m.to_vec())
    .collect()
}

/// Appends every message to every folder.
fn fill(dovecot: &Dovecot, store: &Store) {
    for folder in FOLDERS {
        for message in messages() {
            let mut staging = store.stage();
            staging.write(&message).unwrap();
            let append = Append {
                account: dovecot.spec(),
                mailbox: name(folder),
                create: true,
                prefix: Bytes::new(),
                body: staging.finish().unwrap(),
                flags: Flags::EMPTY,
                keywords: Vec::new(),
                internal_date: InternalDate::from_unix(1_234_567_890),
                delivery: Guid::random().unwrap(),
                repeated: false,
                quota: QuotaCheck::Ignore,
            };
            let appends = vec![append];
            store
                .commit(Batch {
                    appends,
                    ..Batch::default()
                })
                .unwrap();
        }
    }
}

#[test]
fn dovecot_reads_what_we_wrote() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    let store = dovecot.store();
    fill(&dovecot, &store);
    let account = store.account(&dovecot.spec()).unwrap();
    account.set_subscribed(&name(FOLDERS[1]), true).unwrap();
    drop(account);
    store.close().unwrap();
    drop(store);

    let listed = String::from_utf8(dovecot.doveadm(&["mailbox", "list"], b"")).unwrap();
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    let expected = [".dot", "INBOX", "Tab \"quoted\"", "Été & Hiver", FOLDERS[1]];
    assert_eq!(listed, expected);
    let subscribed = String::from_utf8(dovecot.doveadm(&["mailbox", "list", "-s"], b"")).unwrap();
    assert!(subscribed.lines().any(|l| l == FOLDERS[1]), "{subscribed}");
    for folder in FOLDERS {
        dovecot.doveadm(&["force-resync", folder], b"");
        for (uid, message) in (1..).zip(messages()) {
            expect_fetched(&dovecot, folder, uid, &with_crlf(&message));
        }
    }
}

/// Dovecot shows this message as we stored it.
fn expect_fetched(dovecot: &Dovecot, folder: &str, uid: u32, message: &[u8]) {
    let uid = uid.to_string();
    let fetch = |field: &str| {
        let query = ["-f", "flow", "fetch", field, "mailbox", folder, "uid", &uid];
        let value = dovecot.doveadm(&query, b"");
        let value = value.strip_prefix(format!("{field}=").as_bytes()).unwrap();
        value.strip_suffix(b"\n").unwrap().to_vec()
    };
    assert_eq!(fetch("text"), message, "{folder} {uid}");
    assert_eq!(
        fetch("size.virtual"),
        message.len().to_string().into_bytes()
    );
    assert_eq!(fetch("date.received.unixtime"), b"1234567890");
    assert_eq!(fetch("guid").len(), 32);
}

/// What staging makes of a message: CRLF line ends.
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in message {
        if *byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

#[test]
fn we_read_what_dovecot_wrote() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    for folder in &FOLDERS[1..] {
        dovecot.doveadm(&["mailbox", "create", folder], b"");
        dovecot.doveadm(&["mailbox", "subscribe", folder], b"");
    }
    for folder in FOLDERS {
        for (at, message) in messages().iter().enumerate() {
            let crlf = format!("mail_save_crlf={}", if at % 2 == 0 { "yes" } else { "no" });
            dovecot.doveadm(&["-o", &crlf, "save", "-m", folder], message);
        }
    }
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    let subscribed = account.subscriptions().unwrap();
    for folder in FOLDERS {
        assert!(folder == "INBOX" || subscribed.contains(&name(folder)));
        let mailbox = account.open(&name(folder)).unwrap();
        let snapshot = mailbox.snapshot();
        assert_eq!(snapshot.len() as usize, messages().len(), "{folder}");
        for (state, message) in snapshot.iter().zip(messages()) {
            let reader = mailbox.read(state.uid).unwrap();
            let mut bytes = vec![0; usize::try_from(reader.size()).unwrap()];
            reader.read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(bytes, with_crlf(&message), "{folder} {}", state.uid);
            assert_eq!(state.size, bytes.len() as u64);
        }
    }
    drop(account);
    assert!(matches!(store.stage().finish().unwrap(), Body::Memory(_)));
}

/// Messages for compression: small ones, one that is read in memory, one that is not.
fn messages_to_compress() -> Vec<Vec<u8>> {
    let lines = |count: u32| {
        let mut text = String::from("Subject: many lines\r\n\r\n");
        let mut state = 1_u32;
        for at in 0..count {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(&format!("line {at} of the body {state}\r\n"));
        }
        text.into_bytes()
    };
    let mut all = messages();
    all.push(lines(3_000));
    all.push(lines(30_000));
    all
}

fn expect_read(store: &Store, dovecot: &Dovecot, folder: &str) {
    let mailbox = store.account(&dovecot.spec()).unwrap();
    let mailbox = mailbox.open(&name(folder)).unwrap();
    let snapshot = mailbox.snapshot();
    let messages = messages_to_compress();
    assert_eq!(snapshot.len() as usize, messages.len(), "{folder}");
    for (state, message) in snapshot.iter().zip(messages) {
        let expected = with_crlf(&message);
        let reader = mailbox.read(state.uid).unwrap();
        assert_eq!(reader.size(), expected.len() as u64);
        assert_eq!(state.size, expected.len() as u64);
        let mut bytes = vec![0; expected.len()];
        reader.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes == expected, "{folder} {}", state.uid);
    }
}

#[test]
fn we_read_what_dovecot_compressed() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    let methods = ["gz", "bz2", "zstd", "lz4"];
    for method in methods {
        let saves = format!("plugin/zlib_save={method}");
        dovecot.doveadm(&["mailbox", "create", method], b"");
        for message in &messages_to_compress() {
            let plugin = ["-o", "mail_plugins=zlib", "-o", &saves];
            dovecot.doveadm(&[&plugin[..], &["save", "-m", method]].concat(), message);
        }
        let stored = dovecot
            .home
            .join(format!("mailboxes/{method}/dbox-Mails/u.1"));
        let stored = std::fs::read(stored).unwrap();
        assert!(
            stored.windows(2).any(|w| w == b"\nZ"),
            "{method} compressed nothing"
        );
    }
    let store = dovecot.store();
    for method in methods {
        expect_read(&store, &dovecot, method);
    }
}

/// Dovecot 2.3 only reads xz: what 2.2 wrote is made by hand, and Dovecot is asked whether it is right.
#[test]
fn we_read_xz_as_dovecot_does() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    for (uid, message) in (1..).zip(messages_to_compress()) {
        dovecot.doveadm(&["save"], &message);
        let path = dovecot
            .home
            .join(format!("mailboxes/INBOX/dbox-Mails/u.{uid}"));
        let stored = std::fs::read(&path).unwrap();
        // The header, the message (saved with its CRLF or not, as Dovecot does by default), metadata.
        let size = std::str::from_utf8(&stored[29..45]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let (plain, metadata) = stored[46..].split_at(size);
        let options = lzma_rust2::XzOptions::with_preset(6);
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        xz.write_all(plain).unwrap();
        let xz = xz.finish().unwrap();
        let mut file = stored[..29].to_vec();
        writeln!(file, "{:016X}", xz.len()).unwrap();
        file.extend_from_slice(&xz);
        write!(file, "\n\x01\x03\nZ{size:x}\n").unwrap();
        file.extend_from_slice(&metadata[4..]);
        std::fs::write(&path, file).unwrap();
        let uid = uid.to_string();
        let theirs = dovecot.doveadm(
            &[
                "-o",
                "mail_plugins=zlib",
                "-f",
                "flow",
                "fetch",
                "text",
                "mailbox",
                "INBOX",
                "uid",
                &uid,
            ],
            b"",
        );
        let theirs = theirs
            .strip_prefix(b"text=")
            .unwrap()
            .strip_suffix(b"\n")
            .unwrap();
        assert!(
            with_crlf(theirs) == with_crlf(&message),
            "{uid} as Dovecot reads it"
        );
    }
    expect_read(&dovecot.store(), &dovecot, "INBOX");
}
