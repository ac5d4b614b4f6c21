//! STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3).

use std::sync::Arc;

use facteur_imap::{
    FlagList, FlagsAction,
    write::{self, FetchWriter},
};
use facteur_model::{Flag, FlagOperation, Flags, Keyword, ModSeq, UidSet};
use facteur_store::{FlagChange, FlagOutcome, MessageState, Snapshot, StoreError};

use crate::{
    io::FLUSH_AT,
    mail_log::{self, Event},
    outcome::{Outcome, Reply, Stop},
    session::Session,
    updates::{Told, write_flags},
};

impl Session {
    pub(crate) async fn store(&mut self, store: &facteur_imap::Store) -> Outcome {
        if store.unchanged_since.is_some() {
            self.use_condstore()?;
        }
        let selected = self.selected()?;
        selected.writable()?;
        let uids = selected.uids(&store.set, store.uid)?;
        let (flags, keywords) = flags_of(&store.flags)?;
        let change = FlagChange {
            operation: match store.action {
                FlagsAction::Replace => FlagOperation::Replace,
                FlagsAction::Add => FlagOperation::Add,
                FlagsAction::Remove => FlagOperation::Remove,
            },
            flags,
            keywords,
            unchanged_since: store.unchanged_since.map(ModSeq::new),
        };
        let outcome = self.change_flags(uids, change.clone()).await?;
        let told = self.tell_stored(store, &change, &outcome).await?;
        self.updates_but(store.uid, told).await?;
        if outcome.modified.is_empty() {
            return Ok(Reply::ok("STORE completed"));
        }
        self.modified(store.uid, &outcome.modified)
    }

    /// Changes flags in the selected mailbox, and says so in the log where that matters.
    async fn change_flags(
        &mut self,
        uids: UidSet,
        change: FlagChange,
    ) -> Result<FlagOutcome, Stop> {
        let user = self.user()?.name.clone();
        let mailbox = self.selected()?.mailbox.clone();
        let logged = may_turn_deleted(&change) && mail_log::enabled();
        if !logged && let Some(done) = mailbox.store_at_hand(&uids, &change) {
            return Ok(done?);
        }
        let outcome = self
            .blocking(move || {
                let before = mailbox.snapshot();
                let outcome = mailbox.store(&uids, &change)?;
                if logged {
                    let after = mailbox.snapshot();
                    for (event, deleted) in [(Event::Delete, true), (Event::Undelete, false)] {
                        let which = turned(&before, &after, &outcome.stored, deleted);
                        let lines = mail_log::describe(&mailbox, &which);
                        mail_log::write(event, &user, &mailbox.name(), &lines, &which);
                    }
                }
                Ok::<_, StoreError>(outcome)
            })
            .await?;
        Ok(outcome)
    }

    /// The FETCH responses; returns what the client knows then.
    async fn tell_stored(
        &mut self,
        store: &facteur_imap::Store,
        change: &FlagChange,
        outcome: &FlagOutcome,
    ) -> Result<Told, Stop> {
        let condstore = self.user()?.condstore;
        let selected = self.selected()?;
        let before = Arc::clone(&selected.snapshot);
        let recent = selected.recent.clone();
        let after = selected.mailbox.snapshot();
        if after.known_keywords().len() != selected.keywords_told {
            // New keywords are told before the first message that has one.
            let keep = std::mem::replace(&mut selected.snapshot, Arc::clone(&after));
            let mut out = std::mem::take(&mut self.out);
            let selected = self.selected()?;
            selected.tell_keywords(&mut out);
            selected.snapshot = keep;
            self.out = out;
        }
        let mut told = Told::new();
        for (sequence, old, new) in in_both(&before, &after, &outcome.stored) {
            if store.silent && !as_expected(&before, old, &after, new, change) {
                // Someone else changed it too: the client hears of that.
                continue;
            }
            told.push((new.uid, new.modseq));
            let silent = store.silent && !(condstore && new.modseq != old.modseq);
            if silent {
                continue;
            }
            let mut fetch = FetchWriter::begin(&mut self.out, sequence);
            if store.uid {
                fetch.uid(new.uid.value());
            }
            if !store.silent {
                write_flags(&mut fetch, &after, new, &recent);
            }
            if condstore {
                fetch.modseq(new.modseq.value());
            }
            fetch.end();
            if self.out.len() >= FLUSH_AT {
                self.flush().await?;
            }
        }
        Ok(told)
    }

    /// The reply when UNCHANGEDSINCE left some alone (RFC 7162 §3.1.3): the set is of what the
    /// command's was.
    fn modified(&mut self, uid: bool, modified: &UidSet) -> Outcome {
        let selected = self.selected()?;
        let mut set = bytes::BytesMut::new();
        if uid {
            write::number_set(&mut set, modified.iter().map(facteur_model::Uid::value));
        } else {
            let numbers = selected.snapshot.select(modified);
            write::number_set(&mut set, numbers.map(|(sequence, _)| sequence));
        }
        let set = String::from_utf8_lossy(&set);
        Ok(Reply::ok(format!(
            "[MODIFIED {set}] Conditional STORE failed"
        )))
    }
}

/// The flags a client names.
pub(crate) fn flags_of(list: &FlagList) -> Result<(Flags, Vec<Keyword>), Reply> {
    let mut flags = Flags::EMPTY;
    let mut keywords = Vec::new();
    for name in list.iter() {
        if name.starts_with('\\') {
            let flag = Flag::parse(name).ok_or_else(|| Reply::bad("Unknown system flag"))?;
            flags = flags.with(flag);
        } else {
            let keyword = Keyword::parse(name);
            keywords.push(keyword.ok_or_else(|| Reply::no("[LIMIT] Keyword is too long"))?);
        }
    }
    Ok((flags, keywords))
}

fn may_turn_deleted(change: &FlagChange) -> bool {
    change.operation == FlagOperation::Replace || change.flags.contains(Flag::Deleted)
}

/// Those of `uids` whose `\Deleted` turned to `deleted`.
fn turned(before: &Snapshot, after: &Snapshot, uids: &UidSet, deleted: bool) -> UidSet {
    let has = |message: &MessageState| message.flags.contains(Flag::Deleted);
    after
        .select(uids)
        .filter(|(_, new)| {
            has(new) == deleted
                && before
                    .by_uid(new.uid)
                    .is_some_and(|old| has(old) != deleted)
        })
        .map(|(_, new)| new.uid)
        .collect()
}

/// Messages as they were and as they are.
fn in_both<'s>(
    before: &'s Snapshot,
    after: &'s Snapshot,
    uids: &UidSet,
) -> Vec<(u32, &'s MessageState, &'s MessageState)> {
    let mut now = after.select(uids).map(|(_, new)| new).peekable();
    let both = before.select(uids).filter_map(|(sequence, old)| {
        while now.next_if(|new| new.uid < old.uid).is_some() {}
        let new = now.next_if(|new| new.uid == old.uid)?;
        Some((sequence, old, new))
    });
    both.collect()
}

/// Whether a message is now as a client that knew `old` must think it is after its own change.
fn as_expected(
    before: &Snapshot,
    old: &MessageState,
    after: &Snapshot,
    new: &MessageState,
    change: &FlagChange,
) -> bool {
    let flags = match change.operation {
        FlagOperation::Replace => change.flags,
        FlagOperation::Add => old.flags.union(change.flags),
        FlagOperation::Remove => old.flags.difference(change.flags),
    };
    if flags != new.flags {
        return false;
    }
    let had = before.keywords(old.keywords);
    let has = after.keywords(new.keywords);
    let named = |keyword: &Keyword| change.keywords.contains(keyword);
    let expected = |keyword: &Keyword| match change.operation {
        FlagOperation::Replace => named(keyword),
        FlagOperation::Add => had.contains(keyword) || named(keyword),
        FlagOperation::Remove => had.contains(keyword) && !named(keyword),
    };
    has.iter().all(expected)
        && had
            .iter()
            .chain(&change.keywords)
            .filter(|keyword| expected(keyword))
            .all(|keyword| has.contains(keyword))
}
