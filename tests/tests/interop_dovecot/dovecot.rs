//! Dovecot's administration tool on Bob's mail.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use facteur_tests::{Facteur, Workdir};

use crate::home;

/// A mailbox: its UIDVALIDITY, and its messages.
pub(crate) type Shown = (u64, Vec<Message>);

/// A message as both show it.
#[derive(PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) uid: u32,
    /// System flags and keywords, sorted.
    pub(crate) flags: Vec<String>,
    pub(crate) size: u64,
    /// When it was received, as `YYYY-MM-DD HH:MM:SS`.
    pub(crate) received: String,
    pub(crate) text: Vec<u8>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.text);
        let (flags, received) = (self.flags.join(" "), &self.received);
        let (uid, size) = (self.uid, self.size);
        writeln!(f, "{uid} ({flags}) {size} {received} {text:?}")
    }
}

/// Dovecot's administration tool.
pub(crate) struct Dovecot {
    pub(crate) work: Workdir,
    program: PathBuf,
}

impl Dovecot {
    /// On a copy of what the server, which must not run, has of Bob's.
    pub(crate) fn on_a_copy(program: PathBuf, server: &Facteur, format: &str) -> Self {
        Self::with_plugins(program, server, format, "")
    }

    pub(crate) fn with_plugins(
        program: PathBuf,
        server: &Facteur,
        format: &str,
        plugins: &str,
    ) -> Self {
        let work = Workdir::new(server, "dovecot");
        let copy = work.path().join("mail");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(home(server))
            .arg(&copy)
            .status();
        assert!(copied.expect("cp").success());
        Self::at(program, work, format, &copy, plugins)
    }

    /// On the home itself, in which the server must not be meanwhile.
    pub(crate) fn on_the_home(program: PathBuf, server: &Facteur, format: &str) -> Self {
        let work = Workdir::new(server, "dovecot");
        Self::at(program, work, format, &home(server), "")
    }

    fn at(program: PathBuf, work: Workdir, format: &str, mail: &Path, plugins: &str) -> Self {
        let (folder, mail) = (work.path().display(), mail.display());
        work.write(
            "dovecot.conf",
            &format!(
                "base_dir = {folder}/run\nlog_path = /dev/stderr\nssl = no\nprotocols = pop3\n\
                 mail_plugins = {plugins}\n\
                 first_valid_uid = 1\nfirst_valid_gid = 1\nmail_location = {format}:{mail}\n\
                 namespace {{\n  inbox = yes\n  separator = /\n}}\n"
            ),
        );
        Self { work, program }
    }

    /// Runs `doveadm`, which must have nothing to complain of but that it rebuilds its index.
    pub(crate) fn doveadm(&self, arguments: &[&str]) -> Vec<u8> {
        let all = [&["-c", "dovecot.conf"], arguments].concat();
        let ran = self.work.run(&self.program, &all, "");
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.output);
        let printed = String::from_utf8_lossy(&ran.stdout).len();
        let complaint = ran.output[printed..]
            .lines()
            .find(|line| !line.contains("ebuild"));
        assert_eq!(complaint, None, "{arguments:?}");
        ran.stdout
    }

    /// A field of a message.
    pub(crate) fn fetch(&self, field: &str, mailbox: &str, uid: u32) -> Vec<u8> {
        let uid = uid.to_string();
        let said = self.doveadm(&[
            "-f", "flow", "fetch", field, "mailbox", mailbox, "uid", &uid,
        ]);
        let value = said.strip_prefix(format!("{field}=").as_bytes());
        let value = value.and_then(|value| value.strip_suffix(b"\n"));
        value
            .unwrap_or_else(|| panic!("{field} of {mailbox} {uid}: {said:?}"))
            .to_vec()
    }

    /// The lines that a verb prints, sorted.
    pub(crate) fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let said = String::from_utf8(self.doveadm(arguments)).expect("UTF-8");
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    /// A mailbox as it shows it.
    pub(crate) fn shown(&self, mailbox: &str) -> Shown {
        let fields = "uid flags size.virtual date.received";
        let said = self.doveadm(&["-f", "tab", "fetch", fields, "mailbox", mailbox]);
        let said = String::from_utf8(said).expect("UTF-8");
        let message = |line: &str| {
            let mut fields = line.split('\t');
            let mut field = || fields.next().unwrap_or_default();
            let uid = field().parse().expect("a UID");
            let mut flags: Vec<String> = field().split_whitespace().map(str::to_owned).collect();
            flags.retain(|flag| flag != "\\Recent");
            flags.sort_unstable();
            Message {
                uid,
                flags,
                size: field().parse().expect("a size"),
                received: field().to_owned(),
                text: with_crlf(&self.fetch("text", mailbox, uid)),
            }
        };
        let messages = said.lines().skip(1).map(message).collect();
        let status = ["-f", "flow", "mailbox", "status", "uidvalidity", mailbox];
        let status = String::from_utf8(self.doveadm(&status)).expect("UTF-8");
        let validity = status.trim().rsplit_once('=').expect("a status").1;
        (validity.parse().expect("a UIDVALIDITY"), messages)
    }

    /// What its POP3 server says to commands of one who is logged in.
    pub(crate) fn pop3(&self, commands: &str) -> String {
        let pop3 = Path::new("/usr/lib/dovecot/pop3");
        self.work
            .run(pop3, &["-c", "dovecot.conf"], commands)
            .output
    }
}

/// A text as it is on the wire; the tool shows it with the line ends of its file.
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if *byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}
