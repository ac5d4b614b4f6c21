//! What lies on the disk: as programs see it, and as it would be after a power loss.
//!
//! A file's bytes are durable when it was synced since they were written; a name, when its folder
//! was. Renames follow the strictest reading of POSIX: each folder is on its own. `syncfs` makes
//! everything durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use super::wire::Attributes;
use crate::Random;

pub(super) const ROOT: u64 = 1;
const PAGE: usize = 4096;

/// A page as it is on the disk, where it differs.
type Undo = BTreeMap<usize, Vec<u8>>;

#[derive(Debug, Clone)]
pub(super) enum Content {
    File {
        bytes: Vec<u8>,
        durable_size: usize,
        undo: Undo,
        /// Whether it was cut since it was synced.
        cut: bool,
    },
    Folder {
        names: BTreeMap<OsString, Name>,
        durable: BTreeMap<OsString, Name>,
    },
    Link(PathBuf),
}

/// What a name in a folder stands for; `cookie` is its place in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) node: u64,
    pub(super) cookie: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    pub(super) modified: (u64, u32),
    durable_modified: (u64, u32),
    /// Its last name, for whoever asks what this is.
    pub(super) parent: u64,
    pub(super) name: OsString,
}

/// What a power loss leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Everything: only the process died.
    Nothing,
    /// Nothing of it.
    Everything,
    /// Each page of 4 KiB by chance, and by chance all names or none.
    Some {
        /// Of the chance.
        seed: u64,
    },
}

/// A whole file system in memory.
#[derive(Debug, Clone)]
pub struct Image {
    pub(super) nodes: BTreeMap<u64, Node>,
    next: u64,
}

pub(super) fn now() -> (u64, u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    (now.as_secs(), now.subsec_nanos())
}

impl Image {
    /// An empty folder that belongs to `owner`.
    pub fn new(owner: u32) -> Self {
        let mut this = Self {
            nodes: BTreeMap::new(),
            next: ROOT,
        };
        let folder = Content::Folder {
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
        };
        this.add(folder, 0o040_700, (owner, owner));
        this
    }

    /// A node that has no name yet.
    pub(super) fn add(&mut self, content: Content, mode: u32, owner: (u32, u32)) -> u64 {
        let number = self.next;
        self.next += 1;
        let node = Node {
            content,
            mode,
            uid: owner.0,
            gid: owner.1,
            links: 0,
            modified: now(),
            durable_modified: now(),
            parent: ROOT,
            name: OsString::new(),
        };
        self.nodes.insert(number, node);
        number
    }

    pub(super) fn file() -> Content {
        Content::File {
            bytes: Vec::new(),
            durable_size: 0,
            undo: Undo::new(),
            cut: false,
        }
    }

    pub(super) fn folder() -> Content {
        Content::Folder {
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
        }
    }

    pub(super) fn find(&self, folder: u64, name: &OsStr) -> Option<u64> {
        match &self.nodes.get(&folder)?.content {
            Content::Folder { names, .. } => names.get(name).map(|name| name.node),
            _ => None,
        }
    }

    /// Gives a node one more name; what had it before loses it.
    pub(super) fn bind(&mut self, folder: u64, name: &OsStr, number: u64) {
        self.unbind(folder, name);
        let cookie = self.next;
        self.next += 1;
        if let Some(node) = self.nodes.get_mut(&folder)
            && let Content::Folder { names, .. } = &mut node.content
        {
            let entry = Name {
                node: number,
                cookie,
            };
            names.insert(name.to_owned(), entry);
            node.modified = now();
        }
        if let Some(node) = self.nodes.get_mut(&number) {
            node.links += 1;
            node.parent = folder;
            name.clone_into(&mut node.name);
        }
    }

    pub(super) fn unbind(&mut self, folder: u64, name: &OsStr) -> Option<u64> {
        let node = self.nodes.get_mut(&folder)?;
        let Content::Folder { names, .. } = &mut node.content else {
            return None;
        };
        let number = names.remove(name)?.node;
        node.modified = now();
        if let Some(node) = self.nodes.get_mut(&number) {
            node.links = node.links.saturating_sub(1);
        }
        Some(number)
    }

    /// The last path of a node, from the root.
    pub(super) fn path(&self, mut number: u64) -> PathBuf {
        let mut names = Vec::new();
        while number != ROOT
            && let Some(node) = self.nodes.get(&number)
        {
            names.push(&node.name);
            number = node.parent;
        }
        names.into_iter().rev().collect()
    }

    pub(super) fn attributes(&self, number: u64) -> Option<Attributes> {
        let node = self.nodes.get(&number)?;
        let size = match &node.content {
            Content::File { bytes, .. } => bytes.len(),
            Content::Link(target) => target.as_os_str().len(),
            Content::Folder { .. } => PAGE,
        };
        let folder = matches!(node.content, Content::Folder { .. });
        Some(Attributes {
            node: number,
            size: size as u64,
            modified: node.modified,
            mode: node.mode,
            links: node.links.max(1) + u32::from(folder),
            uid: node.uid,
            gid: node.gid,
        })
    }

    /// Makes a file's bytes or a folder's names durable; of a file its time too unless `data_only`.
    pub(super) fn sync(&mut self, number: u64, data_only: bool) {
        let Some(node) = self.nodes.get_mut(&number) else {
            return;
        };
        match &mut node.content {
            Content::File {
                bytes,
                durable_size,
                undo,
                cut,
            } => {
                *durable_size = bytes.len();
                undo.clear();
                *cut = false;
            }
            Content::Folder { names, durable } => durable.clone_from(names),
            Content::Link(_) => {}
        }
        if !data_only {
            node.durable_modified = node.modified;
        }
    }

    /// `syncfs`.
    pub(super) fn sync_all(&mut self) {
        let numbers: Vec<u64> = self.nodes.keys().copied().collect();
        for number in numbers {
            self.sync(number, false);
        }
    }

    /// What is there after `loss`, all of it durable; nothing is left that has no name.
    #[must_use]
    pub fn after(mut self, loss: Loss) -> Self {
        let mut random = Random::new(match loss {
            Loss::Some { seed } => seed,
            _ => 0,
        });
        let keep_names =
            loss == Loss::Nothing || (loss != Loss::Everything && random.below(2) == 0);
        for node in self.nodes.values_mut() {
            node.lose(loss, keep_names, &mut random);
            node.links = 0;
        }
        self.count_links();
        if self.part_folders(&mut random) {
            self.count_links();
        }
        self.sync_all();
        if loss != Loss::Nothing {
            self.rename_boot();
        }
        self
    }

    /// A folder that was renamed to another one may be in both: a folder has one name, the old one or
    /// the new one. Says whether there was one.
    fn part_folders(&mut self, random: &mut Random) -> bool {
        let mut places: BTreeMap<u64, Vec<(u64, OsString)>> = BTreeMap::new();
        for (folder, node) in &self.nodes {
            let Content::Folder { names, .. } = &node.content else {
                continue;
            };
            for (name, entry) in names {
                let of = self.nodes.get(&entry.node);
                if of.is_some_and(|of| matches!(of.content, Content::Folder { .. })) {
                    let place = (*folder, name.clone());
                    places.entry(entry.node).or_default().push(place);
                }
            }
        }
        places.retain(|_, places| places.len() > 1);
        let any = !places.is_empty();
        for mut places in places.into_values() {
            places.swap_remove(random.below(places.len()));
            for (folder, name) in places {
                self.unbind(folder, &name);
            }
        }
        any
    }

    /// The server tells by the kernel's name of this boot whether the machine has been down. Here it
    /// only seems to have been: what the server noted is made another's.
    fn rename_boot(&mut self) {
        for node in self.nodes.values_mut().filter(|node| node.name == "run") {
            if let Content::File { bytes, .. } = &mut node.content {
                let name = bytes.iter_mut().take_while(|byte| **byte != b' ');
                name.for_each(|digit| *digit = b'x');
            }
        }
    }

    /// Removes what is not reached any more, and counts the names of what is.
    fn count_links(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        let mut links: BTreeMap<u64, (u32, u64, OsString)> = BTreeMap::new();
        while let Some(folder) = open.pop() {
            let Some(Content::Folder { names, .. }) = self.nodes.get(&folder).map(|n| &n.content)
            else {
                continue;
            };
            for (name, entry) in names {
                let link = links.entry(entry.node).or_insert((0, folder, name.clone()));
                link.0 += 1;
                if reached.insert(entry.node) {
                    open.push(entry.node);
                }
            }
        }
        self.nodes.retain(|number, _| reached.contains(number));
        for (number, (count, parent, name)) in links {
            if let Some(node) = self.nodes.get_mut(&number) {
                (node.links, node.parent, node.name) = (count, parent, name);
            }
        }
    }
}

impl Node {
    fn lose(&mut self, loss: Loss, keep_names: bool, random: &mut Random) {
        match &mut self.content {
            Content::Folder { names, durable } if !keep_names => names.clone_from(durable),
            Content::File {
                bytes,
                durable_size,
                undo,
                cut,
            } if loss != Loss::Nothing => {
                let partly = loss != Loss::Everything;
                // A file system cuts a file or does not; what follows the cut comes with it.
                if !(partly && *cut && random.below(2) == 0) {
                    let chance = partly && !*cut;
                    lose_pages(bytes, *durable_size, std::mem::take(undo), || {
                        chance && random.below(2) == 0
                    });
                }
                self.modified = self.durable_modified;
            }
            _ => {}
        }
    }

    /// Remembers what is on the disk of the pages that `range` touches.
    fn remember(bytes: &[u8], durable_size: usize, undo: &mut Undo, range: std::ops::Range<usize>) {
        let end = range.end.min(durable_size);
        for page in range.start / PAGE..end.div_ceil(PAGE) {
            let start = page * PAGE;
            let stop = (start + PAGE).min(durable_size);
            undo.entry(page).or_insert_with(|| {
                let there = bytes.get(start..stop.min(bytes.len()));
                let mut old = there.unwrap_or_default().to_vec();
                old.resize(stop - start, 0);
                old
            });
        }
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) -> bool {
        let Content::File {
            bytes,
            durable_size,
            undo,
            ..
        } = &mut self.content
        else {
            return false;
        };
        let range = offset..offset + data.len();
        Self::remember(bytes, *durable_size, undo, range.clone());
        bytes.resize(bytes.len().max(range.end), 0);
        bytes[range].copy_from_slice(data);
        self.modified = now();
        true
    }

    pub(super) fn resize(&mut self, size: usize) -> bool {
        let Content::File {
            bytes,
            durable_size,
            undo,
            cut,
        } = &mut self.content
        else {
            return false;
        };
        *cut |= size < bytes.len();
        let all = bytes.len().max(*durable_size);
        Self::remember(bytes, *durable_size, undo, size..all.max(size));
        bytes.resize(size, 0);
        self.modified = now();
        true
    }
}

/// Takes back what was not synced, page by page, except what `kept` keeps.
fn lose_pages(
    bytes: &mut Vec<u8>,
    durable_size: usize,
    undo: Undo,
    mut kept: impl FnMut() -> bool,
) {
    for (page, old) in undo {
        if !kept() {
            let start = page * PAGE;
            bytes.resize(bytes.len().max(start + old.len()), 0);
            bytes[start..start + old.len()].copy_from_slice(&old);
        }
    }
    if !kept() {
        bytes.resize(durable_size, 0);
        return;
    }
    for page in durable_size / PAGE..bytes.len().div_ceil(PAGE) {
        if !kept() {
            let start = (page * PAGE).max(durable_size);
            let end = ((page + 1) * PAGE).min(bytes.len());
            bytes[start..end].fill(0);
        }
    }
}
