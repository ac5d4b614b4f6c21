//! The directory in a file: Dovecot's passwd-file.
//!
//! It knows accounts only; aliases and catch-alls are for the other sources.

mod parse;

use std::{fs, io, os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use facteur_address::{Address, Domain};

use self::parse::Contents;
pub use self::parse::LineError;
use crate::{
    AccountRecord, Answer, Directory, DomainKind, DomainRecord, HomeTemplate, QuotaDefaults,
    Unavailable,
};

/// How to open a [`PasswdFile`].
#[derive(Debug, Clone)]
pub struct PasswdFileOptions {
    /// The file.
    pub path: PathBuf,
    /// Domains of ours besides those the accounts are in.
    pub domains: Vec<Domain>,
    /// The domain of users without one.
    pub default_domain: Option<Domain>,
    /// Where mail lies, unless the file has a home.
    pub home: HomeTemplate,
    /// What accounts may hold, unless the file says otherwise.
    pub quota: QuotaDefaults,
}

/// A passwd-file; read again when it changes.
pub struct PasswdFile {
    options: PasswdFileOptions,
    loaded: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    stamp: Stamp,
    contents: Contents,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl PasswdFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read. Lines that cannot are in [`PasswdFile::errors`].
    pub fn open(options: PasswdFileOptions) -> io::Result<Self> {
        let loaded = load(&options)?;
        Ok(Self {
            options,
            loaded: ArcSwap::from_pointee(loaded),
        })
    }

    /// The lines that were left out.
    pub fn errors(&self) -> Vec<LineError> {
        self.loaded.load().contents.errors.clone()
    }

    /// What the file says now. A look at the file is a system call of a microsecond; reading it
    /// again happens only after a change.
    fn current(&self) -> Result<Arc<Loaded>, Unavailable> {
        let loaded = self.loaded.load_full();
        let failed = |error: io::Error| {
            let path = self.options.path.display();
            tracing::warn!(%path, %error, "passwd-file cannot be read");
            Unavailable(format!("{path}: {error}"))
        };
        let metadata = fs::metadata(&self.options.path).map_err(failed)?;
        if stamp(&metadata) == loaded.stamp {
            return Ok(loaded);
        }
        let loaded = Arc::new(load(&self.options).map_err(failed)?);
        self.loaded.store(Arc::clone(&loaded));
        Ok(loaded)
    }

    fn answer<'a, T: Send + 'a>(&self, find: impl FnOnce(&Contents) -> T) -> Answer<'a, T> {
        let answer = self.current().map(|loaded| find(&loaded.contents));
        Box::pin(async move { answer })
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    Stamp {
        inode: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

fn load(options: &PasswdFileOptions) -> io::Result<Loaded> {
    use io::Read as _;
    let mut file = fs::File::open(&options.path)?;
    // Before the contents: a change in between is seen next time.
    let stamp = stamp(&file.metadata()?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let contents = parse::parse(&String::from_utf8_lossy(&bytes), options);
    for error in &contents.errors {
        tracing::warn!(
            "{}:{}: {}; the line is left out",
            options.path.display(),
            error.line,
            error.message
        );
    }
    Ok(Loaded { stamp, contents })
}

impl Directory for PasswdFile {
    fn domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        self.answer(|contents| {
            contents.domains.get(domain).map(|name| DomainRecord {
                name: name.clone(),
                kind: DomainKind::Local,
            })
        })
    }

    fn alias_domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Domain>> {
        self.answer(|_| None)
    }

    fn account<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        self.answer(|contents| contents.accounts.get(&address.folded()).cloned())
    }

    fn alias<'a>(&'a self, _: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        self.answer(|_| None)
    }

    fn catch_all<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        self.answer(|_| None)
    }

    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        self.answer(|contents| contents.accounts.keys().cloned().collect())
    }

    fn record_usage<'a>(&'a self, _: &'a Address, _: u64, _: u64) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn forget(&self) {}
}

#[cfg(test)]
mod tests;
