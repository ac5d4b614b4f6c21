//! RENAME: a mailbox's folder and those below it get other names.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_disk::Disk;
use facteur_model::{MailboxName, UidSet};

use super::{make_dir, settle, sync_above};
use crate::{
    StoreError,
    format::Layout,
    move_messages,
    owner::{Owner, State},
    shared::Shared,
    view::Wakes,
};

impl Owner {
    /// RENAME (RFC 9051 §6.3.6): what lies below goes too; of INBOX only its messages go.
    pub(crate) fn rename_folder(
        self: &Arc<Self>,
        shared: &Shared,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError> {
        if to.is_below(from) {
            return Err(StoreError::Cannot("a mailbox cannot be moved below itself"));
        }
        let entered = shared.log.enter()?;
        let folders = shared.log.lock_folders();
        shared.log.forget_leftovers(self.layout.home(), &folders)?;
        let mut wakes = Wakes::default();
        let mut state = self.lock_settled(shared, &mut wakes)?;
        if state.folders.contains_key(to) || state.levels.contains(to) {
            return Err(StoreError::MailboxExists(to.clone()));
        }
        if from.is_inbox() {
            self.make_folder(shared, &mut state, to, false)?;
            drop((state, folders, entered));
            let all: UidSet = move_messages::every(self, shared, from)?;
            return move_messages::run(self, shared, from, &all, to).map(|_| ());
        }
        if !state.folders.contains_key(from) && !state.levels.contains(from) {
            return Err(StoreError::NoMailbox(from.clone()));
        }
        let names = new_names(&state, from, to)?;
        let disk = &shared.disk;
        for name in names.keys() {
            if let Some(folder) = state.folders.get(name) {
                settle(disk, &self.layout, name, folder)?;
            }
        }
        let renames = match &self.layout {
            Layout::Sdbox(layout) => {
                make_above(disk, layout, to)?;
                vec![(layout.folder(from), layout.folder(to))]
            }
            Layout::Maildir(layout) => layout.renames(state.folders.keys(), from, to)?,
        };
        if let Err((error, left)) = rename_all(disk, &renames) {
            if let Err(second) = left {
                // Under the old name another mailbox may come, with the same UIDs.
                for (old, new) in &renames {
                    shared.log.folder_renamed(old, new);
                }
                self.abandon(shared, &second.into());
            }
            return Err(error.into());
        }
        for (old, new) in &renames {
            shared.log.folder_renamed(old, new);
        }
        rename_in_memory(&mut state, &names, to);
        state.relevel(&self.layout);
        shared.tell_usage(self, &mut state);
        Ok(())
    }
}

/// Makes the levels above a mailbox, durably.
fn make_above(disk: &Disk, layout: &facteur_sdbox::Layout, name: &MailboxName) -> io::Result<()> {
    let Some(parent) = name.parent() else {
        return Ok(());
    };
    let mut path = layout.root();
    for level in parent.levels() {
        path.push(facteur_sdbox::encode_mutf7(level));
        make_dir(disk, &path)?;
    }
    sync_above(disk, layout.home(), &path)
}

/// Renames folders, durably. When that fails, those that were renamed get their old names again; the
/// second result says whether they have.
fn rename_all(
    disk: &Disk,
    renames: &[(PathBuf, PathBuf)],
) -> Result<(), (io::Error, io::Result<()>)> {
    let mut done = 0;
    let renamed = renames.iter().try_for_each(|(old, new)| {
        disk.rename_new(old, new)?;
        done += 1;
        Ok(())
    });
    // Where they are now comes first: they are never nowhere.
    let new: BTreeSet<&Path> = renames.iter().filter_map(|(_, new)| new.parent()).collect();
    let old: BTreeSet<&Path> = renames.iter().filter_map(|(old, _)| old.parent()).collect();
    let mut dirs = new.iter().chain(old.difference(&new));
    let synced = renamed.and_then(|()| dirs.try_for_each(|dir| disk.sync_dir(dir)));
    synced.map_err(|error| {
        let back = renames.get(..done).unwrap_or_default().iter().rev();
        let mut back = back.map(|(old, new)| disk.rename_new(new, old));
        (error, back.try_for_each(|renamed| renamed))
    })
}

/// The new name of `from` and of everything below it.
fn new_names(
    state: &State,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<BTreeMap<MailboxName, MailboxName>, StoreError> {
    let all = state.folders.keys().chain(&state.levels);
    let moved = all.filter(|name| *name == from || name.is_below(from));
    moved
        .map(|old| {
            let rest = old.as_str().get(from.as_str().len()..).unwrap_or_default();
            let new = MailboxName::parse(&format!("{to}{rest}"))
                .map_err(|_| StoreError::Cannot("a mailbox below it would get too long a name"))?;
            Ok((old.clone(), new))
        })
        .collect()
}

fn rename_in_memory(
    state: &mut State,
    names: &BTreeMap<MailboxName, MailboxName>,
    to: &MailboxName,
) {
    for (old, new) in names {
        if state.levels.remove(old) {
            state.levels.insert(new.clone());
        }
        if let Some(folder) = state.folders.remove(old) {
            folder.core.set_name(new.clone());
            state.folders.insert(new.clone(), folder);
        }
    }
    state.note_levels_above(to);
}
