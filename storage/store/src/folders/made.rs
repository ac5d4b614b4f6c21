//! CREATE: a mailbox's folder and its row of the index, both or none.

use std::{io, iter, sync::Arc};

use facteur_format::{Identity, Places as _};
use facteur_model::{Guid, MailboxName};

use super::grave;
use crate::{
    StoreError,
    format::Layout,
    load,
    owner::{Folder, Owner, State},
    shared::Shared,
};

impl Owner {
    /// Makes a mailbox, durably.
    pub(crate) fn make_folder(
        self: &Arc<Self>,
        shared: &Shared,
        state: &mut State,
        name: &MailboxName,
        subscribe: bool,
    ) -> Result<(), StoreError> {
        if state.folders.contains_key(name) {
            return Err(StoreError::MailboxExists(name.clone()));
        }
        self.layout.check(name)?;
        // Another program may have made it just now.
        self.notice_folder(shared, state, name)?;
        if !state.folders.contains_key(name) {
            let identity = Identity::new(load::next_uid_validity(state), Guid::random()?);
            let folder = self.with_row(shared, name, identity, || {
                let made = self.layout.make(&shared.disk, name, &identity, true);
                made.inspect_err(|_| self.take_away(shared, state, name, &identity))
            })?;
            state.note_made(name, folder);
        }
        if subscribe && !state.subscriptions.contains(name) {
            self.subscribe(shared, state, name, true)?;
        }
        Ok(())
    }

    /// A new mailbox in the index, once `make` has made its folder. The row comes first: without a folder
    /// it is nothing, and goes when the account is opened next.
    pub(crate) fn with_row(
        self: &Arc<Self>,
        shared: &Shared,
        name: &MailboxName,
        identity: Identity,
        make: impl FnOnce() -> io::Result<()>,
    ) -> Result<Folder, StoreError> {
        let mut folder = load::new_folder(name, identity, &self.layout);
        folder.row.id = self.change(shared, |t| t.add_mailbox(&folder.row))?;
        folder.shown = folder.row;
        if let Err(error) = make() {
            // Best effort.
            let _ = self.change(shared, |t| t.remove_mailbox(folder.row.id));
            return Err(error.into());
        }
        Ok(folder)
    }

    /// Takes a mailbox's folder away again that could not be made whole, if it is there already; best
    /// effort.
    fn take_away(&self, shared: &Shared, state: &State, name: &MailboxName, identity: &Identity) {
        let (disk, layout) = (&shared.disk, &self.layout);
        let made = Identity::read(disk, layout, name);
        if !made.is_ok_and(|made| made.is_some_and(|made| made.guid == identity.guid)) {
            return;
        }
        // What makes it a mailbox goes in one step, as when it is deleted.
        let grave = grave(layout, identity.guid);
        let gone = match layout {
            Layout::Sdbox(_) => layout.mails(name),
            Layout::Maildir(_) => layout.folder(name),
        };
        if disk.rename(&gone, &grave).is_ok() {
            shared.log.remove_later(grave);
        }
        if let Layout::Maildir(_) = layout {
            return;
        }
        let _ = disk.unlink_if_there(&layout.identity(name));
        // With the levels above it that were made for it.
        let above = iter::successors(Some(name.clone()), MailboxName::parent);
        let new = above.take_while(|name| !state.folders.contains_key(name));
        for level in new.take_while(|name| !state.levels.contains(name)) {
            if disk.remove_dir(&layout.folder(&level)).is_err() {
                return;
            }
        }
    }
}
