//! What a trace of strace says, and whether its order is safe.

use std::collections::{BTreeMap, BTreeSet};

/// A call that matters to durability, where it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// So many bytes went into a file.
    Write(String, u64),
    /// A file or folder was synced, and the call has returned.
    Sync(String),
    /// A file got another name.
    Rename(String, String),
    /// A name was removed.
    Unlink(String),
    /// A folder was made.
    MakeDir(String),
    /// A client was told that something is done: what it was told.
    Acknowledge(String),
}

/// Which calls to record.
pub(crate) const CALLS: &str = "--trace=write,writev,pwrite64,pwritev,sendto,sendmsg,copy_file_range,ftruncate,fsync,fdatasync,\
    syncfs,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat";

/// Reads a trace. What was begun before another call's end was told stands where it ended, except
/// for what goes to a client: that stands where it began.
pub(crate) fn parse(trace: &str) -> Vec<Event> {
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut events = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        if let Some(first) = call.strip_suffix("<unfinished ...>") {
            events.extend(acknowledgement(first));
            begun.insert(thread, first.trim_end().to_owned());
            continue;
        }
        if call.starts_with("<... ") {
            let first = begun.remove(thread).unwrap_or_default();
            let rest = call.split_once("resumed>").map_or("", |(_, rest)| rest);
            events.extend(event(&format!("{first}{rest}")));
            continue;
        }
        events.extend(acknowledgement(call));
        events.extend(event(call));
    }
    events
}

/// Replies that a client takes for a promise.
fn acknowledgement(call: &str) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    if !["write", "writev", "sendto", "sendmsg"].contains(&name) || !arguments.contains("<socket:")
    {
        return None;
    }
    let (_, text) = arguments.split_once('"')?;
    let is_promise = text.starts_with("250 2.0.0 Ok: queued")
        || text.contains(" OK [APPENDUID ")
        || text.contains(" OK CREATE ");
    is_promise.then(|| Event::Acknowledge(text.to_owned()))
}

fn event(call: &str) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    let (_, result) = arguments.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let bytes = result.trim().parse().unwrap_or(0);
    let quoted: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
    let path = |n: usize| quoted.get(n).map(|path| (*path).to_owned());
    match name {
        "write" | "writev" | "pwrite64" | "pwritev" | "ftruncate" => {
            descriptor(arguments, 0).map(|path| Event::Write(path, bytes))
        }
        "copy_file_range" => descriptor(arguments, 1).map(|path| Event::Write(path, bytes)),
        "fsync" | "fdatasync" => descriptor(arguments, 0).map(Event::Sync),
        "rename" | "renameat" | "renameat2" => Some(Event::Rename(path(0)?, path(1)?)),
        "unlink" | "unlinkat" => path(0).map(Event::Unlink),
        "mkdir" | "mkdirat" => path(0).map(Event::MakeDir),
        _ => None,
    }
}

/// The path of the n-th descriptor.
fn descriptor(arguments: &str, n: usize) -> Option<String> {
    let from = arguments.split('<').nth(n + 1)?;
    let (path, _) = from.split_once('>')?;
    path.starts_with('/').then(|| path.to_owned())
}

/// Goes through a trace as a disk that keeps nothing but what was synced.
#[derive(Default)]
struct Checker {
    /// How many bytes each file was given.
    written: BTreeMap<String, u64>,
    /// Files with bytes that are not synced.
    dirty: BTreeSet<String>,
    /// Names that were made or removed, and the folder not synced since.
    pending: BTreeSet<String>,
    /// How far the journal was when a file was written to last.
    since: BTreeMap<String, u64>,
    /// Mailboxes that have messages.
    used: BTreeSet<String>,
    /// Mailboxes that somebody made by command.
    made: BTreeSet<String>,
    /// How many bytes went into the journal, and how many of them are durable.
    journal: (u64, u64),
    violations: Vec<String>,
}

/// What is acknowledged or built upon before it is durable.
pub(crate) fn violations(events: &[Event]) -> Vec<String> {
    let mut checker = Checker::default();
    for event in events {
        checker.see(event);
    }
    checker.violations
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A message file: `…/mailboxes/NAME/dbox-Mails/u.N`.
pub(crate) fn is_message(path: &str) -> bool {
    path.contains("/dbox-Mails/u.")
}

/// A spool entry.
pub(crate) fn is_spooled(path: &str) -> bool {
    path.contains("/spool/") && path.ends_with(".msg")
}

/// The journal, which has everything that is small.
pub(crate) fn is_journal(path: &str) -> bool {
    path.contains("/journal/")
}

impl Checker {
    fn see(&mut self, event: &Event) {
        match event {
            Event::Write(path, bytes) => {
                // Who writes to it first has made it.
                if path.contains("/temp.") && !self.written.contains_key(path) {
                    self.pending.insert(path.clone());
                }
                *self.written.entry(path.clone()).or_default() += bytes;
                self.dirty.insert(path.clone());
                if is_journal(path) {
                    self.journal.0 += bytes;
                }
                self.since.insert(path.clone(), self.journal.0);
            }
            Event::Sync(path) => {
                self.dirty.remove(path);
                self.pending.retain(|name| parent(name) != path);
                if is_journal(path) {
                    self.journal.1 = self.journal.0;
                }
            }
            Event::MakeDir(path) => {
                self.pending.insert(path.clone());
            }
            Event::Unlink(path) => {
                self.pending.insert(path.clone());
                self.written.remove(path);
            }
            Event::Rename(from, to) => self.renamed(from, to),
            Event::Acknowledge(text) => self.acknowledged(text),
        }
    }

    fn renamed(&mut self, from: &str, to: &str) {
        if is_message(to) || is_spooled(to) {
            // The journal says that it has its name, and has its bytes unless they are durable.
            let is_durable = !self.dirty.contains(from) && !self.pending.contains(from);
            let size = self.written.get(from).copied().unwrap_or(0);
            let since = self.since.get(from).copied().unwrap_or(0);
            let wanted = if is_durable { 1 } else { size };
            if self.journal.1 < since + wanted {
                let violation = format!("{to} is named before the journal has it");
                self.violations.push(violation);
            }
        }
        if is_message(to) {
            let mailbox = parent(parent(to)).to_owned();
            self.must_be_durable(&[format!("{mailbox}/uidvalidity")], to);
            self.used.insert(mailbox);
        }
        // It is as durable as what it was, and so is what lies below.
        self.dirty.remove(to);
        let moved = |path: &String| match path.strip_prefix(from) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
            _ => path.clone(),
        };
        self.dirty = self.dirty.iter().map(moved).collect();
        self.pending.remove(from);
        self.pending = self.pending.iter().map(moved).collect();
        let written = std::mem::take(&mut self.written).into_iter();
        self.written = written.map(|(path, size)| (moved(&path), size)).collect();
        self.pending.insert(to.to_owned());
    }

    fn acknowledged(&mut self, text: &str) {
        // One client at a time: nothing else is under way.
        let under_way = self
            .written
            .keys()
            .filter(|p| p.contains("/dbox-Mails/temp."));
        let under_way: Vec<_> = under_way
            .map(|path| format!("{path} has no name at {text}"))
            .collect();
        self.violations.extend(under_way);
        if text.contains(" OK CREATE ") {
            // The one whose identity was written.
            let made = self.written.keys().filter(|p| p.ends_with("/uidvalidity"));
            let made: Vec<String> = made.map(|path| parent(path).to_owned()).collect();
            self.made
                .extend(made.into_iter().filter(|path| path.ends_with("/New")));
        }
        let mut needed: BTreeSet<String> = BTreeSet::new();
        for mailbox in self.made.iter().chain(&self.used) {
            needed.insert(format!("{mailbox}/uidvalidity"));
            needed.insert(format!("{mailbox}/dbox-Mails"));
        }
        // And the way to each of them.
        for path in needed.clone() {
            let mut above = parent(&path).to_owned();
            while above.contains("/data/") {
                needed.insert(above.clone());
                above = parent(&above).to_owned();
            }
        }
        let needed: Vec<String> = needed.into_iter().collect();
        self.must_be_durable(&needed, text);
    }

    fn must_be_durable(&mut self, paths: &[impl AsRef<str>], before: &str) {
        for path in paths.iter().map(AsRef::as_ref) {
            if self.dirty.contains(path) || self.pending.contains(path) {
                let violation = format!("{path} is not durable before {before}");
                self.violations.push(violation);
            }
        }
    }
}
