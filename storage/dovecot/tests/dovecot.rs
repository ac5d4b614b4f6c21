//! A real Dovecot's index files, read at every stage of their life, and ours opened by it.
//!
//! Needs `doveadm`; without it the tests note that they were skipped, and with `CI=true` fail.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::{
    io::Write as _,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use facteur_dovecot::{Files, MailboxImage, Reading, read, write};

/// Who reads the mail when the test runs as root: Dovecot gives root none.
const NOBODY: u32 = 65_534;

/// A message as `doveadm fetch` shows it: UID, system flags, keywords, MODSEQ.
type Shown = (u32, Vec<String>, Option<u64>);

struct Dovecot {
    dir: tempfile::TempDir,
}

impl Dovecot {
    /// With settings that make it compact and rotate early, or not at all.
    fn new(settings: &str) -> Option<Self> {
        if Command::new("doveadm").arg("help").output().is_err() {
            skip("doveadm");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "base_dir = {dir}/run\nlog_path = /dev/stderr\nssl = no\nprotocols =\nfirst_valid_uid = 1\n\
             first_valid_gid = 1\nmail_location = sdbox:{dir}/mail\nnamespace {{\n inbox = yes\n separator = /\n}}\n\
             {settings}\n",
            dir = dir.path().display(),
        );
        std::fs::write(dir.path().join("dovecot.conf"), config).unwrap();
        std::fs::create_dir(dir.path().join("mail")).unwrap();
        Some(Self { dir })
    }

    fn mails(&self) -> PathBuf {
        self.dir.path().join("mail/mailboxes/INBOX/dbox-Mails")
    }

    fn doveadm(&self, arguments: &[&str], input: &[u8]) -> String {
        let given = Command::new("chown")
            .args(["-R", &format!("{NOBODY}:{NOBODY}")])
            .arg(self.dir.path())
            .status();
        assert!(given.unwrap().success());
        let mut child = Command::new("doveadm")
            .uid(NOBODY)
            .gid(NOBODY)
            .arg("-c")
            .arg(self.dir.path().join("dovecot.conf"))
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
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        let complaints: Vec<&str> = errors
            .lines()
            .filter(|l| !l.contains("Rebuilding"))
            .collect();
        assert!(complaints.is_empty(), "{arguments:?}: {complaints:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.mails().join(name)).ok()
    }

    fn read(&self) -> Reading {
        let files = [
            "dovecot.index",
            "dovecot.index.log",
            "dovecot.index.log.2",
            "dovecot.index.backup",
        ];
        let [index, log, log2, backup] = files.map(|name| self.file(name));
        read(&Files {
            index: index.as_deref(),
            log: log.as_deref(),
            log2: log2.as_deref(),
            backup: backup.as_deref(),
        })
        .unwrap()
    }

    /// What Dovecot shows; to ask for MODSEQs makes it keep them from then on.
    fn shown(&self, modseqs: bool) -> Vec<Shown> {
        let fields = if modseqs {
            "uid flags modseq"
        } else {
            "uid flags"
        };
        let text = self.doveadm(&["-f", "tab", "fetch", fields, "mailbox", "INBOX"], b"");
        let lines = text.lines().skip(1).map(|line| {
            let mut fields = line.split('\t');
            let uid = fields.next().unwrap().parse().unwrap();
            let flags = fields.next().unwrap().split(' ');
            let mut flags: Vec<String> = flags
                .filter(|flag| !flag.is_empty() && *flag != "\\Recent")
                .map(str::to_owned)
                .collect();
            flags.sort_unstable();
            (uid, flags, fields.next().map(|text| text.parse().unwrap()))
        });
        lines.collect()
    }

    fn status(&self, field: &str) -> String {
        let text = self.doveadm(&["-f", "flow", "mailbox", "status", field, "INBOX"], b"");
        let (_, value) = text.trim().rsplit_once('=').unwrap();
        value.to_owned()
    }

    fn compare(&self, modseqs: bool) -> MailboxImage {
        let Reading { image, remarks } = self.read();
        assert_eq!(remarks, []);
        let shown = self.shown(modseqs);
        assert_eq!(shown.len(), image.messages.len());
        for (message, shown) in image.messages.iter().zip(shown) {
            assert_eq!(message.uid.value(), shown.0);
            let mut flags: Vec<String> = message
                .flags
                .iter()
                .map(|f| f.as_str().to_owned())
                .collect();
            flags.extend(image.keyword_names(message.keywords).map(str::to_owned));
            flags.sort_unstable();
            assert_eq!(flags, shown.1, "UID {}", shown.0);
            if let Some(modseq) = shown.2 {
                assert_eq!(message.modseq.value(), modseq, "UID {}", shown.0);
            }
        }
        assert_eq!(self.status("uidvalidity"), image.uid_validity.to_string());
        assert_eq!(self.status("uidnext"), image.next_uid.to_string());
        assert_eq!(self.status("guid"), image.guid.unwrap().to_string());
        if modseqs {
            assert_eq!(
                self.status("highestmodseq"),
                image.highest_modseq.to_string()
            );
        }
        image
    }

    fn flags(&self, change: &str, flags: &str, uids: &str) {
        self.doveadm(
            &["flags", change, flags, "mailbox", "INBOX", "uid", uids],
            b"",
        );
    }

    /// Messages 1 to 1280 and some more.
    fn fill(&self) {
        for at in 0..10 {
            let message = format!("Subject: {at}\r\n\r\nbody {at}\r\n");
            self.doveadm(&["save", "-m", "INBOX"], message.as_bytes());
        }
        for _ in 0..7 {
            self.doveadm(&["copy", "INBOX", "mailbox", "INBOX", "all"], b"");
        }
    }
}

/// Notes for `tests/run` that a program is missing.
fn skip(program: &str) {
    let required = ["CI", "FACTEUR_REQUIRE_PEERS"].map(|name| std::env::var_os(name).is_some());
    assert!(
        !required.contains(&true),
        "{program} is missing, and nothing is to be skipped"
    );
    let line = format!("dovecot: {program} is missing\n");
    eprint!("skipped: {line}");
    if let Some(path) = std::env::var_os("FACTEUR_TEST_SKIPS") {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// A mailbox's life; `look` is called between its changes.
fn live(dovecot: &Dovecot, look: &mut dyn FnMut()) {
    dovecot.fill();
    look();
    dovecot.flags("add", "\\Seen", "1:600");
    dovecot.flags("add", "\\Flagged $Label1", "5,7,100:200");
    dovecot.flags("add", "$Forwarded Work/Not[imap", "1:1000");
    look();
    dovecot.flags("remove", "\\Seen $label1", "150:175");
    dovecot.flags("replace", "\\Answered NonJunk", "300:310");
    dovecot.flags("replace", "", "320");
    look();
    let expunge = |uids| dovecot.doveadm(&["expunge", "mailbox", "INBOX", "uid", uids], b"");
    expunge("1,3:4,500:700,1279:1280");
    look();
    for at in 0..70 {
        let first = 701 + at;
        dovecot.flags(
            "add",
            &format!("many{at}"),
            &format!("{first}:{}", first + 2),
        );
    }
    look();
    dovecot.doveadm(
        &["copy", "INBOX", "mailbox", "INBOX", "uid", "800:1000"],
        b"",
    );
    expunge("2,900:950");
    dovecot.flags("add", "\\Deleted \\Draft many69", "1100:*");
    look();
    for at in 0..150 {
        dovecot.flags(
            if at % 2 == 0 { "add" } else { "remove" },
            "\\Flagged toggled",
            "750:1250",
        );
        if at % 30 == 0 {
            look();
        }
    }
    dovecot.doveadm(&["index", "INBOX"], b"");
    look();
}

#[test]
fn an_index_that_was_never_compacted_is_read() {
    let Some(dovecot) = Dovecot::new(
        "mail_index_rewrite_min_log_bytes = 100M\nmail_index_rewrite_max_log_bytes = 200M\n\
         mail_index_log_rotate_min_size = 100M\nmail_index_log_rotate_max_size = 200M",
    ) else {
        return;
    };
    let mut modseqs = false;
    live(&dovecot, &mut || {
        dovecot.compare(modseqs);
        if !std::mem::replace(&mut modseqs, true) {
            dovecot.shown(true);
        }
    });
    assert!(dovecot.file("dovecot.index").is_none());
}

#[test]
fn an_index_that_was_compacted_and_a_log_that_was_rotated_are_read() {
    let Some(dovecot) = Dovecot::new(
        "mail_index_rewrite_min_log_bytes = 1k\nmail_index_rewrite_max_log_bytes = 4k\n\
         mail_index_log_rotate_min_size = 4k\nmail_index_log_rotate_max_size = 8k\n\
         mail_index_log_rotate_min_age = 0",
    ) else {
        return;
    };
    let (mut modseqs, mut with_log2) = (false, 0);
    live(&dovecot, &mut || {
        dovecot.compare(modseqs);
        if !std::mem::replace(&mut modseqs, true) {
            dovecot.shown(true);
        }
        with_log2 += u32::from(dovecot.file("dovecot.index.log.2").is_some());
    });
    assert!(dovecot.file("dovecot.index").is_some());
    assert!(with_log2 > 3, "the log was rotated {with_log2} times only");
}

/// An index of the past and the logs that follow it.
#[test]
fn an_index_that_is_older_than_its_log_is_read() {
    let Some(dovecot) = Dovecot::new(
        "mail_index_rewrite_min_log_bytes = 1k\nmail_index_rewrite_max_log_bytes = 1k",
    ) else {
        return;
    };
    dovecot.fill();
    dovecot.shown(true);
    dovecot.flags("add", "\\Seen one", "1:100");
    let old = dovecot.file("dovecot.index").unwrap();
    dovecot.flags("add", "\\Answered two", "50:150");
    dovecot.doveadm(&["expunge", "mailbox", "INBOX", "uid", "60:70"], b"");
    let mut expected = dovecot.compare(true);
    for at in 0..300 {
        if dovecot.file("dovecot.index").unwrap() != old {
            break;
        }
        dovecot.flags("add", &format!("k{}", at % 20), "1:1000");
        expected = dovecot.compare(true);
    }
    assert!(
        dovecot.file("dovecot.index").unwrap() != old,
        "it was not compacted"
    );
    std::fs::write(dovecot.mails().join("dovecot.index"), &old).unwrap();
    let reading = dovecot.read();
    assert_eq!(reading.remarks, []);
    assert_eq!(reading.image.messages.len(), expected.messages.len());
    for (old, new) in reading.image.messages.iter().zip(&expected.messages) {
        assert_eq!((old.uid, old.flags), (new.uid, new.flags));
        let names = |image: &MailboxImage, set| {
            image
                .keyword_names(set)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&reading.image, old.keywords),
            names(&expected, new.keywords)
        );
    }
}

#[test]
fn dovecot_opens_an_index_of_ours() {
    let Some(dovecot) = Dovecot::new("") else {
        return;
    };
    live(&dovecot, &mut || ());
    let before = dovecot.compare(true);
    let shown = dovecot.shown(true);
    for entry in std::fs::read_dir(dovecot.mails()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap().starts_with("dovecot.") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    for name in ["dovecot.list.index", "dovecot.list.index.log"] {
        let _ = std::fs::remove_file(dovecot.dir.path().join("mail").join(name));
    }
    let written = write(&before, 1_700_000_000);
    std::fs::write(dovecot.mails().join("dovecot.index"), written.index).unwrap();
    std::fs::write(dovecot.mails().join("dovecot.index.log"), written.log).unwrap();
    assert_eq!(dovecot.shown(true), shown);
    assert_eq!(dovecot.compare(true), before);
    // It is one of its own from now on.
    dovecot.flags("add", "\\Flagged of-its-own", "701:720");
    dovecot.doveadm(&["index", "INBOX"], b"");
    let changed = dovecot.shown(true);
    dovecot.compare(true);
    dovecot.doveadm(&["force-resync", "INBOX"], b"");
    let plain = |shown: &[Shown]| {
        shown
            .iter()
            .map(|(u, f, _)| (*u, f.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(plain(&dovecot.shown(false)), plain(&changed));
    dovecot.doveadm(&["save", "-m", "INBOX"], b"Subject: after\r\n\r\nall\r\n");
    let after = dovecot.compare(true);
    assert_eq!(
        after.messages.last().unwrap().uid.value(),
        u32::try_from(before.next_uid).unwrap()
    );
}
