//! Scripts in use: read from files, compiled once, and set aside when they misbehave.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{MAX_SCRIPT_SIZE, Script, ScriptError};

/// Most text of compiled scripts that is remembered, in bytes.
const MAX_COMPILED: u64 = 32 * 1024 * 1024;

/// Most scripts that are remembered as suspended.
const MAX_SUSPENDED: usize = 100_000;

/// The text of a script.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// For the log.
    pub(crate) name: Arc<str>,
    bytes: Arc<[u8]>,
    hash: [u8; 32],
}

impl Text {
    pub(crate) fn new(name: &str, bytes: Arc<[u8]>) -> Self {
        let hash = *blake3::hash(&bytes).as_bytes();
        let name = Arc::from(name);
        Self { name, bytes, hash }
    }
}

type Compiled = Result<Arc<Script>, ScriptError>;

/// All scripts.
pub(crate) struct Library {
    compiled: moka::sync::Cache<[u8; 32], Arc<(u32, Compiled)>>,
    files: Mutex<HashMap<PathBuf, (Stamp, Text)>>,
    suspended: Mutex<HashSet<[u8; 32]>>,
}

/// By what a changed file is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Library {
    pub(crate) fn new() -> Self {
        Self {
            compiled: moka::sync::Cache::builder()
                .max_capacity(MAX_COMPILED)
                .weigher(|_, entry: &Arc<(u32, Compiled)>| entry.0)
                .build(),
            files: Mutex::default(),
            suspended: Mutex::default(),
        }
    }

    /// The script compiled, from memory if it was seen before.
    pub(crate) fn compiled(&self, text: &Text) -> Compiled {
        let compile = || {
            // What a script of sieve-rs weighs: about ten times its text.
            let weight = u32::try_from(text.bytes.len() * 10 + 1024).unwrap_or(u32::MAX);
            Arc::new((weight, Script::compile(&text.bytes).map(Arc::new)))
        };
        self.compiled.get_with(text.hash, compile).1.clone()
    }

    /// Whether the script was suspended for this account, and not edited since.
    pub(crate) fn is_suspended(&self, account: &str, text: &Text) -> bool {
        lock(&self.suspended).contains(&case(account, text))
    }

    /// Suspends the script for this account until it is edited; says whether it was not before.
    pub(crate) fn suspend(&self, account: &str, text: &Text) -> bool {
        let mut suspended = lock(&self.suspended);
        if suspended.len() >= MAX_SUSPENDED {
            suspended.clear();
        }
        suspended.insert(case(account, text))
    }

    /// The scripts of a configured path: itself, or every `*.sieve` in it by name. What is not
    /// there is no script.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(crate) fn files(&self, path: &Path) -> io::Result<Vec<Text>> {
        let there = |result: io::Result<Vec<PathBuf>>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        };
        let paths = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => there(scripts_in(path))?,
            Ok(_) => vec![path.to_owned()],
            Err(error) => there(Err(error))?,
        };
        let texts = paths.iter().map(|path| self.file(path));
        Ok(texts
            .collect::<io::Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// One script's text; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn file(&self, path: &Path) -> io::Result<Option<Text>> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stamp = Stamp {
            modified: metadata.modified().ok(),
            len: metadata.len(),
        };
        if let Some((known, text)) = lock(&self.files).get(path)
            && *known == stamp
        {
            return Ok(Some(text.clone()));
        }
        if stamp.len > MAX_SCRIPT_SIZE as u64 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "script is too large",
            ));
        }
        let text = Text::new(&path.display().to_string(), fs::read(path)?.into());
        lock(&self.files).insert(path.to_owned(), (stamp, text.clone()));
        Ok(Some(text))
    }
}

fn case(account: &str, text: &Text) -> [u8; 32] {
    let mut case = blake3::Hasher::new();
    case.update(&text.hash).update(account.as_bytes());
    *case.finalize().as_bytes()
}

fn scripts_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "sieve")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(script: &str) -> Text {
        Text::new("test", script.as_bytes().into())
    }

    #[test]
    fn suspended_script_runs_again_once_edited() {
        let library = Library::new();
        let (old, new) = (text("keep;"), text("stop;"));
        assert!(library.suspend("a@b", &old));
        assert!(!library.suspend("a@b", &old));
        assert!(library.is_suspended("a@b", &old));
        assert!(!library.is_suspended("a@b", &new));
        assert!(!library.is_suspended("c@d", &old));
    }

    #[test]
    fn files_are_read_anew_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::new();
        let path = folder.path().join("a.sieve");
        assert!(library.files(&path).unwrap().is_empty());
        fs::write(&path, "keep;").unwrap();
        fs::write(folder.path().join("b.sieve"), "stop;").unwrap();
        fs::write(folder.path().join("c.txt"), "?").unwrap();
        let found = library.files(folder.path()).unwrap();
        let found: Vec<&[u8]> = found.iter().map(|text| &*text.bytes).collect();
        assert_eq!(found, [b"keep;", b"stop;"]);
        fs::write(&path, "discard;").unwrap();
        assert_eq!(&*library.files(&path).unwrap()[0].bytes, b"discard;");
    }
}
