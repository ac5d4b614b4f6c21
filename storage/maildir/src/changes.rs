//! Looking through a folder: what other programs delivered, removed, renamed or moved.

use std::{
    collections::{BTreeMap, HashMap, hash_map},
    io,
    path::Path,
    time::SystemTime,
};

use facteur_disk::{Disk, EntryKind};
use facteur_model::{Flags, Guid, Uid};

use crate::{BaseNames, FileName, Files, Letters, Place, Stamps, files::Entry};

/// A file that has no UID yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Where it is.
    pub place: Place,
    /// Its name; [`FileName::parse`] takes it.
    pub name: Box<[u8]>,
}

/// What changed in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Files that nobody knew, in the order in which they get their UIDs.
    pub added: Vec<Added>,
    /// Messages whose files are gone. [`Files`] keeps them until they are removed from it.
    pub gone: Vec<Uid>,
    /// Messages with other flags or keywords than before.
    pub changed: Vec<Uid>,
    /// Messages whose files are elsewhere, with the same flags.
    pub moved: Vec<Uid>,
    /// Good for this look; nothing that happened later is in it.
    pub stamps: Stamps,
}

impl Files {
    /// Looks through a folder and notes what its files are called now: one `readdir(3)` of `new/`
    /// and of `cur/`, without a look at any file.
    ///
    /// While it looks, other programs may rename files, and a file that is renamed may be passed
    /// over: one that is missing counts as gone only when a second look misses it too. Of two files
    /// with one base the second gets a new name, by `names`, as does a file whose name cannot be
    /// listed; both are then in [`Changes::added`].
    ///
    /// # Errors
    /// When the folder cannot be read. A missing `new/` or `cur/` is empty.
    pub fn refresh(
        &mut self,
        disk: &Disk,
        folder: &Path,
        names: &BaseNames,
        now: SystemTime,
    ) -> io::Result<Changes> {
        let mut look = Look::new(self);
        let stamps = Stamps::take(disk, folder, now)?;
        look.pass(disk, folder)?;
        let quiet = stamps.are_settled() && Stamps::take(disk, folder, now)?.same_times(&stamps);
        if !quiet && look.misses_any() {
            look.pass(disk, folder)?;
        }
        let odd = std::mem::take(&mut look.twins)
            .into_iter()
            .chain(std::mem::take(&mut look.unlisted));
        for stray in odd.collect::<Vec<_>>() {
            look.settle(disk, folder, stray, || {
                // A mark that is not random is still unique with the rest.
                names.next(now, Guid::random().unwrap_or(Guid::from_bytes([0; 16])))
            })?;
        }
        Ok(look.finish(stamps))
    }
}

/// A file that cannot stay as it is.
struct Stray {
    place: Place,
    name: Box<[u8]>,
}

/// What a message's name said before.
type Before = (Flags, Letters, Place);

struct Look<'f> {
    entries: &'f mut Vec<Entry>,
    odd: &'f mut HashMap<Uid, Box<[u8]>>,
    /// Places in `entries`.
    by_base: HashMap<&'f [u8], usize>,
    /// In which pass each was seen last.
    seen: Vec<u8>,
    pass: u8,
    /// What is different, by place in `entries`.
    before: BTreeMap<usize, Before>,
    added: HashMap<Box<[u8]>, (Added, u8)>,
    twins: Vec<Stray>,
    unlisted: Vec<Stray>,
}

impl<'f> Look<'f> {
    fn new(files: &'f mut Files) -> Self {
        let Files {
            entries,
            arena,
            odd,
            ..
        } = files;
        let mut by_base = HashMap::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            // Two lines may name one file: the later one counts, as with Dovecot.
            by_base.insert(entry.base(arena), at);
        }
        Self {
            seen: vec![0; entries.len()],
            entries,
            odd,
            by_base,
            pass: 0,
            before: BTreeMap::new(),
            added: HashMap::new(),
            twins: Vec::new(),
            unlisted: Vec::new(),
        }
    }

    /// `new/` first: what moves to `cur/` meanwhile is seen at least once.
    fn pass(&mut self, disk: &Disk, folder: &Path) -> io::Result<()> {
        self.pass += 1;
        self.twins.clear();
        self.unlisted.clear();
        for place in [Place::New, Place::Cur] {
            let read = disk.each_name(&place.of(folder), |name, kind| {
                if kind == EntryKind::File {
                    self.see(place, name);
                }
            });
            match read {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn see(&mut self, place: Place, whole: &[u8]) {
        if whole.starts_with(b".") {
            return;
        }
        let stray = || Stray {
            place,
            name: whole.into(),
        };
        let Some(name) = FileName::parse(whole) else {
            self.unlisted.push(stray());
            return;
        };
        let Some(at) = self.by_base.get(name.base()).copied() else {
            self.see_new(place, &name);
            return;
        };
        if let Some(seen) = self.seen.get_mut(at)
            && std::mem::replace(seen, self.pass) == self.pass
        {
            self.twins.push(stray());
            return;
        }
        self.note(at, place, &name);
    }

    fn note(&mut self, at: usize, place: Place, name: &FileName<'_>) {
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        if entry.is_present() {
            let before = (entry.flags(), entry.letters, entry.place());
            if before != (name.flags(), name.letters(), place) {
                self.before.entry(at).or_insert(before);
            }
        }
        entry.note(place, name, self.odd);
    }

    fn see_new(&mut self, place: Place, name: &FileName<'_>) {
        let added = Added {
            place,
            name: name.whole().into(),
        };
        match self.added.entry(name.base().into()) {
            hash_map::Entry::Occupied(known) if known.get().1 == self.pass => {
                self.twins.push(Stray {
                    place,
                    name: name.whole().into(),
                });
            }
            hash_map::Entry::Occupied(mut known) => {
                known.insert((added, self.pass));
            }
            hash_map::Entry::Vacant(place) => {
                place.insert((added, self.pass));
            }
        }
    }

    /// Whether a file that was there, or that a line names, was not seen.
    fn misses_any(&self) -> bool {
        self.seen.contains(&0)
    }

    /// Two names with one base: a file that was renamed while we looked, a file with two names, or
    /// two files. Or a name that no line can hold.
    fn settle(
        &mut self,
        disk: &Disk,
        folder: &Path,
        stray: Stray,
        fresh: impl FnOnce() -> String,
    ) -> io::Result<()> {
        let path = stray.place.file(folder, &stray.name);
        if disk.kind(&path)?.is_none() {
            return Ok(());
        }
        let mut sizes = String::new();
        if let Some(name) = FileName::parse(&stray.name) {
            if let Some(first) = self.path_of(folder, name.base())
                && disk.kind(&first)?.is_some()
            {
                if disk.identity(&first)? == disk.identity(&path)? {
                    // Somebody may be about to remove one.
                    return Ok(());
                }
            } else {
                self.rename_known(stray.place, &name);
                return Ok(());
            }
            let field = |key, size: Option<u64>| size.map(|size| format!(",{key}={size}"));
            sizes.extend(field('S', name.size()));
            sizes.extend(field('W', name.virtual_size()));
        }
        let new = format!("{}{sizes}", fresh());
        let to = Place::New.file(folder, new.as_bytes());
        match disk.rename_new(&path, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        tracing::warn!(from = %path.display(), to = %to.display(), "message's file had another's name, or one that cannot be listed, and got a new one");
        if let Some(name) = FileName::parse(new.as_bytes()) {
            self.see_new(Place::New, &name);
        }
        Ok(())
    }

    /// Where the file with this base was seen.
    fn path_of(&self, folder: &Path, base: &[u8]) -> Option<std::path::PathBuf> {
        if let Some((added, _)) = self.added.get(base) {
            return Some(added.place.file(folder, &added.name));
        }
        let entry = self.entries.get(*self.by_base.get(base)?)?;
        let name = match self.odd.get(&entry.uid) {
            Some(name) => name.to_vec(),
            None if entry.is_bare() => base.to_vec(),
            None => FileName::build(base, entry.flags(), entry.letters),
        };
        Some(entry.place().file(folder, &name))
    }

    /// The name that was seen first is gone: this is the file's.
    fn rename_known(&mut self, place: Place, name: &FileName<'_>) {
        match self.by_base.get(name.base()).copied() {
            Some(at) => self.note(at, place, name),
            None => {
                self.added.remove(name.base());
                self.see_new(place, name);
            }
        }
    }

    fn finish(self, stamps: Stamps) -> Changes {
        let added = self.added.into_values().map(|(added, _)| {
            let made = FileName::parse(&added.name).map(|name| name.made());
            (made, added)
        });
        let mut added: Vec<_> = added.collect();
        added.sort_unstable_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
        let mut changes = Changes {
            added: added.into_iter().map(|(_, added)| added).collect(),
            gone: Vec::new(),
            changed: Vec::new(),
            moved: Vec::new(),
            stamps,
        };
        for (entry, _) in self
            .entries
            .iter_mut()
            .zip(&self.seen)
            .filter(|(_, seen)| **seen == 0)
        {
            entry.set_absent();
            changes.gone.push(entry.uid);
        }
        for (at, (flags, letters, place)) in self.before {
            let Some(entry) = self.entries.get(at).filter(|entry| entry.is_present()) else {
                continue;
            };
            if (flags, letters) != (entry.flags(), entry.letters) {
                changes.changed.push(entry.uid);
            } else if place != entry.place() {
                changes.moved.push(entry.uid);
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests;
