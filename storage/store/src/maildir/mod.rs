//! Maildir as the store's format: what a folder keeps beside its head.
//!
//! A message's file is found by its base, which `dovecot-uidlist` gives its UID. The list is read when
//! somebody opens the mailbox; a delivery to one that nobody has open adds a line and looks at nothing.
//! What changes in the list and in the names is written by the checkpoint ([`names`]): a STORE waits
//! for the journal alone. What other programs do in the folder is noticed by a look at it ([`look`]),
//! when a session asks and, while one has the mailbox open, when the kernel tells of a name there that
//! is not our own doing ([`watch`]), and goes the way of every change. Journal records name bases;
//! doing them again ([`redo`]) finds the files by those, whatever flags their names say by then.

mod compare;
mod found;
mod look;
mod made;
mod merge;
mod names;
mod redo;
mod taken;
mod told;
mod watch;

pub(crate) use found::{Found, adopt, find, listed_files};

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    time::SystemTime,
};

use facteur_disk::Disk;
use facteur_index::Index;
use facteur_maildir::{
    BaseNames, File, FileName, Files, Head, KeywordFile, Layout, Letters, NewMessage, Place,
    Stamps, UidList,
};
use facteur_model::{Flags, Keyword, Uid, UidSet};

use compare::Stray;
pub(crate) use redo::Redo;
use taken::reconcile;
pub(crate) use watch::{Watch, Watched};

use crate::{MessageState, StoreError, load::forget_unknown_keywords, shared::Shared};

/// What is kept of a folder.
#[derive(Debug, Default)]
pub(crate) struct Folder(Mutex<Inner>);

#[derive(Debug, Default)]
pub(crate) struct Inner {
    /// Which file is which message's, while somebody needs to know.
    files: Option<Files>,
    /// Good while nothing has changed in the folder since it was looked through.
    stamps: Option<Stamps>,
    keywords: Option<Box<KeywordFile>>,
    list: List,
    /// The next UID as the list said it when it was read.
    listed_next: u64,
    /// Lines that the list lacks.
    lines: Vec<u8>,
    /// Messages whose names may not say their flags.
    dirty: UidSet,
    /// Those of them whose names lack nothing but letters for new keywords: their flags are as the names
    /// say, which other programs may have changed.
    letterless: BTreeSet<Uid>,
    /// Files that the last look found and that are still to become messages.
    strays: VecDeque<Stray>,
    /// Messages that were expunged and whose files may still be there.
    ending: HashSet<Box<[u8]>>,
}

/// In which state `dovecot-uidlist` is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum List {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// Lines can be appended.
    Sound,
    /// It must be written anew.
    Stale,
}

/// A message that gets its file.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) uid: Uid,
    /// Its GUID as Dovecot says it, unless that is the base.
    pub(crate) guid: Option<Box<[u8]>>,
    pub(crate) base: Box<[u8]>,
    pub(crate) place: Place,
    /// What the file is called.
    pub(crate) name: Vec<u8>,
    /// Whether it has keywords that its name does not say yet.
    pub(crate) dirty: bool,
}

impl Named {
    /// Its extension fields in the list.
    fn extensions(&self) -> Vec<u8> {
        extensions(self.guid.as_deref())
    }
}

fn extensions(guid: Option<&[u8]>) -> Vec<u8> {
    guid.map(|guid| [b"G", guid].concat()).unwrap_or_default()
}

impl Folder {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of a message's file, in the folder `dir`, as far as it is known.
    pub(crate) fn path(&self, dir: &Path, uid: Uid) -> Option<Located> {
        self.lock().locate(dir, uid)
    }

    /// The same; `None` also while somebody looks through the folder.
    pub(crate) fn path_at_hand(&self, dir: &Path, uid: Uid) -> Option<Located> {
        match self.0.try_lock() {
            Ok(inner) => inner.locate(dir, uid),
            Err(TryLockError::Poisoned(inner)) => inner.into_inner().locate(dir, uid),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether the names or the list lack something.
    pub(crate) fn has_work(&self) -> bool {
        self.lock().has_work()
    }

    /// The folder may have changed: the next look is a real one.
    pub(crate) fn suspect(&self) {
        self.lock().stamps = None;
    }

    /// Where a new message's file belongs, what it is called, and whether that says all its keywords:
    /// those that have no letter yet are written with the next checkpoint.
    pub(crate) fn place(
        &self,
        disk: &Disk,
        dir: &Path,
        base: &str,
        flags: Flags,
        keywords: &[Keyword],
    ) -> (Place, Vec<u8>, bool) {
        let mut letters = Letters::EMPTY;
        let mut whole = true;
        if !keywords.is_empty() {
            let mut inner = self.lock();
            // The record of the message is made by now: what cannot be read waits too.
            match inner.keywords(disk, dir) {
                Ok(known) => {
                    letters = names::letters_of(known, keywords);
                    whole = keywords.iter().all(|k| known.letter(k).is_some());
                }
                Err(error) => {
                    tracing::warn!(path = %dir.display(), %error, "keywords cannot be read");
                    whole = false;
                }
            }
        }
        let (place, name) = NewMessage::place(base, flags, letters);
        (place, name, whole)
    }
}

/// Where a message's file is.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) path: PathBuf,
    pub(crate) base: Box<[u8]>,
    /// The message's GUID as Dovecot says it: any text without a space.
    pub(crate) guid: Box<[u8]>,
}

impl Located {
    /// Of another format: its name says nothing.
    pub(crate) fn of_sdbox(path: PathBuf) -> Self {
        Self {
            path,
            base: Box::default(),
            guid: Box::default(),
        }
    }

    pub(super) fn new(file: &File<'_>, dir: &Path) -> Self {
        let given = file.extension(b'G').filter(|guid| !guid.is_empty());
        let guid = given.unwrap_or(file.base());
        Self {
            path: file.path(dir),
            base: file.base().into(),
            guid: match guid.contains(&b' ') {
                // It could not stand in the list.
                true => file.guid().to_string().into_bytes().into(),
                false => guid.into(),
            },
        }
    }

    /// The message's size when it is not compressed, as the name says.
    pub(crate) fn plain_size(&self) -> Option<u64> {
        FileName::parse(&self.base).and_then(|name| name.size())
    }

    /// The sizes in its name, for a copy's.
    pub(crate) fn sizes(&self) -> String {
        let Some(name) = FileName::parse(&self.base) else {
            return String::new();
        };
        let field = |key, size: Option<u64>| size.map(|size| format!(",{key}={size}"));
        [field('S', name.size()), field('W', name.virtual_size())]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl Inner {
    /// Notes what became of messages, in the order of their records.
    pub(crate) fn shown(&mut self, named: &[Named], renamed: &[MessageState], gone: &UidSet) {
        for one in named {
            self.name(one);
        }
        for message in renamed {
            self.dirty.insert(message.uid);
            self.letterless.remove(&message.uid);
        }
        if let Some(files) = &self.files {
            let bases = gone.iter().filter_map(|uid| files.get(uid));
            self.ending.extend(bases.map(|file| file.base().into()));
        }
    }

    fn name(&mut self, one: &Named) {
        if one.dirty {
            self.dirty.insert(one.uid);
            self.letterless.insert(one.uid);
        }
        let known = |files: &mut Files| files.note(one.uid, one.place, &one.name);
        if self.files.as_mut().is_some_and(known) {
            // The list has it: another program put it there.
            return;
        }
        let extensions = one.extensions();
        UidList::push_line(&mut self.lines, one.uid, &extensions, &one.base);
        if let Some(files) = &mut self.files
            && !(files.push(one.uid, &extensions, &one.base) && known(files))
        {
            // It is read again, with this line.
            self.files = None;
            self.stamps = None;
        }
    }

    /// Messages that lie where no client has looked at them yet: from now on one has. Says whether
    /// there are any.
    pub(crate) fn claim(&mut self) -> bool {
        let Some(files) = &self.files else {
            return false;
        };
        let new = files
            .iter()
            .filter(|file| file.is_present() && file.place() == Place::New);
        let mut any = false;
        for file in new.filter(|file| !self.ending.contains(file.base())) {
            self.dirty.insert(file.uid());
            any = true;
        }
        any
    }

    fn locate(&self, dir: &Path, uid: Uid) -> Option<Located> {
        let file = self.files.as_ref()?.get(uid)?;
        Some(Located::new(&file, dir))
    }

    /// What the folder's letters mean.
    fn keywords(&mut self, disk: &Disk, dir: &Path) -> Result<&mut KeywordFile, StoreError> {
        let keywords = match self.keywords.take() {
            Some(keywords) => keywords,
            None => Box::new(KeywordFile::read(disk, dir)?),
        };
        Ok(self.keywords.insert(keywords))
    }
}

/// Brings a mailbox that is being opened in order; `tidy` after an unclean end, `look` when its index
/// may not know all of it.
pub(crate) fn open(
    shared: &Shared,
    layout: &Layout,
    index: &mut Index,
    folder: &mut crate::owner::Folder,
    (tidy, look): (bool, bool),
    going: &HashSet<PathBuf>,
) -> Result<(), StoreError> {
    let name = folder.core.name();
    let dir = layout.folder(&name);
    let disk = &shared.disk;
    if tidy || look {
        layout.complete(disk, &name)?;
        remove_marked(disk, &layout.tmp(&name), going)?;
        facteur_maildir::clean_tmp(disk, &dir, SystemTime::now())?;
    }
    // Another server has given UIDs meanwhile.
    let given = Head::read(disk, &dir)?.is_some_and(|head| head.uid_next > folder.row.uid_next);
    if look {
        forget_unknown_keywords(index, folder.row.id)?;
    }
    if look || given {
        reconcile(disk, (layout, &shared.names), index, folder, (going, look))?;
    }
    Ok(())
}

/// Removes files of ours that were to become messages, except what waits for a checkpoint.
pub(crate) fn remove_marked(
    disk: &Disk,
    tmp: &Path,
    going: &HashSet<PathBuf>,
) -> Result<(), StoreError> {
    let mut marked = Vec::new();
    let listed = disk.each_name(tmp, |name, _| {
        if BaseNames::mark(name).is_some() {
            marked.push(tmp.join(OsStr::from_bytes(name)));
        }
    });
    match listed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    }
    for path in marked.iter().filter(|path| !going.contains(*path)) {
        disk.unlink_if_there(path)?;
    }
    Ok(())
}

/// This machine's name, for names of files.
pub(crate) fn host(disk: &Disk) -> String {
    match disk.read(Path::new("/proc/sys/kernel/hostname")) {
        Ok(name) => String::from_utf8_lossy(&name).trim().to_owned(),
        Err(_) => String::new(),
    }
}

/// The base of the message whose file is at `path`.
pub(crate) fn base_of(path: &Path) -> Option<Box<[u8]>> {
    let name = path.file_name()?.as_bytes();
    Some(FileName::parse(name)?.base().into())
}

/// Where the file of `path` is by now, if another program has renamed it: looked for by its base in
/// both places of its folder. `None` when it is gone, or never was a message of a Maildir.
pub(crate) fn renamed(disk: &Disk, path: &Path) -> std::io::Result<Option<PathBuf>> {
    let places = [OsStr::new("cur"), OsStr::new("new")];
    let parent = path.parent();
    let Some(folder) = parent
        .filter(|parent| {
            parent
                .file_name()
                .is_some_and(|name| places.contains(&name))
        })
        .and_then(Path::parent)
    else {
        return Ok(None);
    };
    let Some(base) = base_of(path) else {
        return Ok(None);
    };
    for place in places {
        let dir = folder.join(place);
        let mut found = None;
        let listed = disk.each_name(&dir, |name, _| {
            if FileName::parse(name).is_some_and(|name| name.base() == &*base) {
                found = Some(dir.join(OsStr::from_bytes(name)));
            }
        });
        match listed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
