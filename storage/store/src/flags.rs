//! STORE, and who is told of `\Recent`.

use std::sync::Arc;

use facteur_index::MailboxRow;
use facteur_model::{FlagOperation, Flags, Keyword, ModSeq, Uid, UidSet};

use crate::{
    FlagChange, FlagOutcome, KeywordSetId, MessageState, Snapshot, StoreError,
    keywords::KeywordTable,
    owner::{Owner, State, count_in, count_out, row_of},
    pending::{Pending, Show},
    record::{Change, FlagRun, MailboxId},
    shared::Shared,
    view::{View, Wakes},
};

/// STORE: one MODSEQ for all that changes.
pub(crate) fn store(
    owner: &Arc<Owner>,
    shared: &Shared,
    view: &View,
    uids: &UidSet,
    change: &FlagChange,
) -> Result<FlagOutcome, StoreError> {
    let entered = shared.log.enter()?;
    let mut wakes = Wakes::default();
    let mut state = owner.lock_settled(shared, &mut wakes)?;
    let outcome = change_flags(owner, shared, &mut state, view, uids, change, &mut wakes);
    drop(state);
    drop(entered);
    outcome
}

/// The same, if nobody and no disk has to be waited for.
pub(crate) fn store_at_hand(
    owner: &Arc<Owner>,
    shared: &Shared,
    view: &View,
    uids: &UidSet,
    change: &FlagChange,
) -> Option<Result<FlagOutcome, StoreError>> {
    let entered = shared.log.enter_at_hand()?;
    let mut wakes = Wakes::default();
    let mut state = owner.lock_at_hand()?;
    let folder = state.folder_of_mut(&view.core).ok()?;
    let reserved = folder.row.highest_modseq.value() + 1 < folder.identity.modseq_ceiling
        && folder.row.uid_next <= folder.identity.uid_ceiling;
    if folder.keywords.is_none() || !reserved {
        return None;
    }
    let outcome = change_flags(owner, shared, &mut state, view, uids, change, &mut wakes);
    drop(state);
    drop(entered);
    Some(outcome)
}

fn change_flags(
    owner: &Arc<Owner>,
    shared: &Shared,
    state: &mut State,
    view: &View,
    uids: &UidSet,
    change: &FlagChange,
    wakes: &mut Wakes,
) -> Result<FlagOutcome, StoreError> {
    let folder = state.folder_of_mut(&view.core)?;
    let snapshot = view.snapshot();
    let mut keywords = Keywords::new(owner.keywords(shared, folder)?);
    let mut outcome = FlagOutcome::default();
    let mut row = folder.row;
    let modseq = ModSeq::new(row.highest_modseq.value() + 1);
    let mut changed = Changed::default();
    for (sequence, message) in snapshot.select(uids) {
        if change
            .unchanged_since
            .is_some_and(|since| message.modseq > since)
        {
            outcome.modified.insert(message.uid);
            continue;
        }
        outcome.stored.insert(message.uid);
        let after = MessageState {
            flags: flags_after(message.flags, change),
            keywords: keywords.after(message.keywords, change)?,
            ..*message
        };
        if after != *message {
            count_out(&mut row, message);
            let after = MessageState { modseq, ..after };
            count_in(&mut row, &after);
            changed.push(sequence, after);
        }
    }
    if changed.states.is_empty() {
        return Ok(outcome);
    }
    row.highest_modseq = modseq;
    owner.reserve(
        shared,
        folder,
        row.uid_next.saturating_sub(1),
        modseq.value(),
    )?;
    let (ticket, rows) = owner.append(shared, changes(&row, &keywords, &changed))?;
    // It is synced within a second; nobody waits for it.
    shared.log.wait_written(ticket)?;
    folder.row = row;
    folder.keywords = Some(Arc::clone(&keywords.table));
    let show = Show {
        keywords: Some(keywords.table),
        changed: changed.states,
        renames: true,
        ..Show::new(&view.core, row)
    };
    let pending = Pending {
        ticket,
        files: Vec::new(),
        unlinks: Vec::new(),
        shows: vec![show],
        rows,
    };
    owner.show_one(shared, state, pending, wakes)?;
    Ok(outcome)
}

/// What the journal and the index keep of it.
fn changes(row: &MailboxRow, keywords: &Keywords, changed: &Changed) -> Vec<Change> {
    let mailbox = MailboxId::of(row);
    let mut changes: Vec<Change> = keywords
        .added
        .iter()
        .map(|(set, text)| Change::Keywords {
            mailbox,
            set: set.0,
            text: text.clone(),
        })
        .collect();
    let runs = changed.runs.iter().map(|(first, last)| FlagRun {
        first: first.value(),
        last: row_of(last).into(),
    });
    changes.push(Change::Flags {
        mailbox,
        runs: runs.collect(),
    });
    changes.push(Change::numbers(row));
    changes
}

/// What messages become.
#[derive(Default)]
struct Changed {
    states: Vec<MessageState>,
    /// The same for the index: from this UID to that message without a gap all become alike.
    runs: Vec<(Uid, MessageState)>,
    last_sequence: u32,
}

impl Changed {
    fn push(&mut self, sequence: u32, after: MessageState) {
        self.states.push(after);
        let follows = self.last_sequence.checked_add(1) == Some(sequence);
        self.last_sequence = sequence;
        match self.runs.last_mut() {
            Some((_, last))
                if follows && (last.flags, last.keywords) == (after.flags, after.keywords) =>
            {
                *last = after;
            }
            _ => self.runs.push((after.uid, after)),
        }
    }
}

fn flags_after(flags: Flags, change: &FlagChange) -> Flags {
    match change.operation {
        FlagOperation::Replace => change.flags,
        FlagOperation::Add => flags.union(change.flags),
        FlagOperation::Remove => flags.difference(change.flags),
    }
}

/// Keyword sets as they become; each set is worked out once.
struct Keywords {
    table: Arc<KeywordTable>,
    added: Vec<(KeywordSetId, String)>,
    done: Vec<(KeywordSetId, KeywordSetId)>,
}

impl Keywords {
    fn new(table: Arc<KeywordTable>) -> Self {
        Self {
            table,
            added: Vec::new(),
            done: Vec::new(),
        }
    }

    fn after(
        &mut self,
        before: KeywordSetId,
        change: &FlagChange,
    ) -> Result<KeywordSetId, StoreError> {
        if change.keywords.is_empty() && change.operation != FlagOperation::Replace {
            return Ok(before);
        }
        if let Some((_, after)) = self.done.iter().find(|(known, _)| *known == before) {
            return Ok(*after);
        }
        let has = self.table.set(before);
        let wanted: Vec<Keyword> = match change.operation {
            FlagOperation::Replace => change.keywords.clone(),
            FlagOperation::Add => has.iter().chain(&change.keywords).cloned().collect(),
            FlagOperation::Remove => has
                .iter()
                .filter(|keyword| !change.keywords.contains(keyword))
                .cloned()
                .collect(),
        };
        let after = match self.table.find(&wanted) {
            Some(id) => id,
            None => {
                let (id, text) = Arc::make_mut(&mut self.table).add(&wanted)?;
                self.added.push((id, text));
                id
            }
        };
        self.done.push((before, after));
        Ok(after)
    }
}

/// The messages that are `\Recent` now; with `claim` no longer for the next one who asks.
pub(crate) fn recent(
    owner: &Arc<Owner>,
    shared: &Shared,
    view: &View,
    claim: bool,
) -> Result<UidSet, StoreError> {
    let mut state = owner.lock()?;
    let folder = state.folder_of_mut(&view.core)?;
    let recent = recent_in(&view.snapshot(), folder.shown.recent_from);
    if claim && folder.shown.recent_from < folder.shown.uid_next {
        if let Some(maildir) = folder.core.maildir() {
            maildir.lock().claim();
        }
        folder.row.recent_from = folder.shown.uid_next;
        folder.shown.recent_from = folder.row.recent_from;
        // Lost, it only makes messages recent once more: the journal need not know.
        let rows = vec![Change::numbers(&folder.shown)];
        owner.write_later(shared, None, rows);
    }
    Ok(recent)
}

fn recent_in(snapshot: &Snapshot, from: u64) -> UidSet {
    let Ok(Some(from)) = u32::try_from(from).map(facteur_model::Uid::new) else {
        return UidSet::new();
    };
    let last = facteur_model::Uid::new(u32::MAX).unwrap_or(from);
    let mut range = UidSet::new();
    range.insert_range(from..=last);
    snapshot
        .select(&range)
        .map(|(_, message)| message.uid)
        .collect()
}
