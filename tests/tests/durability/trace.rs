//! What a trace of strace says, and whether its order is safe.

use std::collections::{BTreeMap, BTreeSet};

/// A call that matters to durability, where it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes went into a file.
    Write(String),
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
    let quoted: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
    let path = |n: usize| quoted.get(n).map(|path| (*path).to_owned());
    match name {
        "write" | "writev" | "pwrite64" | "pwritev" | "ftruncate" => {
            descriptor(arguments, 0).map(Event::Write)
        }
        "copy_file_range" => descriptor(arguments, 1).map(Event::Write),
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
    written: BTreeSet<String>,
    /// Files with bytes that are not synced.
    dirty: BTreeSet<String>,
    /// Names that were made or removed, and the folder not synced since.
    pending: BTreeSet<String>,
    /// Messages that have their name.
    messages: BTreeSet<String>,
    /// Mailboxes that somebody made by command.
    made: BTreeSet<String>,
    /// Transactions that were begun and not ended.
    promised: BTreeSet<String>,
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

/// A spool entry or a transaction.
pub(crate) fn is_spooled(path: &str) -> bool {
    path.contains("/spool/") && (path.ends_with(".msg") || path.ends_with(".txn"))
}

impl Checker {
    fn see(&mut self, event: &Event) {
        match event {
            Event::Write(path) => {
                self.written.insert(path.clone());
                self.dirty.insert(path.clone());
            }
            Event::Sync(path) => {
                self.dirty.remove(path);
                self.pending.retain(|name| parent(name) != path);
            }
            Event::MakeDir(path) => {
                self.pending.insert(path.clone());
            }
            Event::Unlink(path) => self.unlinked(path),
            Event::Rename(from, to) => self.renamed(from, to),
            Event::Acknowledge(text) => self.acknowledged(text),
        }
    }

    fn renamed(&mut self, from: &str, to: &str) {
        if is_message(to) || is_spooled(to) {
            if self.dirty.contains(from) || !self.written.contains(from) {
                self.violations
                    .push(format!("{to} is named before it is synced"));
            }
            // Both hold numbers or promises that a message builds upon.
            if is_message(to) {
                let mailbox = parent(parent(to));
                let reserved = format!("{mailbox}/uidvalidity");
                self.must_be_durable(&[reserved.as_str()], to);
                let promised: Vec<String> = self.promised.iter().cloned().collect();
                self.must_be_durable(&promised, to);
                self.messages.insert(to.to_owned());
            }
            if to.ends_with(".txn") {
                self.promised.insert(to.to_owned());
            }
        }
        // It is as durable as what it was.
        self.dirty.remove(to);
        if self.dirty.remove(from) {
            self.dirty.insert(to.to_owned());
        }
        self.written.insert(to.to_owned());
        self.pending.remove(from);
        self.pending.insert(to.to_owned());
    }

    fn unlinked(&mut self, path: &str) {
        self.pending.insert(path.to_owned());
        if self.promised.remove(path) {
            // Whatever was promised is done, durably.
            let done = self.pending.iter();
            let done = done.filter(|name| is_message(name) || name.ends_with(".msg"));
            for name in done {
                let violation = format!("a promise is withdrawn before {name} is durable");
                self.violations.push(violation);
            }
        }
    }

    fn acknowledged(&mut self, text: &str) {
        if text.contains(" OK CREATE ") {
            // The one whose identity was written last.
            let made = self.written.iter().filter(|p| p.ends_with("/uidvalidity"));
            let made: Vec<String> = made.map(|path| parent(path).to_owned()).collect();
            self.made
                .extend(made.into_iter().filter(|path| path.ends_with("/New")));
        }
        let mut needed: BTreeSet<String> = BTreeSet::new();
        needed.extend(
            self.made
                .iter()
                .map(|mailbox| format!("{mailbox}/uidvalidity")),
        );
        let messages = self.messages.iter();
        needed.extend(messages.clone().cloned());
        needed.extend(messages.map(|message| format!("{}/uidvalidity", parent(parent(message)))));
        let spooled = self.pending.iter().filter(|path| is_spooled(path));
        needed.extend(spooled.cloned());
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
        let open: Vec<_> = self
            .promised
            .iter()
            .map(|p| format!("{p} is open at {text}"))
            .collect();
        self.violations.extend(open);
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
