//! One mailbox in use.

use std::{io, sync::Arc};

use facteur_model::{FlagOperation, Flags, Keyword, MailboxName, ModSeq, Uid, UidSet, UidValidity};

use crate::{
    Snapshot, StoreError, Subscription, checkpoint, copy, expunge, flags, move_messages,
    owner::Owner,
    read::{self, MessageReader, OpenFile, Opened, Readers},
    shared::Shared,
    view::View,
};

/// A mailbox in use, shared by every session that has it open. Clones are the same mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    pub(crate) shared: Arc<Shared>,
    pub(crate) owner: Arc<Owner>,
    view: Arc<View>,
}

/// What STORE does.
#[derive(Debug, Clone)]
pub struct FlagChange {
    /// Add, remove or replace.
    pub operation: FlagOperation,
    /// System flags named.
    pub flags: Flags,
    /// Keywords named.
    pub keywords: Vec<Keyword>,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What STORE did.
#[derive(Debug, Default)]
pub struct FlagOutcome {
    /// Messages whose flags now are as asked (changed or not).
    pub stored: UidSet,
    /// Messages left alone because of UNCHANGEDSINCE.
    pub modified: UidSet,
}

/// What COPY or MOVE did (RFC 4315 §3, COPYUID).
#[derive(Debug)]
pub struct CopyOutcome {
    /// UIDVALIDITY of the destination.
    pub uid_validity: UidValidity,
    /// Source and destination UID of each message, in order.
    pub pairs: Vec<(Uid, Uid)>,
}

/// What FETCH needs of a message beyond its state, ready for the wire.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// ENVELOPE's parenthesised value.
    pub envelope: Vec<u8>,
    /// BODYSTRUCTURE's parenthesised value.
    pub body_structure: Vec<u8>,
    /// BODY's: the same without extension data.
    pub body: Vec<u8>,
}

/// So many messages are changed in less time than handing them to another thread takes.
const FEW: usize = 16;
/// Summaries are fetched so many UIDs at a time: others get at the index in between.
const SUMMARIES: usize = 512;

impl Mailbox {
    pub(crate) fn new(shared: &Arc<Shared>, owner: &Arc<Owner>, view: Arc<View>) -> Self {
        Self {
            shared: Arc::clone(shared),
            owner: Arc::clone(owner),
            view,
        }
    }

    /// Its name (RENAME changes it).
    pub fn name(&self) -> MailboxName {
        self.view.core.name()
    }

    /// Its UIDVALIDITY.
    pub fn uid_validity(&self) -> UidValidity {
        self.view.core.uid_validity
    }

    /// As it stands now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.view.snapshot()
    }

    /// Whether it was deleted, or its account is reopened: a session must let go of it.
    pub fn is_deleted(&self) -> bool {
        self.view.core.is_deleted() || self.owner.is_broken()
    }

    /// Calls `wake` after every change, from the changing thread: it must be quick (set a flag,
    /// notify a task).
    pub fn subscribe(&self, wake: Arc<dyn Fn() + Send + Sync>) -> Subscription {
        self.view.watch(wake)
    }

    /// Messages nobody was told of yet as `\Recent` (RFC 3501 §2.3.2): takes them when `claim`
    /// (SELECT), only looks otherwise (EXAMINE, STATUS).
    ///
    /// # Errors
    /// When the claim cannot be noted.
    pub fn recent(&self, claim: bool) -> Result<UidSet, StoreError> {
        flags::recent(&self.owner, &self.shared, &self.view, claim)
    }

    /// STORE.
    ///
    /// # Errors
    /// Then no flag was changed.
    pub fn store(&self, uids: &UidSet, change: &FlagChange) -> Result<FlagOutcome, StoreError> {
        flags::store(&self.owner, &self.shared, &self.view, uids, change)
    }

    /// STORE for few messages, if it can be done at once: this waits for nobody and for no disk, so
    /// that async callers may ask. `None` says nothing: ask [`Self::store`] then.
    pub fn store_at_hand(
        &self,
        uids: &UidSet,
        change: &FlagChange,
    ) -> Option<Result<FlagOutcome, StoreError>> {
        if self.view.snapshot().select(uids).nth(FEW).is_some() {
            return None;
        }
        flags::store_at_hand(&self.owner, &self.shared, &self.view, uids, change)
    }

    /// Removes those of `uids` that have `\Deleted` (or all of them with `force`); says which.
    ///
    /// # Errors
    /// Then no message was removed.
    pub fn expunge(&self, uids: &UidSet, force: bool) -> Result<UidSet, StoreError> {
        expunge::run(&self.owner, &self.shared, &self.view, uids, force)
    }

    /// COPY.
    ///
    /// # Errors
    /// Then no message was copied.
    pub fn copy(&self, uids: &UidSet, to: &MailboxName) -> Result<CopyOutcome, StoreError> {
        checkpoint::with_room(&self.shared, || {
            copy::run(&self.owner, &self.shared, &self.view, uids, to)
        })
    }

    /// MOVE (RFC 6851).
    ///
    /// # Errors
    /// Then no message was moved.
    pub fn move_to(&self, uids: &UidSet, to: &MailboxName) -> Result<CopyOutcome, StoreError> {
        move_messages::run(&self.owner, &self.shared, &self.name(), uids, to)
    }

    /// Calls `visit` with the summary of each message still there, in UID order.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn summaries(
        &self,
        uids: &UidSet,
        visit: &mut dyn FnMut(Uid, &Summary),
    ) -> Result<(), StoreError> {
        let mailbox = self.row_id()?;
        let snapshot = self.snapshot();
        let mut wanted = snapshot.select(uids).map(|(_, message)| message.uid);
        let mut summary = Summary::default();
        loop {
            let some: UidSet = wanted.by_ref().take(SUMMARIES).collect();
            if some.is_empty() {
                return Ok(());
            }
            self.owner.look(&self.shared, |index, waiting| {
                waiting.summaries(index, mailbox, &some, &mut |uid, parts| {
                    refill(&mut summary.envelope, parts.envelope);
                    refill(&mut summary.body_structure, parts.body_structure);
                    refill(&mut summary.body, parts.body);
                    visit(uid, &summary);
                })
            })?;
        }
    }

    /// Opens a message.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when it was expunged meanwhile.
    pub fn read(&self, uid: Uid) -> Result<MessageReader, StoreError> {
        let opened = self.open_file(uid)?;
        self.reader(opened, u64::MAX)
    }

    /// Opens a message of moderate size if it can be read at once: this waits for nobody and for no
    /// disk, so that async callers may ask. `None` says nothing: ask [`Self::read`] then.
    pub fn read_at_hand(&self, uid: Uid) -> Option<MessageReader> {
        self.reader_at_hand(uid, u64::MAX)
    }

    pub(crate) fn reader_at_hand(&self, uid: Uid, octets: u64) -> Option<MessageReader> {
        let size = self.view.snapshot().by_uid(uid)?.size;
        let located = self.owner.locate_at_hand(&self.view.core, uid)?;
        let what = (self.owner.layout.format(), size, octets);
        read::reader_at_hand(&self.shared.disk, &located.path, what)
    }

    /// Opens messages in turn; the disk is asked for the first `octets` of those that come next
    /// meanwhile.
    pub fn read_each<I: Iterator<Item = Uid>>(&self, uids: I, octets: u64) -> Readers<'_, I> {
        Readers::new(self, uids, octets)
    }

    pub(crate) fn reader(
        &self,
        opened: OpenFile,
        octets: u64,
    ) -> Result<MessageReader, StoreError> {
        read::reader(&self.shared.disk, opened, octets, &self.shared.staging)
    }

    /// Whether other programs may change it: see [`Self::notice`].
    pub fn may_change_outside(&self) -> bool {
        self.view.core.maildir().is_some()
    }

    /// Takes in what other programs did to the mailbox, where the format lets them: sessions that have
    /// it open see it. It is done without being asked for soon after they did it, too.
    ///
    /// # Errors
    /// When the folder cannot be looked through.
    pub fn notice(&self) -> Result<(), StoreError> {
        self.owner.notice(&self.shared, &self.view.core)
    }

    /// The unique-ids that messages had in POP3 on an earlier server, as `dovecot-uidlist` has them of a
    /// Maildir that Dovecot took over itself; in UID order.
    pub fn pop3_uidls(&self) -> Vec<(Uid, String)> {
        let maildir = self.view.core.maildir();
        maildir.map_or_else(Vec::new, crate::maildir::Folder::pop3_uidls)
    }

    /// Where a message's file is, as far as that is known.
    pub(crate) fn located(&self, uid: Uid) -> Option<crate::maildir::Located> {
        self.owner.locate(&self.view.core, uid)
    }

    /// Opens a message's file.
    pub(crate) fn open_file(&self, uid: Uid) -> Opened {
        let (owner, core) = (&self.owner, &self.view.core);
        let open = || {
            let located = owner.locate(core, uid).ok_or(StoreError::Gone)?;
            match self.shared.disk.open(&located.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Gone),
                file => Ok((file?, located.plain_size())),
            }
        };
        let open_again = || {
            let name = self.name();
            match open() {
                Err(StoreError::Gone) => {
                    // Expunged meanwhile, or the mailbox was renamed between the name and the file.
                    let renamed = {
                        let _state = owner.lock()?;
                        self.name() != name
                    };
                    match renamed {
                        true => open(),
                        false => Err(self.without_file(uid)),
                    }
                }
                result => result,
            }
        };
        let snapshot = self.snapshot();
        let size = snapshot.by_uid(uid).ok_or(StoreError::Gone)?.size;
        let (file, plain_size) = owner.notice_if_gone(&self.shared, core, open_again)?;
        Ok(OpenFile {
            file,
            size,
            format: owner.layout.format(),
            plain_size,
        })
    }

    /// Why a message has no file: it was expunged meanwhile; or, where nobody else may remove one,
    /// somebody did.
    fn without_file(&self, uid: Uid) -> StoreError {
        let located = self.owner.locate(&self.view.core, uid);
        match (
            located,
            self.snapshot().by_uid(uid),
            self.may_change_outside(),
        ) {
            (Some(located), Some(_), false) => {
                let path = located.path.display();
                let missing = format!("{path}: the message's file is missing");
                io::Error::new(io::ErrorKind::NotFound, missing).into()
            }
            _ => StoreError::Gone,
        }
    }

    pub(crate) fn row_id(&self) -> Result<u32, StoreError> {
        let state = self.owner.lock()?;
        Ok(state.folder_of(&self.view.core)?.row.id)
    }
}

fn refill(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(bytes);
}
