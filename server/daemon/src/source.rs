//! Where configuration, sockets and certificates come from: opened here, or by the privileged
//! parent.

use std::{
    collections::HashMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use facteur_config::{Config, Loaded};
use facteur_runtime::{Item, Kind, ListenSocket, ParentLink};

/// Where everything comes from. Clones are the same source.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Opened by this process.
    Direct(PathBuf),
    /// Handed over by the parent.
    Parent(Arc<ParentLink>),
}

/// What a source gives.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The configuration, sound.
    pub(crate) loaded: Loaded,
    /// Sockets that are open already, by their key.
    pub(crate) sockets: HashMap<String, ListenSocket>,
    /// Contents of certificates and keys that this process may not be able to read.
    pub(crate) files: HashMap<PathBuf, Vec<u8>>,
}

impl Source {
    /// Reads everything anew. Blocks.
    pub(crate) fn gather(&self) -> anyhow::Result<Gathered> {
        match self {
            Self::Direct(file) => Ok(Gathered {
                loaded: crate::cli::load(file)?,
                sockets: HashMap::new(),
                files: HashMap::new(),
            }),
            Self::Parent(link) => from_items(link.reload().map_err(|message| anyhow!(message))?),
        }
    }

    /// Tells whoever started the server that it is ready.
    pub(crate) fn ready(&self) {
        let told = match self {
            Self::Direct(_) => facteur_runtime::notify_ready(),
            Self::Parent(link) => link.ready(),
        };
        if let Err(error) = told {
            tracing::warn!(%error, "cannot say that the server is ready");
        }
    }
}

impl Source {
    /// Tells whoever started the server that it stops.
    pub(crate) fn stopping(&self) {
        let told = match self {
            Self::Direct(_) => facteur_runtime::notify_stopping(),
            Self::Parent(link) => link.stopping(),
        };
        if let Err(error) = told {
            tracing::warn!(%error, "cannot say that the server stops");
        }
    }
}

fn from_items(items: Vec<Item>) -> anyhow::Result<Gathered> {
    let mut loaded = None;
    let mut sockets = HashMap::new();
    let mut files = HashMap::new();
    for item in items {
        match item.kind {
            Kind::Configuration => {
                let mut text = String::new();
                File::from(item.fd)
                    .read_to_string(&mut text)
                    .context("cannot read the configuration from the parent")?;
                loaded = Some(Config::parse(Path::new(&item.name), &text)?);
            }
            Kind::Listener => {
                sockets.insert(item.name, ListenSocket::from_fd(item.fd));
            }
            Kind::File => {
                let mut contents = Vec::new();
                File::from(item.fd)
                    .read_to_end(&mut contents)
                    .with_context(|| format!("cannot read {}", item.name))?;
                files.insert(PathBuf::from(item.name), contents);
            }
        }
    }
    Ok(Gathered {
        loaded: loaded.context("the parent gave no configuration")?,
        sockets,
        files,
    })
}

impl Gathered {
    /// The contents of a certificate or key.
    pub(crate) fn file(&self, path: &Path) -> anyhow::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(contents) => Ok(contents.clone()),
            None => std::fs::read(path).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}
