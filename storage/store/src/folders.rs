//! Folders: making, removing and renaming them.

mod made;
mod rename;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_disk::Disk;
use facteur_format::{Identity, Places as _};
use facteur_model::{Guid, MailboxName};

use crate::{
    FolderInfo, StoreError,
    format::Layout,
    owner::{Folder, Owner, State, UID_VALIDITY},
    shared::Shared,
    view::Wakes,
};

/// Makes a mailbox's folder and those above it, in one step: the folders that are missing are built
/// under a temporary name. Where its own is there already, that of its messages comes last: while
/// that is missing there is no mailbox.
pub(crate) fn make(
    disk: &Disk,
    layout: &facteur_sdbox::Layout,
    name: &MailboxName,
    identity: &Identity,
    durably: bool,
) -> io::Result<()> {
    let mut above = layout.root();
    make_dir(disk, &above)?;
    let mut levels = name.levels().map(facteur_sdbox::encode_mutf7);
    let missing = loop {
        let Some(level) = levels.next() else {
            break None;
        };
        let path = above.join(level);
        if disk.kind(&path)?.is_none() {
            break Some(path);
        }
        above = path;
    };
    let Some(place) = missing else {
        identity.write_to(disk, &layout.identity(name), durably)?;
        make_dir(disk, &layout.mails(name))?;
        return match durably {
            true => sync_above(disk, layout.home(), &above),
            false => Ok(()),
        };
    };
    let temporary = Disk::temporary_path(layout.home());
    let mut folder = temporary.clone();
    folder.extend(levels);
    let built = build(disk, layout, name, (&temporary, &folder), identity, durably)
        .and_then(|()| disk.rename_new(&temporary, &place));
    if let Err(error) = built {
        let _ = disk.remove_dir_all(&temporary);
        return Err(error);
    }
    match durably {
        true => sync_above(disk, layout.home(), &above),
        false => Ok(()),
    }
}

/// Makes the folders from `top` down to a mailbox's own, and what is in that.
fn build(
    disk: &Disk,
    layout: &facteur_sdbox::Layout,
    name: &MailboxName,
    (top, folder): (&Path, &Path),
    identity: &Identity,
    durably: bool,
) -> io::Result<()> {
    let below: Vec<&Path> = folder.ancestors().take_while(|dir| *dir != top).collect();
    for dir in below.iter().rev() {
        make_dir(disk, dir.parent().unwrap_or(top))?;
    }
    make_dir(disk, folder)?;
    for (of, make_it) in [(layout.identity(name), false), (layout.mails(name), true)] {
        let path = folder.join(of.file_name().unwrap_or_default());
        match make_it {
            true => disk.create_dir(&path)?,
            false => identity.write_to(disk, &path, durably)?,
        }
    }
    if durably {
        for dir in below {
            disk.sync_dir(dir)?;
        }
        disk.sync_dir(top)?;
    }
    Ok(())
}

fn make_dir(disk: &Disk, path: &Path) -> io::Result<()> {
    match disk.create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in a folder and in those above it durable, up to the account's home.
pub(crate) fn sync_above(disk: &Disk, home: &Path, folder: &Path) -> io::Result<()> {
    for dir in folder.ancestors() {
        disk.sync_dir(dir)?;
        if dir == home {
            break;
        }
    }
    Ok(())
}

/// Makes the name of a folder of `home` durable, and of those above it. What is in it is.
pub(crate) fn sync_names_of(disk: &Disk, home: &Path, folder: &Path) -> io::Result<()> {
    match folder.parent() {
        Some(above) if folder != home => sync_above(disk, home, above),
        _ => Ok(()),
    }
}

/// Makes a mailbox durable of which nobody was told yet that it is.
fn settle(disk: &Disk, layout: &Layout, name: &MailboxName, folder: &Folder) -> io::Result<()> {
    if folder.identity.modseq_ceiling > 1 {
        return Ok(());
    }
    let identity = layout.identity(name);
    folder.identity.write_to(disk, &identity, true)?;
    if let Layout::Maildir(layout) = layout {
        return layout.sync(disk, name);
    }
    sync_names_of(disk, layout.home(), &layout.folder(name))
}

/// Where the messages of a deleted mailbox wait for the next checkpoint.
fn grave(layout: &Layout, guid: Guid) -> PathBuf {
    layout.home().join(format!("{GRAVE}{guid}"))
}

/// What the name of such a folder begins with: it is a temporary one.
const GRAVE: &str = "temp.deleted.";

/// Such folders, by their mailboxes' GUIDs.
pub(crate) fn graves(disk: &Disk, layout: &Layout) -> io::Result<Vec<(Guid, PathBuf)>> {
    let home = layout.home();
    let names = disk.read_dir(home)?;
    let names = names.into_iter().filter_map(|entry| {
        let guid = entry.name.to_str()?.strip_prefix(GRAVE)?;
        Some((Guid::parse(guid)?, home.join(&entry.name)))
    });
    Ok(names.collect())
}

/// Whether `path` is such a folder's.
pub(crate) fn is_grave(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let guid = name.and_then(|name| name.strip_prefix(GRAVE));
    guid.and_then(Guid::parse).is_some()
}

/// Where in such a folder it stands who the mailbox was.
pub(crate) fn identity_in(layout: &Layout, grave: &Path) -> PathBuf {
    let identity = layout.identity(&MailboxName::inbox());
    grave.join(identity.file_name().unwrap_or_default())
}

/// Where the messages are in such a folder: it is theirs, or the mailbox's whole.
pub(crate) fn mails_in(disk: &Disk, layout: &Layout, grave: PathBuf) -> io::Result<PathBuf> {
    if let Layout::Maildir(_) = layout {
        return Ok(grave);
    }
    let mails = layout.mails(&MailboxName::inbox());
    let inner = grave.join(mails.file_name().unwrap_or_default());
    Ok(if disk.is_dir(&inner)? { inner } else { grave })
}

impl State {
    /// Notes a mailbox that was made.
    pub(crate) fn note_made(&mut self, name: &MailboxName, folder: Folder) {
        self.levels.remove(name);
        self.note_levels_above(name);
        self.folders.insert(name.clone(), folder);
    }

    fn note_levels_above(&mut self, name: &MailboxName) {
        let mut above = name.parent();
        while let Some(parent) = above {
            if !self.folders.contains_key(&parent) {
                self.levels.insert(parent.clone());
            }
            above = parent.parent();
        }
    }

    /// In a Maildir a level is nothing by itself: it is there while something is below it.
    pub(crate) fn relevel(&mut self, layout: &Layout) {
        let Layout::Maildir(_) = layout else { return };
        self.levels.clear();
        let names: Vec<MailboxName> = self.folders.keys().cloned().collect();
        names.iter().for_each(|name| self.note_levels_above(name));
    }

    /// Whether a folder lies below `name`.
    pub(crate) fn has_children(&self, name: &MailboxName) -> bool {
        let below = |other: &MailboxName| other.is_below(name);
        self.folders.keys().any(below) || self.levels.iter().any(below)
    }
}

impl Owner {
    /// Subscribes or unsubscribes, durably.
    pub(crate) fn subscribe(
        &self,
        shared: &Shared,
        state: &mut State,
        name: &MailboxName,
        subscribed: bool,
    ) -> Result<(), StoreError> {
        if subscribed {
            self.layout.check(name)?;
        }
        let mut changed = state.subscriptions.clone();
        if changed.set(name, subscribed) || state.subscriptions_unsynced {
            changed.write(&shared.disk, &self.layout)?;
            state.subscriptions = changed;
            state.subscriptions_unsynced = false;
        }
        Ok(())
    }

    /// Every folder, INBOX first.
    pub(crate) fn list(self: &Arc<Self>, shared: &Shared) -> Result<Vec<FolderInfo>, StoreError> {
        let mut state = self.lock()?;
        self.notice_folders(shared, &mut state)?;
        let mailboxes = state.folders.keys().map(|name| (name, true));
        let levels = state.levels.iter().map(|name| (name, false));
        // Every level above another is a folder or a level itself.
        let names = state.folders.keys().chain(&state.levels);
        let parents: BTreeSet<MailboxName> = names.filter_map(MailboxName::parent).collect();
        let mut all: Vec<FolderInfo> = mailboxes
            .chain(levels)
            .map(|(name, selectable)| FolderInfo {
                name: name.clone(),
                selectable,
                has_children: parents.contains(name),
                subscribed: state.subscriptions.contains(name),
                special_use: shared
                    .options
                    .auto_folders
                    .iter()
                    .find(|auto| auto.name == *name)
                    .and_then(|auto| auto.special_use),
            })
            .collect();
        all.sort_by(|a, b| (!a.name.is_inbox(), &a.name).cmp(&(!b.name.is_inbox(), &b.name)));
        Ok(all)
    }

    /// DELETE: the mailbox goes, what lies below it stays (RFC 9051 §6.3.5).
    pub(crate) fn remove_folder(
        self: &Arc<Self>,
        shared: &Shared,
        name: &MailboxName,
    ) -> Result<(), StoreError> {
        if name.is_inbox() {
            return Err(StoreError::Cannot("INBOX cannot be deleted"));
        }
        let entered = shared.log.enter()?;
        let folders = shared.log.lock_folders();
        shared.log.forget_leftovers(self.layout.home(), &folders)?;
        let mut wakes = Wakes::default();
        let mut state = self.lock_settled(shared, &mut wakes)?;
        let has_children = state.has_children(name);
        if state.levels.contains(name) {
            if has_children {
                return Err(StoreError::Cannot(
                    "a level above other mailboxes cannot be deleted",
                ));
            }
            self.remove_level(shared, &mut state, name)?;
            return Ok(());
        }
        let folder = state.folder(name)?.clone();
        let disk = &shared.disk;
        let mails = self.layout.mails(name);
        // It goes in one step, out of the place where a mailbox is looked for: all of it, or what
        // makes it one. Its messages stay until a checkpoint: copies of them may not be durable yet.
        let whole = match &self.layout {
            Layout::Sdbox(_) => !has_children && self.is_only_mailbox(shared, name)?,
            // What lies below it lies beside it.
            Layout::Maildir(_) => true,
        };
        let gone = match whole {
            true => self.layout.folder(name),
            false => mails.clone(),
        };
        let grave = grave(&self.layout, folder.identity.guid);
        disk.rename(&gone, &grave)?;
        let synced = disk
            .sync_dir(self.layout.home())
            .and_then(|()| gone.parent().map_or(Ok(()), |dir| disk.sync_dir(dir)));
        if let Err(error) = synced {
            if let Err(second) = disk.rename(&grave, &gone) {
                shared.log.folder_removed(&mails);
                self.abandon(shared, &second.into());
            }
            return Err(error.into());
        }
        shared.log.folder_removed(&mails);
        state.folders.remove(name);
        state.relevel(&self.layout);
        folder.core.set_deleted();
        if let Some(view) = folder.core.view() {
            view.wake_with(&mut wakes);
        }
        // It is deleted. What is left over now goes when the account is opened next.
        let tidied =
            self.forget_mailbox(shared, &state, folder.row.id)
                .and_then(|()| match whole {
                    true => Ok(()),
                    false => self.tidy(shared, &mut state, name, (&grave, has_children)),
                });
        shared.log.remove_later(grave);
        if let Err(error) = tidied {
            tracing::warn!(account = %self.id, mailbox = %name, %error, "deleted mailbox is not wholly removed");
        }
        shared.tell_usage(self, &mut state);
        drop(state);
        drop(entered);
        Ok(())
    }

    /// Whether a mailbox's folder has nothing but what makes it one.
    fn is_only_mailbox(&self, shared: &Shared, name: &MailboxName) -> Result<bool, StoreError> {
        let ours = [self.layout.identity(name), self.layout.mails(name)];
        let entries = shared.disk.read_dir(&self.layout.folder(name))?;
        Ok(entries
            .iter()
            .all(|entry| ours.iter().any(|path| path.ends_with(&entry.name))))
    }

    /// Takes a deleted mailbox out of the index.
    fn forget_mailbox(
        self: &Arc<Self>,
        shared: &Shared,
        state: &State,
        row: u32,
    ) -> Result<(), StoreError> {
        let highest = state.uid_validity.to_string();
        self.change(shared, |transaction| {
            transaction.remove_mailbox(row)?;
            transaction.set_fact(UID_VALIDITY, &highest)
        })
    }

    /// Removes what a deleted mailbox leaves beside its messages.
    fn tidy(
        &self,
        shared: &Shared,
        state: &mut State,
        name: &MailboxName,
        (grave, has_children): (&Path, bool),
    ) -> Result<(), StoreError> {
        state.levels.insert(name.clone());
        // It tells which UIDVALIDITY was given until the index does durably.
        let (here, there) = (self.layout.identity(name), identity_in(&self.layout, grave));
        match shared.disk.rename(&here, &there) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        if has_children {
            return Ok(());
        }
        self.remove_level(shared, state, name)
    }

    /// Removes the folder of a level that holds nothing. One that holds something of another
    /// program's stays.
    fn remove_level(
        &self,
        shared: &Shared,
        state: &mut State,
        name: &MailboxName,
    ) -> Result<(), StoreError> {
        let path = self.layout.folder(name);
        shared.disk.unlink_if_there(&self.layout.identity(name))?;
        match shared.disk.remove_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                tracing::warn!(path = %path.display(), "deleted mailbox's folder holds other files and stays");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        state.levels.remove(name);
        if let Some(parent) = path.parent() {
            shared.disk.sync_dir(parent)?;
        }
        Ok(())
    }
}
