//! STORE, and who is told of `\Recent`.

use std::sync::Arc;

use facteur_model::{FlagOperation, Flags, Keyword, ModSeq, Uid, UidSet};

use crate::{
    FlagChange, FlagOutcome, KeywordSetId, MessageState, Snapshot, StoreError,
    keywords::KeywordTable,
    owner::{Owner, count_in, count_out, row_of},
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
    let mut wakes = Wakes::default();
    let mut state = owner.lock()?;
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
    owner.change(shared, &mut state, |transaction| {
        for (id, text) in &keywords.added {
            transaction.add_keyword_set(row.id, id.0, text)?;
        }
        for (first, last) in &changed.runs {
            transaction.set_flags(row.id, *first, &row_of(last))?;
        }
        transaction.set_mailbox(&row)
    })?;
    let folder = state.folder_of_mut(&view.core)?;
    folder.row = row;
    folder.keywords = Some(Arc::clone(&keywords.table));
    let next = snapshot.with_changed(&changed.states);
    view.publish(
        next.at(Some(keywords.table), row.uid_next, modseq),
        &mut wakes,
    );
    drop(state);
    Ok(outcome)
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
    let recent = recent_in(&view.snapshot(), folder.row.recent_from);
    if claim && folder.row.recent_from < folder.row.uid_next {
        folder.row.recent_from = folder.row.uid_next;
        let row = folder.row;
        match owner.change(shared, &mut state, |t| t.set_mailbox(&row)) {
            // On a disk that is full or read-only mail can still be read: \Recent is what suffers.
            Err(error @ (StoreError::NoSpace | StoreError::Io(_))) => {
                tracing::warn!(account = %owner.id, %error, "which messages are not recent any more could not be noted");
            }
            noted => noted?,
        }
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
