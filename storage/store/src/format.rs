//! The store's format: how an account's mail lies in its home.
//!
//! All that the formats do differently is asked here, or in `maildir/` where only Maildir has
//! something to do: sdbox names a message's file after its UID, once and for all; a Maildir's names
//! say the flags, and `dovecot-uidlist` whose they are.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use facteur_disk::Disk;
use facteur_format::{Identity, Places};
use facteur_index::{MessageRow, Transaction};
use facteur_maildir::{NameError, UidList, UidValidities};
use facteur_model::{
    AccountSpec, Guid, Keyword, MailFormat, MailboxName, ModSeq, Uid, UidValidity,
};
use facteur_sdbox::FolderOnDisk;

use crate::{
    MessageState, StoreError, folders,
    maildir::{self, Located, Named},
    owner::Owner,
    reconcile,
    shared::Shared,
    view::Core,
};

/// An account's format, and where things lie in its home.
#[derive(Debug, Clone)]
pub(crate) enum Layout {
    Sdbox(facteur_sdbox::Layout),
    Maildir(facteur_maildir::Layout),
}

impl Places for Layout {
    fn separator(&self) -> char {
        match self {
            Self::Sdbox(layout) => layout.separator(),
            Self::Maildir(layout) => layout.separator(),
        }
    }

    fn identity(&self, name: &MailboxName) -> PathBuf {
        match self {
            Self::Sdbox(layout) => layout.identity(name),
            Self::Maildir(layout) => layout.identity(name),
        }
    }

    fn subscriptions(&self) -> PathBuf {
        match self {
            Self::Sdbox(layout) => layout.subscriptions(),
            Self::Maildir(layout) => layout.subscriptions(),
        }
    }
}

impl Layout {
    pub(crate) fn of(spec: &AccountSpec) -> Self {
        Self::new(spec.format, &spec.home)
    }

    pub(crate) fn new(format: MailFormat, home: &Path) -> Self {
        match format {
            MailFormat::Sdbox => Self::Sdbox(facteur_sdbox::Layout::new(home)),
            MailFormat::Maildir => Self::Maildir(facteur_maildir::Layout::new(home)),
        }
    }

    pub(crate) fn format(&self) -> MailFormat {
        match self {
            Self::Sdbox(_) => MailFormat::Sdbox,
            Self::Maildir(_) => MailFormat::Maildir,
        }
    }

    /// The account's home.
    pub(crate) fn home(&self) -> &Path {
        match self {
            Self::Sdbox(layout) => layout.home(),
            Self::Maildir(layout) => layout.root(),
        }
    }

    /// A mailbox's folder.
    pub(crate) fn folder(&self, name: &MailboxName) -> PathBuf {
        match self {
            Self::Sdbox(layout) => layout.folder(name),
            Self::Maildir(layout) => layout.folder(name),
        }
    }

    /// The folder below which a mailbox's messages lie.
    pub(crate) fn mails(&self, name: &MailboxName) -> PathBuf {
        match self {
            Self::Sdbox(layout) => layout.mails(name),
            Self::Maildir(layout) => layout.folder(name),
        }
    }

    /// Where a mailbox's messages are written before they have a name.
    pub(crate) fn tmp(&self, name: &MailboxName) -> PathBuf {
        match self {
            Self::Sdbox(layout) => layout.mails(name),
            Self::Maildir(layout) => layout.tmp(name),
        }
    }

    /// A name in `tmp` for a file that is to become a message.
    pub(crate) fn temporary(&self, tmp: &Path, shared: &Shared) -> PathBuf {
        match self {
            Self::Sdbox(_) => Disk::temporary_path(tmp),
            // What has a mark is ours to remove.
            Self::Maildir(_) => {
                let mark = Guid::from_bytes([0; 16]);
                tmp.join(shared.names.next(SystemTime::now(), mark))
            }
        }
    }

    /// Every folder on disk, sorted by name.
    pub(crate) fn folders(&self, disk: &Disk) -> io::Result<Vec<FolderOnDisk>> {
        match self {
            Self::Sdbox(layout) => layout.folders(disk),
            Self::Maildir(layout) => {
                let mailbox = |name| FolderOnDisk {
                    name,
                    is_mailbox: true,
                };
                Ok(layout.mailboxes(disk)?.into_iter().map(mailbox).collect())
            }
        }
    }

    /// Who a mailbox is; `None` when its files do not say.
    pub(crate) fn identify(
        &self,
        disk: &Disk,
        name: &MailboxName,
    ) -> Result<Option<Identity>, StoreError> {
        match self {
            Self::Sdbox(layout) => Ok(Identity::read(disk, layout, name)?),
            Self::Maildir(layout) => {
                let made_up = Guid::random()?;
                let identity = facteur_maildir::identity(disk, layout, name, made_up)?;
                if let Some(identity) = identity.filter(|identity| identity.guid == made_up) {
                    // From now on it has this one.
                    identity.write_unsynced(disk, layout, name)?;
                }
                Ok(identity)
            }
        }
    }

    /// Writes who a mailbox is wherever its files say it, durably.
    pub(crate) fn write_identity(
        &self,
        disk: &Disk,
        name: &MailboxName,
        identity: &Identity,
    ) -> io::Result<()> {
        identity.write(disk, self, name)?;
        if let Self::Maildir(layout) = self {
            let dir = layout.folder(name);
            if let Some(mut list) = UidList::read(disk, &dir)? {
                list.head.uid_validity = identity.uid_validity;
                list.write(disk, &dir, identity.guid)?;
            }
        }
        Ok(())
    }

    /// The files of a mailbox's messages, in UID order; those in a Maildir that have no UID yet are not
    /// among them.
    pub(crate) fn message_files(
        &self,
        disk: &Disk,
        name: &MailboxName,
    ) -> Result<Vec<(Uid, Located)>, StoreError> {
        match self {
            Self::Sdbox(layout) => {
                let mails = layout.mails(name);
                let (uids, _) = layout.messages(disk, name)?;
                let path = |uid| mails.join(facteur_sdbox::Layout::file_name(uid));
                let located = uids.into_iter();
                Ok(located
                    .map(|uid| (uid, Located::of_sdbox(path(uid))))
                    .collect())
            }
            Self::Maildir(layout) => maildir::listed_files(disk, &layout.folder(name)),
        }
    }

    /// Writes the rows of a message from its file, without flags; `None` when that cannot be read as
    /// one. It is left alone then.
    pub(crate) fn adopt(
        &self,
        disk: &Disk,
        transaction: &Transaction<'_>,
        (mailbox, uid, modseq): (u32, Uid, ModSeq),
        file: &Located,
    ) -> Result<Option<MessageRow>, StoreError> {
        match self {
            Self::Sdbox(_) => reconcile::adopt(disk, transaction, mailbox, &file.path, uid, modseq),
            Self::Maildir(_) => maildir::adopt(disk, transaction, (mailbox, uid, modseq), file),
        }
    }

    /// Whether a mailbox can have this name.
    pub(crate) fn check(&self, name: &MailboxName) -> Result<(), StoreError> {
        match self {
            Self::Sdbox(_) => Ok(()),
            Self::Maildir(_) => facteur_maildir::Layout::check(name).map_err(StoreError::from),
        }
    }

    /// The highest UIDVALIDITY that the files say was given.
    pub(crate) fn last_uid_validity(&self, disk: &Disk) -> io::Result<u32> {
        match self {
            Self::Sdbox(_) => Ok(0),
            Self::Maildir(layout) => Ok(UidValidities::read(disk, layout)?.last),
        }
    }

    /// Makes a mailbox's folder and what belongs into it.
    pub(crate) fn make(
        &self,
        disk: &Disk,
        name: &MailboxName,
        identity: &Identity,
        durably: bool,
    ) -> io::Result<()> {
        let layout = match self {
            Self::Sdbox(layout) => return folders::make(disk, layout, name, identity, durably),
            Self::Maildir(layout) => layout,
        };
        self.note_uid_validity(disk, identity.uid_validity)?;
        layout.make(disk, name, identity)?;
        match durably {
            true => layout.sync(disk, name),
            false => Ok(()),
        }
    }

    /// Notes that a UIDVALIDITY was given, where Dovecot looks for the highest.
    pub(crate) fn note_uid_validity(&self, disk: &Disk, given: UidValidity) -> io::Result<()> {
        match self {
            Self::Sdbox(_) => Ok(()),
            Self::Maildir(layout) => {
                UidValidities::read(disk, layout)?.note(disk, layout, given.value())
            }
        }
    }

    /// Refuses a home that holds mail in the other format: nobody would see it.
    pub(crate) fn refuse_other(&self, disk: &Disk) -> Result<(), StoreError> {
        let home = self.home();
        let (holds, other) = match self {
            Self::Sdbox(_) => {
                let held = disk.is_dir(&home.join("cur"))? && disk.is_dir(&home.join("new"))?;
                (held, MailFormat::Maildir)
            }
            Self::Maildir(_) => {
                let held = disk.is_dir(&facteur_sdbox::Layout::new(home).root())?;
                (held, MailFormat::Sdbox)
            }
        };
        if !holds {
            return Ok(());
        }
        // Clients cannot mend it: it is the log that says this.
        Err(StoreError::Io(io::Error::other(format!(
            "{} holds {} mail, but mail_location says {}: say {} there, or convert the account with \
             `facteur account export`",
            home.display(),
            other.as_str(),
            self.format().as_str(),
            other.as_str()
        ))))
    }
}

impl Owner {
    /// Where a message's file is, as far as that is known; `None` for one that is not in a Maildir's
    /// list.
    pub(crate) fn locate(&self, core: &Core, uid: Uid) -> Option<Located> {
        let name = core.name();
        match (&self.layout, core.maildir()) {
            (Layout::Maildir(layout), Some(maildir)) => maildir.path(&layout.folder(&name), uid),
            (layout, _) => {
                let path = layout
                    .mails(&name)
                    .join(facteur_sdbox::Layout::file_name(uid));
                Some(Located::of_sdbox(path))
            }
        }
    }

    /// The same; `None` also while somebody looks through a Maildir.
    pub(crate) fn locate_at_hand(&self, core: &Core, uid: Uid) -> Option<Located> {
        match (&self.layout, core.maildir()) {
            (Layout::Maildir(layout), Some(maildir)) => {
                maildir.path_at_hand(&layout.folder(&core.name()), uid)
            }
            _ => self.locate(core, uid),
        }
    }

    /// Where a new message's file belongs. In a Maildir what it is called is noted: by a base and,
    /// if that does not follow from it, a GUID.
    pub(crate) fn name_new(
        &self,
        shared: &Shared,
        (core, named): (&Core, &mut Vec<Named>),
        state: &MessageState,
        (base, guid): (&str, Option<Box<[u8]>>),
        keywords: &[Keyword],
    ) -> PathBuf {
        let name = core.name();
        let (Layout::Maildir(layout), Some(maildir)) = (&self.layout, core.maildir()) else {
            let mails = self.layout.mails(&name);
            return mails.join(facteur_sdbox::Layout::file_name(state.uid));
        };
        let dir = layout.folder(&name);
        let (place, name, whole) = maildir.place(&shared.disk, &dir, base, state.flags, keywords);
        let path = place.file(&dir, &name);
        named.push(Named {
            uid: state.uid,
            guid,
            base: base.as_bytes().into(),
            place,
            name,
            dirty: !whole,
        });
        path
    }

    /// Does `work`; once more after a look at the mailbox's folder, if a file that it needs is not
    /// where it was: another program may have renamed or removed it.
    pub(crate) fn notice_if_gone<T>(
        self: &Arc<Self>,
        shared: &Shared,
        core: &Arc<Core>,
        work: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match (work(), core.maildir()) {
            (Err(StoreError::Gone), Some(maildir)) => {
                maildir.suspect();
                self.notice(shared, core)?;
                work()
            }
            (result, _) => result,
        }
    }
}

impl From<NameError> for StoreError {
    fn from(error: NameError) -> Self {
        Self::Cannot(match error {
            NameError::Dot => "a mailbox of a Maildir has no dot in its name",
            NameError::Tilde => "a mailbox of a Maildir has no name that begins with ~",
            NameError::TooLong => "the mailbox's name is too long for a Maildir",
        })
    }
}
