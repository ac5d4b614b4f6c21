//! Folders that other programs made while the account is loaded.

use std::sync::Arc;

use facteur_format::{Identity, Places as _};
use facteur_maildir::Place;
use facteur_model::{Guid, MailboxName};

use crate::{
    StoreError,
    format::Layout,
    load,
    owner::{Owner, State},
    shared::Shared,
};

impl Owner {
    /// Takes over the folders that are there and that nobody here made.
    pub(crate) fn notice_folders(
        self: &Arc<Self>,
        shared: &Shared,
        state: &mut State,
    ) -> Result<(), StoreError> {
        let Layout::Maildir(layout) = &self.layout else {
            return Ok(());
        };
        for name in layout.mailboxes(&shared.disk)? {
            if !state.folders.contains_key(&name) {
                self.take_over(shared, state, &name)?;
            }
        }
        Ok(())
    }

    /// Takes over this folder, if it is there and nobody here made it.
    pub(crate) fn notice_folder(
        self: &Arc<Self>,
        shared: &Shared,
        state: &mut State,
        name: &MailboxName,
    ) -> Result<(), StoreError> {
        let Layout::Maildir(layout) = &self.layout else {
            return Ok(());
        };
        if state.folders.contains_key(name)
            || facteur_maildir::Layout::check(name).is_err()
            || !shared.disk.is_dir(&Place::Cur.of(&layout.folder(name)))?
        {
            return Ok(());
        }
        self.take_over(shared, state, name)
    }

    fn take_over(
        self: &Arc<Self>,
        shared: &Shared,
        state: &mut State,
        name: &MailboxName,
    ) -> Result<(), StoreError> {
        let (Layout::Maildir(layout), disk) = (&self.layout, &shared.disk) else {
            return Ok(());
        };
        if self.layout.identify(disk, name)?.is_some() {
            // It has UIDs, and comes from elsewhere: it is read when the account is loaded next.
            return Ok(());
        }
        let identity = Identity::new(load::next_uid_validity(state), Guid::random()?);
        let folder = self.with_row(shared, name, identity, || {
            layout.complete(disk, name)?;
            self.layout.note_uid_validity(disk, identity.uid_validity)?;
            identity.write(disk, &self.layout, name).inspect_err(|_| {
                // With one it would not be new.
                let _ = disk.unlink_if_there(&self.layout.identity(name));
            })
        })?;
        tracing::info!(account = %self.id, mailbox = %name, "another program made the mailbox");
        state.note_made(name, folder);
        Ok(())
    }
}
