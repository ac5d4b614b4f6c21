//! A folder as a client sees it.

use super::{
    client::Client,
    ledger::{Account, Flags, Seen},
};

/// A message in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) uid: u32,
    pub(crate) id: String,
    pub(crate) flags: Flags,
    pub(crate) modseq: u64,
    pub(crate) date: String,
    /// Whom it is addressed to, by its header.
    pub(crate) to: String,
}

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) validity: u32,
    pub(crate) next: u32,
    pub(crate) modseq: u64,
    pub(crate) messages: Vec<Found>,
}

/// Selects a folder and lists what is in it.
///
/// # Panics
/// When the server refuses.
pub(crate) fn view(imap: &mut Client, folder: &str) -> Option<View> {
    let selected = imap.must(&format!("SELECT \"{folder}\""))?;
    let number = |name: &str| {
        let line = selected.with(name).next();
        line.and_then(|line| first_number(line, name))
    };
    let mut view = View {
        validity: u32::try_from(number("UIDVALIDITY ")?).ok()?,
        next: u32::try_from(number("UIDNEXT ")?).ok()?,
        modseq: number("HIGHESTMODSEQ ")?,
        messages: Vec::new(),
    };
    let fetched = imap.must(
        "UID FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID TO)])",
    )?;
    for line in fetched.with(" FETCH (") {
        let Some(found) = found(line) else {
            // Others' changes come without a header.
            assert!(!line.contains("BODY[HEADER"), "{line}");
            continue;
        };
        view.modseq = view.modseq.max(found.modseq);
        view.next = view.next.max(found.uid + 1);
        view.messages.push(found);
    }
    Some(view)
}

fn found(line: &str) -> Option<Found> {
    let (_, flags) = line.split_once("FLAGS (")?;
    let (flags, _) = flags.split_once(')')?;
    let flags = flags
        .split(' ')
        .filter(|flag| !flag.is_empty() && *flag != "\\Recent");
    let header = |name: &str| {
        let lower = line.to_ascii_lowercase();
        let at = lower.find(name)? + name.len();
        let rest = line.get(at..)?;
        Some(rest.split("\r\n").next()?.trim().to_owned())
    };
    let (_, date) = line.split_once("INTERNALDATE \"")?;
    let (date, _) = date.split_once('"')?;
    let id = header("\r\nmessage-id:")?;
    Some(Found {
        uid: u32::try_from(first_number(line, "UID ")?).ok()?,
        id: id.trim_matches(['<', '>']).to_owned(),
        flags: flags.map(str::to_owned).collect(),
        modseq: first_number(line, "MODSEQ (")?,
        date: date.to_owned(),
        to: header("\r\nto:").unwrap_or_default(),
    })
}

/// The number that follows `name`.
pub(crate) fn first_number(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(name)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

impl Seen {
    /// A MODSEQ of a message stands for one state of it, for ever; and whatever comes later has a
    /// larger one than all that was there.
    ///
    /// # Panics
    /// When it does not.
    fn note_state(&mut self, folder: &str, found: &Found) {
        let what = format!("{folder}: UID {} with MODSEQ {}", found.uid, found.modseq);
        let before = self
            .states
            .insert((found.uid, found.modseq), found.flags.clone());
        assert!(
            before.as_ref().is_none_or(|before| *before == found.flags),
            "{what} had the flags {before:?} and has {:?}",
            found.flags
        );
        let (next, modseq) = self.viewed;
        assert!(
            found.uid < next || found.modseq > modseq,
            "{what} came when UIDNEXT was {next} and HIGHESTMODSEQ {modseq}"
        );
    }
}

impl Account {
    /// The date that a message was first seen with stays, wherever it goes.
    ///
    /// # Panics
    /// When it does not.
    fn note_date(&mut self, folder: &str, found: &Found) {
        if let Some(message) = self.messages.get_mut(&found.id) {
            let date = message.date.get_or_insert_with(|| found.date.clone());
            assert!(
                date.trim() == found.date.trim(),
                "{folder}: {} of {date} has the date {}",
                found.id,
                found.date
            );
        }
    }

    /// Remembers what a client has seen of a folder.
    ///
    /// # Panics
    /// When it contradicts what was seen before.
    pub(crate) fn note(&mut self, folder: &str, view: &View) {
        for found in &view.messages {
            self.see(folder, view.validity, found.uid, &found.id);
            self.note_date(folder, found);
        }
        let seen = self
            .seen
            .entry((folder.to_owned(), view.validity))
            .or_default();
        for found in &view.messages {
            seen.note_state(folder, found);
        }
        seen.viewed = (view.next, view.modseq);
        assert!(
            view.next >= seen.next,
            "{folder}: UIDNEXT {} (UIDVALIDITY {}) after {} was seen",
            view.next,
            view.validity,
            seen.next
        );
        assert!(
            view.modseq >= seen.modseq,
            "{folder}: HIGHESTMODSEQ {} after {} was seen",
            view.modseq,
            seen.modseq
        );
        seen.next = view.next;
        seen.modseq = view.modseq;
        let before = self.validity.insert(folder.to_owned(), view.validity);
        assert!(
            before.is_none_or(|before| before == view.validity),
            "{folder}: UIDVALIDITY {} was {before:?}",
            view.validity
        );
    }
}
