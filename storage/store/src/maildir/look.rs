//! What other programs did in a folder: messages that they put there, removed, or gave other flags.

use std::{collections::HashSet, path::Path, sync::Arc, time::SystemTime};

use facteur_disk::Disk;
use facteur_index::MailboxRow;
use facteur_journal::Ticket;
use facteur_model::{InternalDate, ModSeq};

use super::{
    base_of,
    compare::{Look, Noticed},
    merge::Translator,
    taken::{TakenIn, take_in},
};
use crate::{
    KeywordSetId, MessageState, StoreError,
    owner::{Folder, Owner, State, count_in, count_out, row_of, state_of},
    pending::{Pending, Show},
    record::{Change, FlagRun, MailboxId},
    shared::Shared,
    view::{Core, View, Wakes},
};

impl super::Folder {
    /// Whether the folder must be looked through; without a lock on the account, and without reading
    /// the folder.
    fn may_have_changed(
        &self,
        disk: &Disk,
        dir: &Path,
        (owner, view): (&Owner, Option<&View>),
    ) -> Result<bool, StoreError> {
        let mut told = None;
        if let Some(watched) = view.and_then(|view| view.watched()) {
            told = watched.told.says_all();
            watched.listen()?;
            watched.told.judge(|events| {
                // Whoever gives files their names notes it before this lock is free.
                let state = owner.lock()?;
                self.lock().judge(events);
                drop(state);
                Ok::<_, StoreError>(())
            })?;
        }
        let stamps = {
            let inner = self.lock();
            match inner.stamps {
                Some(stamps) if inner.files.is_some() || view.is_none() => stamps,
                _ => return Ok(true),
            }
        };
        match told {
            Some(true) => Ok(false),
            // What happened right after the last look may not show in the times.
            Some(false) if !stamps.are_settled() => Ok(true),
            _ => Ok(stamps.are_old(disk, dir, SystemTime::now())?),
        }
    }
}

impl Owner {
    /// Takes in what other programs did in a mailbox's folder since it was looked at last. Nothing to
    /// do in a format that is ours alone.
    pub(crate) fn notice(
        self: &Arc<Self>,
        shared: &Shared,
        core: &Arc<Core>,
    ) -> Result<(), StoreError> {
        let Some(maildir) = core.maildir() else {
            return Ok(());
        };
        let dir = self.layout.folder(&core.name());
        let view = core.view();
        match maildir.may_have_changed(&shared.disk, &dir, (self, view.as_deref())) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                // What was told is told once.
                maildir.suspect();
                return Err(error);
            }
        }
        let mut looked = false;
        loop {
            let entered = shared.log.keep_going();
            let mut wakes = Wakes::default();
            let mut state = self.lock_settled(shared, &mut wakes)?;
            let taken = self.take_in(shared, &mut state, core, &mut looked);
            drop(state);
            let done = match taken {
                Ok(Some(ticket)) => self.finish(shared, ticket, &mut wakes),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            drop(entered);
            if let Err(error) = done {
                maildir.suspect();
                return Err(error);
            }
            if maildir.lock().strays.is_empty() {
                return Ok(());
            }
        }
    }

    /// One step of it, in one record: a look through the folder unless that was `looked` through, and
    /// some of the files that are to come in.
    fn take_in(
        self: &Arc<Self>,
        shared: &Shared,
        state: &mut State,
        core: &Arc<Core>,
        looked: &mut bool,
    ) -> Result<Option<Ticket>, StoreError> {
        let Some(maildir) = core.maildir() else {
            return Ok(None);
        };
        let Ok(folder) = state.folder_of(core) else {
            maildir.lock().strays.clear();
            return Ok(None);
        };
        let (disk, dir) = (&shared.disk, self.layout.folder(&core.name()));
        let table = self.keywords(shared, folder)?;
        let mut row = folder.row;
        let mut inner = maildir.lock();
        if !*looked {
            // Names may have letters that another program gave since they were read.
            inner.keywords = None;
        }
        let file = inner.keywords(disk, &dir)?.clone();
        let mut translator = Translator::new(&file, table);
        let mut noticed = Noticed::default();
        if !*looked {
            let messages = self.all_messages(shared, folder)?;
            let look = Look {
                messages: &messages,
                going: &|| bases_going(shared, &dir),
                keeps: &|uid| u64::from(uid.value()) >= row.uid_next,
                keeps_lines: false,
            };
            noticed =
                inner.look_through(disk, &dir, &row, &look, &shared.names, &mut translator)?;
            let gone = &noticed.gone;
            messages
                .iter()
                .filter(|message| gone.contains(message.uid))
                .for_each(|message| count_out(&mut row, message));
            recount(&mut row, &messages, &noticed.changed);
            // Somebody else's look may have found the same: they come in once.
            inner.strays = std::mem::take(&mut noticed.strays);
            *looked = true;
        }
        let some = inner.next_strays(row.uid_next);
        drop(inner);
        let modseq = ModSeq::new(row.highest_modseq.value() + 1);
        for message in &mut noticed.changed {
            message.modseq = modseq;
        }
        let added = take_in(disk, &dir, some, &mut row, modseq, &mut translator)?;
        if added.is_empty() && noticed.changed.is_empty() && noticed.gone.is_empty() {
            return Ok(None);
        }
        row.highest_modseq = modseq;
        let folder = state.folder_of_mut(core)?;
        self.reserve(
            shared,
            folder,
            row.uid_next.saturating_sub(1),
            modseq.value(),
        )?;
        tracing::info!(account = %self.id, mailbox = %core.name(), found = added.len(), gone = noticed.gone.len(), changed = noticed.changed.len(), "another program changed the mailbox");
        let show = Show {
            keywords: Some(Arc::clone(&translator.table)),
            added: added.iter().map(|one| one.state).collect(),
            changed: noticed.changed.clone(),
            gone: noticed.gone.clone(),
            named: added.iter().map(|one| one.named.clone()).collect(),
            ..Show::new(core, row)
        };
        let changes = changes(&row, &translator.sets, &noticed, added);
        let (ticket, rows) = self.append(shared, changes)?;
        let folder = state.folder_of_mut(core)?;
        folder.row = row;
        folder.keywords = show.keywords.clone();
        state.pending.push_back(Pending {
            ticket,
            files: Vec::new(),
            unlinks: Vec::new(),
            shows: vec![show],
            rows,
        });
        Ok(Some(ticket))
    }

    fn all_messages(
        self: &Arc<Self>,
        shared: &Shared,
        folder: &Folder,
    ) -> Result<Vec<MessageState>, StoreError> {
        if let Some(view) = folder.core.view() {
            return Ok(view.snapshot().iter().copied().collect());
        }
        let id = folder.row.id;
        let rows = self.look(shared, |index, waiting| waiting.messages(index, id))?;
        Ok(rows.iter().map(state_of).collect())
    }
}

/// The bases of a folder's messages whose files are still to go.
fn bases_going(shared: &Shared, dir: &Path) -> HashSet<Box<[u8]>> {
    let going = shared.log.going(dir);
    going.iter().filter_map(|path| base_of(path)).collect()
}

/// Counts changed messages as they become.
fn recount(row: &mut MailboxRow, messages: &[MessageState], changed: &[MessageState]) {
    for after in changed {
        if let Ok(at) = messages.binary_search_by_key(&after.uid, |message| message.uid)
            && let Some(before) = messages.get(at)
        {
            count_out(row, before);
            count_in(row, after);
        }
    }
}

/// What the journal and the index keep of it.
fn changes(
    row: &MailboxRow,
    sets: &[(KeywordSetId, String)],
    noticed: &Noticed,
    added: Vec<TakenIn>,
) -> Vec<Change> {
    let mailbox = MailboxId::of(row);
    let sets = sets.iter().map(|(set, text)| Change::Keywords {
        mailbox,
        set: set.0,
        text: text.clone(),
    });
    let mut changes: Vec<Change> = sets.collect();
    let now = InternalDate::from(SystemTime::now()).unix();
    for one in added {
        changes.push(Change::Add(Box::new(one.into_added(mailbox, now))));
    }
    if !noticed.changed.is_empty() {
        let runs = noticed.changed.iter().map(|message| FlagRun {
            first: message.uid.value(),
            last: row_of(message).into(),
        });
        changes.push(Change::Flags {
            mailbox,
            runs: runs.collect(),
        });
    }
    if !noticed.gone.is_empty() {
        let ranges = noticed.gone.ranges();
        changes.push(Change::Expunge {
            mailbox,
            ranges: ranges
                .map(|(low, high)| (low.value(), high.value()))
                .collect(),
            modseq: row.highest_modseq.value(),
            files_go: false,
        });
    }
    changes.push(Change::numbers(row));
    changes
}
