//! What is known of a folder whose changes are done again: its list, and what its files are called.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
};

use facteur_disk::Disk;
use facteur_index::MailboxRow;
use facteur_maildir::{FileName, Files, Head, Place, UidList};
use facteur_model::Uid;

use crate::{StoreError, maildir::extensions};

/// What is known of a folder's files.
pub(super) struct Known {
    head: Option<Head>,
    pub(super) lines: BTreeMap<Uid, (Vec<u8>, Box<[u8]>)>,
    /// Where the file with a base is, and what it is called.
    pub(super) at: HashMap<Box<[u8]>, (Place, Vec<u8>)>,
    lacks: Lacks,
}

/// What the list lacks.
#[derive(Debug)]
enum Lacks {
    /// Lines that can be appended.
    Lines(Vec<u8>),
    /// It must be written anew: there is none, or it is not sound.
    Everything,
}

impl Known {
    pub(super) fn read(
        disk: &Disk,
        dir: &Path,
        row: Option<&MailboxRow>,
    ) -> Result<Self, StoreError> {
        let same =
            |list: &UidList| row.is_none_or(|row| row.uid_validity == list.head.uid_validity);
        let list = UidList::read(disk, dir)?.filter(same);
        let mut known = Self {
            lacks: match list.as_ref().is_some_and(|list| list.is_sound) {
                true => Lacks::Lines(Vec::new()),
                false => Lacks::Everything,
            },
            head: None,
            lines: BTreeMap::new(),
            at: HashMap::new(),
        };
        if let Some(list) = list {
            let lines = list.files.iter();
            known.lines = lines
                .map(|file| (file.uid(), (file.extensions().to_vec(), file.base().into())))
                .collect();
            known.head = Some(list.head);
        }
        for place in [Place::New, Place::Cur] {
            let listed = disk.each_name(&place.of(dir), |whole, _| {
                if let Some(name) = FileName::parse(whole) {
                    known.at.insert(name.base().into(), (place, whole.to_vec()));
                }
            });
            match listed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(known)
    }

    /// Where the file with this base is.
    pub(super) fn path(&self, dir: &Path, base: &[u8]) -> Option<PathBuf> {
        let (place, name) = self.at.get(base)?;
        Some(place.file(dir, name))
    }

    /// Where a message's file is.
    pub(super) fn path_of(&self, dir: &Path, uid: Uid) -> Option<PathBuf> {
        self.path(dir, &self.lines.get(&uid)?.1)
    }

    pub(super) fn add_line(&mut self, uid: Uid, guid: Option<&[u8]>, base: &[u8]) {
        if matches!(self.lines.get(&uid), Some((_, known)) if **known == *base) {
            return;
        }
        let extensions = extensions(guid);
        let is_last = self.lines.keys().next_back().is_none_or(|last| *last < uid);
        match &mut self.lacks {
            Lacks::Lines(lines) if is_last => UidList::push_line(lines, uid, &extensions, base),
            _ => self.lacks = Lacks::Everything,
        }
        self.lines.insert(uid, (extensions, base.into()));
    }

    pub(super) fn write_list(
        &mut self,
        disk: &Disk,
        dir: &Path,
        mailbox: &MailboxRow,
    ) -> Result<(), StoreError> {
        if let Lacks::Lines(lines) = &self.lacks {
            if !lines.is_empty() {
                UidList::append(disk, dir, lines)?;
            }
            self.lacks = Lacks::Lines(Vec::new());
            return Ok(());
        }
        let mut files = Files::default();
        for (uid, (extensions, base)) in &self.lines {
            files.push(*uid, extensions, base);
        }
        let head = self.head.take();
        let list = UidList {
            head: head.unwrap_or_else(|| Head {
                uid_validity: mailbox.uid_validity,
                uid_next: 1,
                guid: Some(mailbox.guid),
                other: Vec::new(),
            }),
            files,
            is_sound: true,
        };
        list.write(disk, dir, mailbox.guid)?;
        self.head = Some(list.head);
        self.lacks = Lacks::Lines(Vec::new());
        Ok(())
    }
}
