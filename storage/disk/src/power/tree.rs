//! Names below the recorded root: as they were at first, and as they are now.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

/// A file, folder or link, whatever its names.
pub(crate) type Id = usize;

/// What a node is, and what it held when recording began.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    File {
        bytes: Vec<u8>,
        modified: Option<i64>,
    },
    Dir {
        names: BTreeMap<OsString, Id>,
    },
    Link(PathBuf),
}

impl Kind {
    pub(crate) fn file() -> Self {
        Self::File {
            bytes: Vec::new(),
            modified: None,
        }
    }

    pub(crate) fn dir() -> Self {
        Self::Dir {
            names: BTreeMap::new(),
        }
    }
}

/// All nodes, by their id, and the names they have now. The root is the first.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) first: Vec<Kind>,
    now: Vec<BTreeMap<OsString, Id>>,
}

impl Tree {
    /// The tree at `root`, without the files that are `external`.
    pub(crate) fn read(root: &Path, external: fn(&Path) -> bool) -> io::Result<Self> {
        let mut tree = Self {
            first: Vec::new(),
            now: Vec::new(),
        };
        tree.add(Kind::dir());
        let mut known = BTreeMap::new();
        let mut left = vec![(0, root.to_owned())];
        while let Some((dir, path)) = left.pop() {
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let (path, found) = (entry.path(), entry.metadata()?);
                if found.is_file() && external(&path) {
                    continue;
                }
                let identity = (found.dev(), found.ino());
                let id = match known.get(&identity) {
                    Some(id) => *id,
                    None => {
                        let id = tree.add(Self::read_node(&path, &found)?);
                        known.insert(identity, id);
                        id
                    }
                };
                tree.set(dir, &entry.file_name(), Some(id));
                if let Some(Kind::Dir { names }) = tree.first.get_mut(dir) {
                    names.insert(entry.file_name(), id);
                }
                if found.is_dir() {
                    left.push((id, path));
                }
            }
        }
        Ok(tree)
    }

    fn read_node(path: &Path, found: &fs::Metadata) -> io::Result<Kind> {
        Ok(if found.is_dir() {
            Kind::dir()
        } else if found.is_symlink() {
            Kind::Link(fs::read_link(path)?)
        } else if found.is_file() {
            Kind::File {
                bytes: fs::read(path)?,
                modified: Some(found.mtime()),
            }
        } else {
            Kind::file()
        })
    }

    /// A new node without a name.
    pub(crate) fn add(&mut self, kind: Kind) -> Id {
        self.first.push(kind);
        self.now.push(BTreeMap::new());
        self.first.len() - 1
    }

    fn is_dir(&self, id: Id) -> bool {
        matches!(self.first.get(id), Some(Kind::Dir { .. }))
    }

    pub(crate) fn set(&mut self, dir: Id, name: &OsStr, to: Option<Id>) {
        let Some(names) = self.now.get_mut(dir) else {
            return;
        };
        match to {
            Some(id) => names.insert(name.to_owned(), id),
            None => names.remove(name),
        };
    }

    /// What is at `path` (seen from the root); a link is not followed.
    pub(crate) fn find(&self, path: &Path) -> Option<Id> {
        let mut at = 0;
        for component in path.components() {
            let Component::Normal(name) = component else {
                return None;
            };
            at = *self.now.get(at)?.get(name)?;
        }
        Some(at)
    }

    /// As [`Tree::find`], and a link to a neighbour or deeper is followed.
    pub(crate) fn find_file(&self, path: &Path) -> Option<Id> {
        let mut path = path.to_owned();
        for _ in 0..8 {
            let id = self.find(&path)?;
            let Some(Kind::Link(target)) = self.first.get(id) else {
                return Some(id);
            };
            path = path.parent()?.join(target);
        }
        None
    }

    /// The folder and name of `path`, if that folder is known.
    pub(crate) fn place(&self, path: &Path) -> Option<(Id, OsString)> {
        let dir = self.find(path.parent()?)?;
        let name = path.file_name()?;
        self.is_dir(dir).then(|| (dir, name.to_owned()))
    }

    /// Every path below `path`, deepest first.
    pub(crate) fn below(&self, path: &Path) -> Vec<PathBuf> {
        let Some(id) = self.find(path).filter(|id| self.is_dir(*id)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for name in self.now.get(id).into_iter().flat_map(BTreeMap::keys) {
            let inner = path.join(name);
            found.extend(self.below(&inner));
            found.push(inner);
        }
        found
    }
}
