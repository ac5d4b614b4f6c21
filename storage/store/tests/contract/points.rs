//! Fault points by name: which call, on what kind of file. How often each was struck.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use facteur_disk::Faults;

/// What a path is about.
pub(crate) fn class(root: &Path, path: &Path) -> &'static str {
    let inner = path.strip_prefix(root).unwrap_or(path);
    let names = inner.components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let names: Vec<&str> = names.collect();
    let has = |name: &str| names.contains(&name);
    let last = names.last().copied().unwrap_or_default();
    match names.first().copied() {
        Some("state") if has("journal") => "journal",
        Some("state") if has("spool") => "spool",
        Some("state") if has("staging") => "staging",
        Some("state") => "state",
        Some("mail") if last.starts_with("index.db") => "index",
        Some("mail") if last.starts_with("uidvalidity") => "uidvalidity",
        Some("mail") if last.starts_with("dovecot-") => "dovecot's files",
        Some("mail") if last.starts_with("subscriptions") => "subscriptions",
        Some("mail") if has("sieve") || last.starts_with(".dovecot.sieve") => "scripts",
        Some("mail") if ["dbox-Mails", "cur", "new", "tmp"].contains(&last) => "message folder",
        Some("mail") if has("dbox-Mails") || has("cur") || has("new") || has("tmp") => "message",
        Some("mail") if names.len() < 3 => "mail home",
        Some("mail") => "mailbox",
        _ => "elsewhere",
    }
}

/// The name of a call's point.
fn point(root: &Path, faults: &Faults, call: u64, name: &str) -> String {
    match faults.path(call) {
        Some(path) => format!("{name} {}", class(root, &path)),
        None => name.to_owned(),
    }
}

/// How often each point was struck.
#[derive(Default)]
pub(crate) struct Struck(BTreeMap<String, u32>);

impl Struck {
    /// Counts the call that was struck; its name.
    pub(crate) fn count(&mut self, root: &Path, faults: &Faults, call: u64) -> String {
        let log = faults.log();
        let name = log[usize::try_from(call).unwrap()];
        let point = point(root, faults, call, name);
        *self.0.entry(point.clone()).or_default() += 1;
        point
    }

    pub(crate) fn sum(&self) -> u32 {
        self.0.values().sum()
    }

    /// Prints the counts.
    pub(crate) fn print(&self, title: &str) {
        println!("{title}: {} in all", self.sum());
        for (point, count) in &self.0 {
            println!("  {point:<36} {count:>6}");
        }
    }

    /// Each point of a run in which nothing was struck has been.
    pub(crate) fn assert_none_missing(&self, root: &Path, whole: &Faults) {
        for (call, name) in (0..).zip(whole.log()) {
            let point = point(root, whole, call, name);
            assert!(self.0.contains_key(&point), "{point} was never struck");
        }
    }
}
