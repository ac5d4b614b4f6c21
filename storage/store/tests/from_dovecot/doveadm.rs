//! A real Dovecot on a home that a store of ours uses before or after it.

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use facteur_model::{AccountId, AccountSpec, MailFormat, MailboxName, QuotaLimits};
use facteur_store::{Account, Options, Store};

/// Who reads the mail when the test runs as root: Dovecot gives root none.
const NOBODY: u32 = 65_534;

/// A message as both show it: system flags and keywords, sorted; size; when it was received.
pub(crate) type Shown = (Vec<String>, u64, i64);

/// A mailbox as both show it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ShownMailbox {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u64,
    pub(crate) guid: String,
    pub(crate) messages: BTreeMap<u32, Shown>,
}

/// Dovecot, and a home.
pub(crate) struct Dovecot {
    dir: tempfile::TempDir,
    pub(crate) home: PathBuf,
    settings: &'static str,
    format: MailFormat,
}

impl Dovecot {
    /// `None` when it is not there, which is noted.
    pub(crate) fn new(settings: &'static str) -> Option<Self> {
        Self::with(MailFormat::Sdbox, settings)
    }

    /// As [`Self::new`], with mail in this format.
    pub(crate) fn with(format: MailFormat, settings: &'static str) -> Option<Self> {
        if Command::new("doveadm").arg("help").output().is_err() {
            skip("doveadm");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("bob");
        std::fs::create_dir(&home).unwrap();
        Some(Self {
            dir,
            home,
            settings,
            format,
        })
    }

    /// The folder above the home.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs it on the home.
    pub(crate) fn doveadm(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        self.doveadm_at(&self.location(), arguments, input)
    }

    /// Runs it on another `mail_location`.
    pub(crate) fn doveadm_at(&self, location: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let dir = self.dir.path();
        let config = format!(
            "base_dir = {dir}/run\nlog_path = /dev/stderr\nssl = no\nprotocols =\nfirst_valid_uid = 1\n\
             first_valid_gid = 1\nmail_location = {location}\nnamespace {{\n inbox = yes\n separator = /\n}}\n{settings}\n",
            dir = dir.display(),
            settings = self.settings,
        );
        std::fs::write(dir.join("dovecot.conf"), config).unwrap();
        let given = Command::new("chown")
            .args(["-R", &format!("{NOBODY}:{NOBODY}")])
            .arg(dir)
            .status();
        assert!(given.unwrap().success());
        let mut child = Command::new("doveadm")
            .uid(NOBODY)
            .gid(NOBODY)
            .arg("-c")
            .arg(dir.join("dovecot.conf"))
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
        assert!(output.status.success(), "{arguments:?}: {errors}");
        let complaints: Vec<&str> = errors
            .lines()
            .filter(|l| !l.contains("ebuilding"))
            .collect();
        assert!(complaints.is_empty(), "{arguments:?}: {complaints:?}");
        output.stdout
    }

    /// A mailbox as Dovecot shows it.
    pub(crate) fn shown(&self, location: &str, mailbox: &str) -> ShownMailbox {
        let run = |arguments: &[&str]| {
            String::from_utf8(self.doveadm_at(location, arguments, b"")).unwrap()
        };
        let status = |field: &str| {
            let text = run(&["-f", "flow", "mailbox", "status", field, mailbox]);
            text.trim().rsplit_once('=').unwrap().1.to_owned()
        };
        let fields = "uid flags size.virtual date.received.unixtime";
        let text = run(&["-f", "tab", "fetch", fields, "mailbox", mailbox]);
        let messages = text.lines().skip(1).map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let flags = fields[1].split(' ').map(str::to_owned);
            let mut flags: Vec<String> = flags
                .filter(|flag| !flag.is_empty() && flag != "\\Recent")
                .collect();
            flags.sort_unstable();
            let shown = (
                flags,
                fields[2].parse().unwrap(),
                fields[3].parse().unwrap(),
            );
            (fields[0].parse().unwrap(), shown)
        });
        ShownMailbox {
            messages: messages.collect(),
            uid_validity: status("uidvalidity").parse().unwrap(),
            uid_next: status("uidnext").parse().unwrap(),
            guid: status("guid"),
        }
    }

    /// A message's text; Dovecot shows it with the line ends of its file.
    pub(crate) fn text(&self, mailbox: &str, uid: u32) -> Vec<u8> {
        let uid = uid.to_string();
        let query = [
            "-f", "flow", "fetch", "text", "mailbox", mailbox, "uid", &uid,
        ];
        let text = self.doveadm(&query, b"");
        let text = text.strip_prefix(b"text=").unwrap();
        let mut out = Vec::new();
        for byte in text.strip_suffix(b"\n").unwrap() {
            if *byte == b'\n' && out.last() != Some(&b'\r') {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        out
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            state: self.dir.path().join("state"),
            auto_folders: Vec::new(),
            staging_memory: 4096,
            ..Options::default()
        }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.options()).unwrap()
    }

    pub(crate) fn spec(&self) -> AccountSpec {
        AccountSpec {
            id: AccountId::new("bob@example.test"),
            home: self.home.clone(),
            format: self.format,
            quota: QuotaLimits::default(),
        }
    }

    /// Makes mailboxes with flags, keywords, expunges and moves; `many` messages in one of them.
    pub(crate) fn live(&self, many: usize) {
        for folder in &self.folders()[1..] {
            self.doveadm(&["mailbox", "create", folder], b"");
        }
        self.doveadm(&["mailbox", "subscribe", FOLDERS[1], FOLDERS[2]], b"");
        for crlf in ["yes", "no"] {
            let source = self.dir().join(format!("source-{crlf}"));
            for sub in ["cur", "new", "tmp"] {
                std::fs::create_dir_all(source.join(sub)).unwrap();
            }
            for at in 0..4 {
                let path = source.join("cur").join(format!("{at}.{crlf}:2,"));
                let text = format!("Subject: {at}\nFrom: {crlf}@b\n\nbody {at}\n.\n\u{e9}\n");
                std::fs::write(&path, text).unwrap();
                let received =
                    std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567 << at);
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(received).unwrap();
            }
            let location = format!("maildir:{}", source.display());
            let crlf = format!("mail_save_crlf={crlf}");
            self.doveadm(&["-o", &crlf, "import", &location, "", "all"], b"");
        }
        let flags = |change: &str, flags: &str, mailbox: &str, uids: &str| {
            self.doveadm(
                &["flags", change, flags, "mailbox", mailbox, "uid", uids],
                b"",
            );
        };
        self.doveadm(&["copy", FOLDERS[1], "mailbox", "INBOX", "uid", "1:4"], b"");
        self.doveadm(&["copy", FOLDERS[2], "mailbox", "INBOX", "all"], b"");
        let mut there = 8;
        while there < many {
            self.doveadm(&["copy", FOLDERS[2], "mailbox", FOLDERS[2], "all"], b"");
            there *= 2;
        }
        flags("add", "\\Seen $Forwarded work", "INBOX", "1:3");
        flags("add", "\\Deleted \\Draft", "INBOX", "5");
        flags("add", "\\Flagged WORK NonJunk odd[one", FOLDERS[1], "2:3");
        let half = (there / 2).to_string();
        flags("add", "\\Seen", FOLDERS[2], &format!("1:{half}"));
        for at in 1..20_usize {
            let range = format!("{}:{}", (at * there / 25).max(1), (at * there / 22).max(1));
            flags(
                "add",
                &format!("\\Answered label{}", at % 7),
                FOLDERS[2],
                &range,
            );
        }
        self.doveadm(&["expunge", "mailbox", FOLDERS[2], "uid", "7:15"], b"");
        self.doveadm(&["move", FOLDERS[1], "mailbox", "INBOX", "uid", "4"], b"");
        self.doveadm(&["expunge", "mailbox", "INBOX", "uid", "8"], b"");
    }

    /// The mailboxes that [`Self::live`] makes.
    pub(crate) fn folders(&self) -> [&'static str; 5] {
        match self.format {
            MailFormat::Sdbox => FOLDERS,
            // In a Maildir no name has a dot.
            MailFormat::Maildir => FOLDERS.map(|name| name.trim_start_matches('.')),
        }
    }

    /// The home's location.
    pub(crate) fn location(&self) -> String {
        format!("{}:{}", self.format.as_str(), self.home.display())
    }
}

/// Mailboxes: nested, with letters beyond ASCII, one for many messages, one that stays empty.
pub(crate) const FOLDERS: [&str; 5] =
    ["INBOX", "Été & Hiver/日本", "Archive", ".dot", "Never/used"];

/// A mailbox as our store shows it.
pub(crate) fn ours(account: &Account, home: &Path, mailbox: &str) -> ShownMailbox {
    let name = MailboxName::parse(mailbox).unwrap();
    let opened = account.open(&name).unwrap();
    let snapshot = opened.snapshot();
    let messages = snapshot.iter().map(|state| {
        let keywords = snapshot.keywords(state.keywords).iter();
        let keywords = keywords.map(|keyword| keyword.as_str().to_owned());
        let flags = state.flags.iter().map(|flag| flag.as_str().to_owned());
        let mut flags: Vec<String> = flags.chain(keywords).collect();
        flags.sort_unstable();
        (
            state.uid.value(),
            (flags, state.size, state.internal_date.unix()),
        )
    });
    let sdbox = facteur_sdbox::Layout::new(home).folder(&name);
    let guid = match std::fs::read_to_string(sdbox.join("uidvalidity")) {
        Ok(identity) => {
            let guid = identity.lines().find_map(|line| line.strip_prefix("guid "));
            guid.unwrap().to_owned()
        }
        // Of a Maildir Dovecot's own file says it, before ours is there.
        Err(_) => {
            let folder = facteur_maildir::Layout::new(home).folder(&name);
            let list = std::fs::read_to_string(folder.join("dovecot-uidlist")).unwrap();
            let mut fields = list.lines().next().unwrap().split(' ');
            fields
                .find_map(|field| field.strip_prefix('G'))
                .unwrap()
                .to_owned()
        }
    };
    ShownMailbox {
        messages: messages.collect(),
        uid_validity: opened.uid_validity().value(),
        uid_next: snapshot.uid_next(),
        guid,
    }
}

/// Notes for `tests/run` that a program is missing.
fn skip(program: &str) {
    let required = ["CI", "FACTEUR_REQUIRE_PEERS"].map(|name| std::env::var_os(name).is_some());
    assert!(
        !required.contains(&true),
        "{program} is missing, and nothing is to be skipped"
    );
    let line = format!("store: {program} is missing\n");
    eprint!("skipped: {line}");
    if let Some(path) = std::env::var_os("FACTEUR_TEST_SKIPS") {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
