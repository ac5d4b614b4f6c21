//! Where a program can be struck: which kind of call, on which kind of file.

use std::{collections::BTreeMap, fmt, path::Path};

/// A place where a fault can strike: the system call's name and the kind of file it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultPoint {
    /// The call, by one name for all of its variants.
    pub call: &'static str,
    /// The kind of file.
    pub class: &'static str,
}

impl fmt::Display for FaultPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.call, self.class)
    }
}

impl FaultPoint {
    /// Whether it makes something durable.
    pub fn is_sync(&self) -> bool {
        matches!(self.call, "fsync" | "fdatasync" | "fsync folder" | "syncfs")
    }
}

/// How often each point was met.
pub type FaultCounts = BTreeMap<FaultPoint, usize>;

/// What kind of file of the server's data a path names.
pub fn class_of(path: &Path) -> &'static str {
    let text = path.to_string_lossy();
    let file = text.rsplit('/').next().unwrap_or_default();
    let within = |folder: &str| {
        text.contains(&format!("/{folder}/")) || text.starts_with(&format!("{folder}/"))
    };
    match file {
        _ if file.starts_with("directory.db") => "directory",
        _ if file.starts_with("quota.db") => "quota",
        "index.db-wal" => "index.db-wal",
        "index.db-journal" => "index.db-journal",
        "index.db-shm" => "index.db-shm",
        _ if file.starts_with("index.db") => "index.db",
        _ if file.starts_with("uidvalidity") => "uidvalidity",
        _ if file.starts_with("dovecot-") => "dovecot files",
        _ if file.starts_with("subscriptions") => "subscriptions",
        _ if within("journal") || file == "journal" => "journal",
        _ if within("spool") || file == "spool" => "spool",
        _ if within("sieve") || file == "sieve" || file.starts_with(".dovecot.sieve") => "scripts",
        _ if within("dbox-Mails") => "message",
        _ if within("cur") || within("new") || within("tmp") => "message",
        "dbox-Mails" | "cur" | "new" | "tmp" => "message folder",
        _ if within("mailboxes") || file == "mailboxes" => "mailbox folder",
        _ if within("mail") || file == "mail" => "mail home",
        _ => "other",
    }
}
