//! A folder's files against the messages that sessions see.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::SystemTime,
};

use facteur_disk::Disk;
use facteur_index::MailboxRow;
use facteur_maildir::{BaseNames, Changes, Files, Place};
use facteur_model::{Uid, UidSet};

use super::{
    Inner, List, base_of,
    merge::{Said, Translator},
};
use crate::{MessageState, StoreError};

/// A file that is to become a message.
#[derive(Debug)]
pub(super) struct Stray {
    /// The UID that the list gives it.
    pub(super) uid: Option<Uid>,
    pub(super) guid: Option<Box<[u8]>>,
    pub(super) place: Place,
    pub(super) name: Box<[u8]>,
}

/// What a look found.
#[derive(Default)]
pub(super) struct Noticed {
    pub(super) changed: Vec<MessageState>,
    pub(super) gone: UidSet,
    pub(super) strays: VecDeque<Stray>,
}

/// What a look compares with.
pub(super) struct Look<'a> {
    pub(super) messages: &'a [MessageState],
    /// The bases of messages that were expunged before anybody here noted it.
    pub(super) going: &'a dyn Fn() -> HashSet<Box<[u8]>>,
    /// Whether a UID of the list that nobody knows can be the message's.
    pub(super) keeps: &'a dyn Fn(Uid) -> bool,
    /// Whether lines stay whose files are gone: their removal need not be durable yet, and the journal
    /// finds them by these when it is done again.
    pub(super) keeps_lines: bool,
}

impl Inner {
    /// Looks where the files are.
    pub(super) fn refresh(
        &mut self,
        disk: &Disk,
        dir: &Path,
        names: &BaseNames,
    ) -> Result<Option<Changes>, StoreError> {
        let Some(files) = &mut self.files else {
            return Ok(None);
        };
        if !disk.is_dir(&Place::Cur.of(dir))? {
            // It may be on a disk that is not mounted: nothing is forgotten.
            tracing::error!(path = %dir.display(), "folder of a mailbox has no cur/");
            return Ok(None);
        }
        Ok(Some(files.refresh(disk, dir, names, SystemTime::now())?))
    }

    /// Looks through the folder, and says what is not as it is remembered.
    pub(super) fn look_through(
        &mut self,
        disk: &Disk,
        dir: &Path,
        row: &MailboxRow,
        look: &Look<'_>,
        names: &BaseNames,
        translator: &mut Translator<'_>,
    ) -> Result<Noticed, StoreError> {
        if self.load(disk, dir, row)? {
            self.ending.extend((look.going)());
        }
        let said = self.said_of_dirty();
        let mut noticed = Noticed::default();
        let Some(changes) = self.refresh(disk, dir, names)? else {
            return Ok(noticed);
        };
        let Some(mut files) = self.files.take() else {
            return Ok(noticed);
        };
        let (mut ending, stale) = self.compare(&files, look, &said, translator, &mut noticed);
        for added in changes.added {
            match base_of(Path::new(OsStr::from_bytes(&added.name))) {
                Some(base) if self.ending.contains(&base) => {
                    ending.insert(base);
                }
                _ => noticed.strays.push_back(Stray {
                    uid: None,
                    guid: None,
                    place: added.place,
                    name: added.name,
                }),
            }
        }
        // Those that have UIDs come first: the others get higher ones.
        noticed
            .strays
            .make_contiguous()
            .sort_by_key(|stray| (stray.uid.is_none(), stray.uid));
        if !stale.is_empty() {
            files.retain(|uid| !stale.contains(uid));
            if stale.len() > 64 + files.len() as u64 / 4 {
                self.list = List::Stale;
            }
        }
        self.files = Some(files);
        self.ending = ending;
        self.stamps = Some(changes.stamps);
        Ok(noticed)
    }

    /// Compares the messages with the files that have UIDs. Says which files of expunged messages are
    /// still there, and which UIDs are nobody's any more.
    fn compare(
        &self,
        files: &Files,
        look: &Look<'_>,
        said: &HashMap<Uid, Said>,
        translator: &mut Translator<'_>,
        noticed: &mut Noticed,
    ) -> (HashSet<Box<[u8]>>, UidSet) {
        let mut messages = look.messages.iter().peekable();
        let mut ending = HashSet::new();
        let mut stale = UidSet::new();
        for file in files.iter() {
            while let Some(lost) = messages.next_if(|message| message.uid < file.uid()) {
                noticed.gone.insert(lost.uid);
            }
            let message = messages.next_if(|message| message.uid == file.uid());
            match message {
                Some(message) if !file.is_present() => noticed.gone.insert(message.uid),
                Some(message) => {
                    let before = match self.dirty.contains(message.uid) {
                        false => None,
                        // Of one that nobody saw before, what we have counts.
                        true => match said.get(&message.uid) {
                            Some(said) => Some(*said),
                            None => continue,
                        },
                    };
                    let now = (file.flags(), file.letters());
                    noticed
                        .changed
                        .extend(translator.merge(message, before, now));
                }
                None if !file.is_present() && look.keeps_lines => {}
                None if !file.is_present() => stale.insert(file.uid()),
                None if self.ending.contains(file.base()) => {
                    ending.insert(file.base().into());
                }
                None => {
                    let keeps = (look.keeps)(file.uid());
                    if !keeps {
                        stale.insert(file.uid());
                    }
                    noticed.strays.push_back(Stray {
                        uid: keeps.then_some(file.uid()),
                        guid: file.extension(b'G').map(Into::into),
                        place: file.place(),
                        name: file.name().into(),
                    });
                }
            }
        }
        messages.for_each(|message| noticed.gone.insert(message.uid));
        (ending, stale)
    }

    /// What the names of messages said that have been changed since.
    fn said_of_dirty(&self) -> HashMap<Uid, Said> {
        let Some(files) = &self.files else {
            return HashMap::new();
        };
        let dirty = self.dirty.iter().filter_map(|uid| files.get(uid));
        dirty
            .filter(|file| file.is_present())
            .map(|file| (file.uid(), (file.flags(), file.letters())))
            .collect()
    }
}
