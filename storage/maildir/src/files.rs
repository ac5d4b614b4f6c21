//! The messages of one folder: which file is which UID's, and what the files are called now.

use std::{
    borrow::Cow,
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use facteur_model::{Flags, Guid, Uid};

use crate::{FileName, Letters, file_name::guid_of};

/// Which of a folder's two subfolders a message's file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `new/`: no client has looked at it.
    New,
    /// `cur/`
    Cur,
}

impl Place {
    /// Its path below a folder's.
    pub fn of(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::New => "new",
            Self::Cur => "cur",
        })
    }

    /// A file's path.
    pub fn file(self, folder: &Path, name: &[u8]) -> PathBuf {
        let mut path = self.of(folder);
        path.push(OsStr::from_bytes(name));
        path
    }
}

/// The messages of a folder, by UID: 20 bytes each and the base of its name.
#[derive(Debug, Default, Clone)]
pub struct Files {
    /// By UID.
    pub(crate) entries: Vec<Entry>,
    /// Extensions and bases.
    pub(crate) arena: Vec<u8>,
    /// Whole names that do not follow from flags and letters.
    pub(crate) odd: HashMap<Uid, Box<[u8]>>,
    /// Bytes of the arena that are nobody's.
    garbage: usize,
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) uid: Uid,
    /// Where its extensions begin; its base follows them.
    start: u32,
    pub(crate) letters: Letters,
    pub(crate) state: u16,
    extensions: u16,
    base: u8,
}

/// Bits of an entry's state; the lowest are its flags.
const NEW: u16 = 1 << 8;
const BARE: u16 = 1 << 9;
const ODD: u16 = 1 << 10;
const PRESENT: u16 = 1 << 11;

impl Entry {
    pub(crate) fn flags(&self) -> Flags {
        Flags::from_bits(self.state.to_le_bytes()[0])
    }

    pub(crate) fn place(&self) -> Place {
        if self.state & NEW == 0 {
            Place::Cur
        } else {
            Place::New
        }
    }

    pub(crate) fn is_bare(&self) -> bool {
        self.state & BARE != 0
    }

    pub(crate) fn is_present(&self) -> bool {
        self.state & PRESENT != 0
    }

    pub(crate) fn set_absent(&mut self) {
        self.state &= !PRESENT;
    }

    pub(crate) fn base<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize + usize::from(self.extensions);
        arena
            .get(start..start + usize::from(self.base))
            .unwrap_or_default()
    }

    fn extensions<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        arena
            .get(start..start + usize::from(self.extensions))
            .unwrap_or_default()
    }

    /// Notes what its file is called.
    pub(crate) fn note(
        &mut self,
        place: Place,
        name: &FileName<'_>,
        odd: &mut HashMap<Uid, Box<[u8]>>,
    ) {
        let (flags, letters) = (name.flags(), name.letters());
        let mut state = PRESENT | u16::from(flags.bits());
        if place == Place::New {
            state |= NEW;
        }
        if name.is_bare() {
            state |= BARE;
        } else if FileName::build(name.base(), flags, letters) != name.whole() {
            state |= ODD;
            odd.insert(self.uid, name.whole().into());
        }
        if self.state & ODD != 0 && state & ODD == 0 {
            odd.remove(&self.uid);
        }
        (self.state, self.letters) = (state, letters);
    }
}

/// One message's file.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    files: &'a Files,
    entry: &'a Entry,
}

impl<'a> File<'a> {
    /// The message's UID.
    pub fn uid(&self) -> Uid {
        self.entry.uid
    }

    /// The part of its name that stays.
    pub fn base(&self) -> &'a [u8] {
        self.entry.base(&self.files.arena)
    }

    /// Whether it was there when the folder was last looked through.
    pub fn is_present(&self) -> bool {
        self.entry.is_present()
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.entry.place()
    }

    /// The flags in its name.
    pub fn flags(&self) -> Flags {
        self.entry.flags()
    }

    /// The keywords in its name.
    pub fn letters(&self) -> Letters {
        self.entry.letters
    }

    /// Its whole name.
    pub fn name(&self) -> Cow<'a, [u8]> {
        let base = self.base();
        if self.entry.state & ODD != 0
            && let Some(name) = self.files.odd.get(&self.entry.uid)
        {
            Cow::Borrowed(name)
        } else if self.entry.is_bare() {
            Cow::Borrowed(base)
        } else {
            Cow::Owned(FileName::build(base, self.flags(), self.letters()))
        }
    }

    /// Its path in `folder`.
    pub fn path(&self, folder: &Path) -> PathBuf {
        self.place().file(folder, &self.name())
    }

    /// Its name with other flags and keywords: it belongs into `cur/`. Letters that are not among
    /// `known` stay as they are.
    pub fn renamed(&self, flags: Flags, letters: Letters, known: Letters) -> Vec<u8> {
        let letters = letters.union(self.letters().difference(known));
        let name = self.name();
        match FileName::parse(&name) {
            Some(name) => name.with(flags, letters),
            None => FileName::build(&name, flags, letters),
        }
    }

    /// Its extension fields in `dovecot-uidlist`, as they stand there.
    pub fn extensions(&self) -> &'a [u8] {
        self.entry.extensions(&self.files.arena)
    }

    /// The value of an extension field.
    pub fn extension(&self, key: u8) -> Option<&'a [u8]> {
        let mut fields = self.extensions().split(|byte| *byte == b' ');
        fields.find_map(|field| field.strip_prefix(&[key]))
    }

    /// The message's GUID.
    pub fn guid(&self) -> Guid {
        let given = self.extension(b'G').filter(|text| !text.is_empty());
        guid_of(given.unwrap_or(self.base()))
    }
}

impl Files {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every one, by UID.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = File<'_>> + ExactSizeIterator {
        self.entries.iter().map(|entry| File { files: self, entry })
    }

    fn find(&self, uid: Uid) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&uid, |entry| entry.uid)
    }

    /// The one with this UID.
    pub fn get(&self, uid: Uid) -> Option<File<'_>> {
        let at = self.find(uid).ok()?;
        let entry = self.entries.get(at)?;
        Some(File { files: self, entry })
    }

    /// The highest UID.
    pub fn last(&self) -> Option<Uid> {
        self.entries.last().map(|entry| entry.uid)
    }

    /// Adds a message whose file has not been seen yet. Says no when its UID is not above all
    /// others, or when its name or extensions are such as no file and no line has.
    pub fn push(&mut self, uid: Uid, extensions: &[u8], base: &[u8]) -> bool {
        let start = u32::try_from(self.arena.len());
        let lengths = (u16::try_from(extensions.len()), u8::try_from(base.len()));
        let (Ok(start), (Ok(extensions_len), Ok(base_len))) = (start, lengths) else {
            return false;
        };
        let listed = FileName::parse(base).is_some_and(|name| name.is_bare());
        if self.last().is_some_and(|last| last >= uid) || !listed {
            return false;
        }
        self.arena.extend_from_slice(extensions);
        self.arena.extend_from_slice(base);
        self.entries.push(Entry {
            uid,
            start,
            letters: Letters::EMPTY,
            state: 0,
            extensions: extensions_len,
            base: base_len,
        });
        true
    }

    /// Notes what a message's file is called now: after it was made, or renamed by us. Says no when
    /// the message is unknown or the name is not one of its.
    pub fn note(&mut self, uid: Uid, place: Place, name: &[u8]) -> bool {
        let Some(name) = FileName::parse(name) else {
            return false;
        };
        let Ok(at) = self.find(uid) else { return false };
        let Self {
            entries,
            arena,
            odd,
            ..
        } = self;
        let Some(entry) = entries
            .get_mut(at)
            .filter(|entry| entry.base(arena) == name.base())
        else {
            return false;
        };
        entry.note(place, &name, odd);
        true
    }

    /// Forgets messages for which `wanted` does not hold.
    pub fn retain(&mut self, mut wanted: impl FnMut(Uid) -> bool) {
        let Self {
            entries,
            odd,
            garbage,
            ..
        } = self;
        entries.retain(|entry| {
            let stays = wanted(entry.uid);
            if !stays {
                *garbage += usize::from(entry.extensions) + usize::from(entry.base);
                odd.remove(&entry.uid);
            }
            stays
        });
        if self.garbage > self.arena.len() / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.garbage.min(self.arena.len()));
        for entry in &mut self.entries {
            let start = arena.len();
            arena.extend_from_slice(entry.extensions(&self.arena));
            arena.extend_from_slice(entry.base(&self.arena));
            // It was not beyond before, and is not further back now.
            entry.start = u32::try_from(start).unwrap_or(entry.start);
        }
        (self.arena, self.garbage) = (arena, 0);
    }
}

#[cfg(test)]
mod tests;
