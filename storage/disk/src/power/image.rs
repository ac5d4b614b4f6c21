//! What a power loss may leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use super::{
    Change, Event, Log, Naming, Synced,
    external::Copies,
    tree::{Id, Kind},
};

const SECTOR: u64 = 512;

/// Up to which event each thing is durable.
#[derive(Debug, Default)]
struct Durable {
    data: BTreeMap<Id, usize>,
    files: BTreeMap<Id, usize>,
    dirs: BTreeMap<Id, usize>,
    all: usize,
}

impl Durable {
    fn note(&mut self, what: Synced, upto: usize) {
        let place = match what {
            Synced::Data(id) => self.data.entry(id).or_default(),
            Synced::File(id) => self.files.entry(id).or_default(),
            Synced::Dir(id) => self.dirs.entry(id).or_default(),
            Synced::All => &mut self.all,
        };
        *place = (*place).max(upto);
    }

    fn has_change(&self, event: usize, file: Id, change: &Change) -> bool {
        let upto = |of: &BTreeMap<Id, usize>| of.get(&file).copied().unwrap_or_default();
        let data = match change {
            Change::Modified(_) => 0,
            Change::Write { .. } | Change::Length(_) => upto(&self.data),
        };
        event < self.all.max(upto(&self.files)).max(data)
    }

    fn has_naming(&self, event: usize, naming: &Naming) -> bool {
        let dir = self.dirs.get(&naming.dir).copied().unwrap_or_default();
        event < self.all.max(dir)
    }
}

/// Decides, always alike for one seed, what is kept.
#[derive(Debug, Clone, Copy)]
struct Choice(u64);

impl Choice {
    fn number(self, event: usize, part: u64) -> u64 {
        // splitmix64
        let mut z = self
            .0
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add((event as u64).wrapping_mul(0xd1b5_4a32_d192_ed03))
            .wrapping_add(part.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn keeps(self, event: usize, part: u64) -> bool {
        match self.0 {
            0 => false,
            1 => true,
            _ => self.number(event, part).is_multiple_of(2),
        }
    }

    /// Whether a write that is not durable is decided sector by sector.
    fn tears(self, event: usize) -> bool {
        self.0 > 1 && self.number(event, u64::MAX).is_multiple_of(3)
    }
}

/// The nodes and names after a power loss.
#[derive(Debug)]
pub(super) struct Image<'a> {
    nodes: Vec<Kind>,
    external: BTreeMap<PathBuf, &'a BTreeMap<PathBuf, Vec<u8>>>,
    made: BTreeMap<Id, PathBuf>,
}

impl<'a> Image<'a> {
    /// `present` are the external files as they are now, if the moment is now.
    pub(super) fn new(
        log: &'a Log,
        (at, seed): (usize, u64),
        ignored: &BTreeSet<usize>,
        present: Option<&'a Copies>,
    ) -> Self {
        let events = log.events.get(..at).unwrap_or(&log.events);
        let mut durable = Durable::default();
        for (index, event) in events.iter().enumerate() {
            if let Event::Sync { what, upto } = event {
                // A sync of a file system is followed by its copies before its moment comes.
                let moment = match what {
                    Synced::All => index + 2,
                    _ => index + 1,
                };
                if !ignored.contains(&moment) {
                    durable.note(*what, *upto);
                }
            }
        }
        let mut image = Self {
            nodes: log.tree.first.clone(),
            external: BTreeMap::new(),
            made: BTreeMap::new(),
        };
        let choice = Choice(seed);
        for (index, event) in events.iter().enumerate() {
            match event {
                Event::Change { file, change } => {
                    let durable = durable.has_change(index, *file, change);
                    image.change(
                        *file,
                        change,
                        |part| durable || choice.keeps(index, part),
                        !durable && choice.tears(index),
                    );
                }
                Event::Names(namings) => image.name(namings, index, &durable, choice),
                Event::Sync { .. } => {}
                Event::Copies { copies, synced } => {
                    let synced = *synced && !ignored.contains(&(index + 1));
                    image.copies(copies, |number| synced || choice.keeps(index, number));
                    if synced {
                        image.external.retain(|dir, _| copies.contains_key(dir));
                    }
                }
            }
        }
        if let Some(copies) = present {
            image.copies(copies, |number| choice.keeps(usize::MAX, number));
        }
        image
    }

    fn copies(&mut self, copies: &'a Copies, keep: impl Fn(u64) -> bool) {
        for (number, (dir, files)) in (0..).zip(copies) {
            if keep(number) {
                self.external.insert(dir.clone(), files);
            }
        }
    }

    fn change(&mut self, file: Id, change: &Change, keep: impl Fn(u64) -> bool, torn: bool) {
        let Some(Kind::File { bytes, modified }) = self.nodes.get_mut(file) else {
            return;
        };
        match change {
            Change::Modified(unix) if keep(0) => *modified = Some(*unix),
            Change::Length(length) if keep(0) => {
                bytes.resize(usize::try_from(*length).unwrap_or(usize::MAX), 0);
            }
            Change::Write {
                offset,
                bytes: written,
            } => {
                if !torn {
                    if keep(0) {
                        put(bytes, *offset, written);
                    }
                    return;
                }
                let mut at = *offset;
                let mut rest = written.as_slice();
                while !rest.is_empty() {
                    let size = usize::try_from(SECTOR - at % SECTOR).unwrap_or(rest.len());
                    let (sector, after) = rest.split_at(size.min(rest.len()));
                    if keep(at / SECTOR + 1) {
                        put(bytes, at, sector);
                    }
                    at += sector.len() as u64;
                    rest = after;
                }
            }
            _ => {}
        }
    }

    fn name(&mut self, namings: &[Naming], index: usize, durable: &Durable, choice: Choice) {
        let any = namings.iter().any(|n| durable.has_naming(index, n));
        // A rename: its new name stands first. The old one goes only once the new one is there, unless
        // its folder was synced.
        let chosen = choice.keeps(index, 0);
        let mut there = true;
        for naming in namings {
            let is_durable = durable.has_naming(index, naming);
            let by_chance = there && if any { choice.keeps(index, 1) } else { chosen };
            let keep = is_durable || by_chance;
            there &= keep;
            if !keep {
                continue;
            }
            let Some(Kind::Dir { names }) = self.nodes.get_mut(naming.dir) else {
                continue;
            };
            match naming.to {
                Some(id) => names.insert(naming.name.clone(), id),
                None => names.remove(&naming.name),
            };
        }
    }

    pub(super) fn build(mut self, into: &Path) -> io::Result<()> {
        let Some(Kind::Dir { names }) = self.nodes.first().cloned() else {
            return Ok(());
        };
        self.build_dir(&names, into)?;
        for files in self.external.values() {
            for (path, bytes) in *files {
                let path = into.join(path);
                // Its folder may not have survived.
                if path.parent().is_some_and(Path::is_dir) {
                    fs::write(path, bytes)?;
                }
            }
        }
        Ok(())
    }

    fn build_dir(&mut self, names: &BTreeMap<OsString, Id>, into: &Path) -> io::Result<()> {
        for (name, id) in names {
            let path = into.join(name);
            match self.nodes.get(*id).cloned() {
                None => {}
                Some(Kind::Dir { names }) => {
                    // A folder that was renamed to another one may still be in the first: a folder
                    // has one name.
                    if self.made.contains_key(id) {
                        continue;
                    }
                    self.made.insert(*id, path.clone());
                    fs::create_dir(&path)?;
                    self.build_dir(&names, &path)?;
                }
                Some(Kind::Link(target)) => std::os::unix::fs::symlink(target, &path)?,
                Some(Kind::File { bytes, modified }) => {
                    if let Some(first) = self.made.get(id) {
                        fs::hard_link(first, &path)?;
                        continue;
                    }
                    fs::write(&path, bytes)?;
                    if let Some(unix) = modified {
                        let distance = Duration::from_secs(unix.unsigned_abs());
                        let time = if unix < 0 {
                            UNIX_EPOCH.checked_sub(distance)
                        } else {
                            UNIX_EPOCH.checked_add(distance)
                        };
                        let file = fs::File::options().write(true).open(&path)?;
                        file.set_modified(time.unwrap_or(UNIX_EPOCH))?;
                    }
                    self.made.insert(*id, path);
                }
            }
        }
        Ok(())
    }
}

/// Writes into a file's bytes; what lies between reads as zeros.
fn put(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(written.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(start..end) {
        place.copy_from_slice(written);
    }
}
