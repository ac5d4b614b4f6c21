//! What is there after a crash, against what was promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    client::Client,
    ledger::{Account, Doubt, FlagHistory, Ledger, Placement},
    operator::ask,
    view::{View, view},
    work::{BOB, CAROL},
};
use crate::{Facteur, base64, wait_for};

/// Compares everything; `lost` is the moment of a power loss. What was in doubt is settled then.
///
/// # Panics
/// When a promise was broken: all that is wrong.
pub(crate) fn check(facteur: &Facteur, ledger: &mut Ledger, lost: Option<Instant>) {
    let mut wrong = Vec::new();
    for (user, account) in &mut ledger.accounts {
        let census = Census::take(facteur, user, account, &mut wrong);
        census.compare(user, account, lost, &mut wrong);
        if user == CAROL {
            check_replies(facteur, account, &mut wrong);
        }
        if user == BOB {
            check_script(facteur, account, &mut wrong);
        }
        census.settle(account);
        check_index(facteur, user, &mut wrong);
    }
    check_queue(facteur, ledger, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One account as it is.
struct Census {
    folders: BTreeMap<String, View>,
    subscriptions: BTreeSet<String>,
    /// Whole messages by folder and UID.
    texts: BTreeMap<(String, u32), String>,
}

impl Census {
    fn take(facteur: &Facteur, user: &str, account: &mut Account, wrong: &mut Vec<String>) -> Self {
        let mut imap = Client::imap(facteur.address("imap"), user).expect("it is up again");
        let mut names = |command: &str| -> BTreeSet<String> {
            let response = imap.must(command).expect("it stays up");
            let names = response.untagged.iter();
            names.filter_map(|line| name(line)).collect()
        };
        let listed = names("LIST \"\" *");
        let subscriptions = names("LSUB \"\" *");
        let mut this = Self {
            folders: BTreeMap::new(),
            subscriptions,
            texts: BTreeMap::new(),
        };
        for folder in listed {
            // Folders that the server makes for everybody are none of ours.
            if !account.folders.contains_key(&folder) {
                continue;
            }
            let selected = imap.command(&format!("EXAMINE \"{folder}\""));
            let selected = selected.expect("it stays up");
            if !selected.is_ok() {
                wrong.push(format!(
                    "{user}: {folder} is listed, but {}",
                    selected.tagged
                ));
                continue;
            }
            let view = view(&mut imap, &folder).expect("it stays up");
            let texts = imap.must("UID FETCH 1:* (UID BODY.PEEK[])");
            for line in texts.expect("it stays up").with("BODY[] {") {
                let uid = super::view::first_number(line, "UID ").expect("its UID");
                let uid = u32::try_from(uid).expect("a UID");
                this.texts.insert((folder.clone(), uid), line.to_owned());
            }
            account.note(&folder, &view);
            this.folders.insert(folder, view);
        }
        this
    }

    fn places(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (folder, view) in &self.folders {
            for found in &view.messages {
                places.entry(&found.id).or_default().push(folder);
            }
        }
        places
    }

    fn compare(
        &self,
        user: &str,
        account: &Account,
        lost: Option<Instant>,
        wrong: &mut Vec<String>,
    ) {
        for (folder, there) in &account.folders {
            let is = self.folders.contains_key(folder);
            if !there.allows(&is) {
                wrong.push(format!(
                    "{user}: folder {folder} is there: {is}, promised {there:?}"
                ));
            }
        }
        for (folder, wanted) in &account.subscriptions {
            let is = self.subscriptions.contains(folder);
            if !wanted.allows(&is) {
                wrong.push(format!(
                    "{user}: {folder} is subscribed: {is}, promised {wanted:?}"
                ));
            }
        }
        let places = self.places();
        for (id, message) in &account.messages {
            let list = places.get(id.as_str()).cloned().unwrap_or_default();
            let place: Placement = list.iter().map(|folder| (*folder).to_owned()).collect();
            if place.len() != list.len() {
                wrong.push(format!("{user}: {id} is there twice: {list:?}"));
            }
            if !message.places.allows(&place) {
                let promised = &message.places.0;
                wrong.push(format!(
                    "{user}: {id} is in {place:?}, promised {promised:?}"
                ));
            }
        }
        for (folder, view) in &self.folders {
            for found in &view.messages {
                let Some(message) = account.messages.get(&found.id) else {
                    if !found.to.starts_with("carol+") && !found.to.starts_with("<carol+") {
                        wrong.push(format!("{user}: nobody sent {} in {folder}", found.id));
                    }
                    continue;
                };
                let what = format!("{user}: {} in {folder}, UID {}", found.id, found.uid);
                let whole = super::text::message(&found.id, &message.head, message.size);
                let text = self.texts.get(&(folder.clone(), found.uid));
                // What was delivered has lines of the server's own above.
                let start = if found.id.starts_with('a') {
                    "}\r\n"
                } else {
                    ""
                };
                let expected = format!("{start}{whole})");
                if !text.is_some_and(|text| text.ends_with(&expected)) {
                    wrong.push(format!("{what}: not what was stored: {text:.300?}"));
                }
                let history = message.flags.get(folder);
                if !history.is_some_and(|history| history.allows(&found.flags, lost)) {
                    let flags = &found.flags;
                    wrong.push(format!("{what}: flags {flags:?}, promised {history:?}"));
                }
            }
        }
    }

    /// What is there is what is promised from here on.
    fn settle(self, account: &mut Account) {
        for (folder, there) in &mut account.folders {
            *there = Doubt::sure(self.folders.contains_key(folder));
        }
        for (folder, wanted) in &mut account.subscriptions {
            *wanted = Doubt::sure(self.subscriptions.contains(folder));
        }
        for message in account.messages.values_mut() {
            message.places = Doubt::sure(Placement::new());
            message.flags.clear();
        }
        for (folder, view) in &self.folders {
            for found in &view.messages {
                if let Some(message) = account.messages.get_mut(&found.id) {
                    let mut place = message.places.now().cloned().unwrap_or_default();
                    place.insert(folder.clone());
                    message.places = Doubt::sure(place);
                    let history = FlagHistory::old(found.flags.clone());
                    message.flags.insert(folder.clone(), history);
                }
            }
        }
    }
}

/// `facteur account check` finds nothing: index and files agree, every file is whole.
fn check_index(facteur: &Facteur, user: &str, wrong: &mut Vec<String>) {
    let outcome = ask(&facteur.data(), "account.check", user);
    let found = outcome.as_ref().and_then(|outcome| outcome.get("checked"));
    let found = found.and_then(|checked| checked.get("findings"));
    if found
        .and_then(|found| found.as_array())
        .is_none_or(|found| !found.is_empty())
    {
        wrong.push(format!("{user}: account check: {outcome:?}"));
    }
}

/// The name of a LIST or LSUB response.
fn name(line: &str) -> Option<String> {
    let rest = line.strip_prefix("LIST ").or(line.strip_prefix("LSUB "))?;
    let name = rest.rsplit(' ').next()?;
    Some(name.trim_matches('"').to_owned())
}

/// Each sender was answered once, however often it wrote and whatever happened in between.
fn check_replies(facteur: &Facteur, account: &mut Account, wrong: &mut Vec<String>) {
    let count = || {
        let mut imap = Client::imap(facteur.address("imap"), CAROL).expect("it is up");
        let view = view(&mut imap, "INBOX").expect("it stays up");
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for found in view.messages {
            let to = found.to.trim_matches(['<', '>']).to_owned();
            *counts.entry(to).or_insert(0) += 1;
        }
        counts
    };
    // A reply may still be on its way out of the queue.
    let promised: Vec<&String> = account
        .replies
        .iter()
        .filter_map(|(to, sure)| sure.then_some(to))
        .collect();
    let counts = wait_for("vacation reply", || {
        let counts = count();
        promised
            .iter()
            .all(|to| counts.contains_key(*to))
            .then_some(counts)
    });
    for (to, sure) in &mut account.replies {
        let replies = counts.get(to).copied().unwrap_or(0);
        if replies > 1 {
            wrong.push(format!("{to} was answered {replies} times"));
        }
        *sure |= replies > 0;
    }
}

fn check_script(facteur: &Facteur, account: &mut Account, wrong: &mut Vec<String>) {
    let read = || -> Option<String> {
        let mut sieve = Client::connect(facteur.address("managesieve"))?;
        sieve.sieve_ok()?;
        let secret = base64(format!("\0{BOB}\0pw").as_bytes());
        sieve.sieve(&format!("AUTHENTICATE \"PLAIN\" \"{secret}\""))?;
        sieve.send("LISTSCRIPTS\r\n")?;
        let mut active = None;
        loop {
            let line = sieve.line()?;
            if let Some(name) = line.strip_suffix(" ACTIVE") {
                active = Some(name.to_owned());
            }
            if line.starts_with("OK") {
                break;
            }
        }
        sieve.send(&format!("GETSCRIPT {}\r\n", active?))?;
        let mut text = String::new();
        loop {
            let line = sieve.line()?;
            if line.starts_with("OK") {
                return Some(text.trim_end().to_owned());
            }
            if !line.starts_with('{') {
                text.push_str(&line);
                text.push_str("\r\n");
            }
        }
    };
    let text = read().map(|text| format!("{text}\r\n"));
    let Some(promised) = &mut account.script else {
        return;
    };
    match text {
        Some(text) if promised.allows(&text) => *promised = Doubt::sure(text),
        other => wrong.push(format!(
            "the active script is {other:?}, promised {promised:?}"
        )),
    }
}

/// Whoever lives elsewhere waits in the queue, once.
fn check_queue(facteur: &Facteur, ledger: &mut Ledger, wrong: &mut Vec<String>) {
    let list = facteur.must(&["queue", "list"], "");
    for (recipient, sure) in &mut ledger.relayed {
        let count = list.matches(recipient.as_str()).count();
        if count > 1 || (*sure && count == 0) {
            wrong.push(format!("{recipient} waits {count} times, promised: {sure}"));
        }
        *sure |= count > 0;
    }
}
