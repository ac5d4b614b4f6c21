//! A Dovecot of the test's own, on a Maildir in a folder of the test's own.

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Who reads the mail when the test runs as root.
const NOBODY: u32 = 65_534;

pub(crate) struct Dovecot {
    dir: tempfile::TempDir,
    /// The Maildir.
    pub(crate) root: PathBuf,
}

/// Fields of a message, as `doveadm fetch` gives them.
pub(crate) type Fields = BTreeMap<&'static str, String>;

impl Dovecot {
    /// `None` without `doveadm`, where that may be.
    pub(crate) fn new() -> Option<Self> {
        if Command::new("doveadm").arg("help").output().is_err() {
            skip("doveadm");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("Maildir");
        let dovecot = Self { dir, root };
        let config = format!(
            "base_dir = {dir}/run\nlog_path = /dev/stderr\nssl = no\nprotocols =\n\
             first_valid_uid = 1\nfirst_valid_gid = 1\nmail_location = maildir:{root}\n\
             namespace {{\n inbox = yes\n separator = /\n}}\n",
            dir = dovecot.dir.path().display(),
            root = dovecot.root.display(),
        );
        std::fs::write(dovecot.config(), config).unwrap();
        Some(dovecot)
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("dovecot.conf")
    }

    /// What it prints. A complaint fails the test.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("doveadm");
        if is_root(self.dir.path()) {
            // Dovecot gives root no mail.
            let mut chown = Command::new("chown");
            chown.args(["-R", &format!("{NOBODY}:{NOBODY}")]);
            assert!(chown.arg(self.dir.path()).status().unwrap().success());
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child = command
            .arg("-c")
            .arg(self.config())
            .args(arguments)
            .env("HOME", self.dir.path())
            .env("USER", "bob")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && complaints.is_empty(),
            "doveadm {arguments:?}: {complaints}"
        );
        output.stdout
    }

    /// Its lines.
    pub(crate) fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let text = String::from_utf8(self.run(arguments, b"")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// `fields` of every message, in the order of their UIDs.
    pub(crate) fn fetch(&self, mailbox: &str, fields: &[&'static str]) -> Vec<Fields> {
        let query = [
            "-f",
            "tab",
            "fetch",
            &fields.join(" "),
            "mailbox",
            mailbox,
            "all",
        ];
        let lines = self.lines(&query);
        let values = lines.iter().skip(1).map(|line| line.split('\t'));
        values
            .map(|values| {
                fields
                    .iter()
                    .copied()
                    .zip(values.map(str::to_owned))
                    .collect()
            })
            .collect()
    }

    /// A message's bytes.
    pub(crate) fn text(&self, mailbox: &str, uid: &str) -> Vec<u8> {
        let query = [
            "-f", "flow", "fetch", "text", "mailbox", mailbox, "uid", uid,
        ];
        let text = self.run(&query, b"");
        let text = text.strip_prefix(b"text=").unwrap();
        text.strip_suffix(b"\n").unwrap().to_vec()
    }

    /// UIDVALIDITY, UIDNEXT and GUID.
    pub(crate) fn status(&self, mailbox: &str) -> (u32, u64, String) {
        let query = [
            "-f",
            "tab",
            "mailbox",
            "status",
            "uidvalidity uidnext guid",
            mailbox,
        ];
        let lines = self.lines(&query);
        let names: Vec<&str> = lines[0].split('\t').collect();
        let values: Vec<&str> = lines[1].split('\t').collect();
        let value = |name: &str| values[names.iter().position(|known| *known == name).unwrap()];
        let (validity, next) = (value("uidvalidity"), value("uidnext"));
        (
            validity.parse().unwrap(),
            next.parse().unwrap(),
            value("guid").to_owned(),
        )
    }
}

fn is_root(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    [0, NOBODY].contains(&std::fs::metadata(path).unwrap().uid())
}

/// Notes for `tests/run` that a program is missing.
fn skip(program: &str) {
    let required = ["CI", "FACTEUR_REQUIRE_PEERS"].map(|name| std::env::var_os(name).is_some());
    assert!(
        !required.contains(&true),
        "{program} is missing, and here nothing is skipped"
    );
    let line = format!("maildir: {program} is missing\n");
    eprint!("skipped: {line}");
    if let Some(path) = std::env::var_os("FACTEUR_TEST_SKIPS") {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
