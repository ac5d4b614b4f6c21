//! Names that several parts need: the server's own, and where things lie below the data folder.

use std::{os::unix::fs::DirBuilderExt as _, path::PathBuf};

use anyhow::Context as _;
use facteur_config::{Config, sections::General};

/// The server's name and folders.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The server's name.
    pub(crate) hostname: String,
    /// Everything the server keeps.
    pub(crate) data: PathBuf,
}

impl Paths {
    pub(crate) fn new(config: &Config) -> Self {
        let General {
            myhostname,
            data_directory,
            postmaster_address: _,
            mynetworks: _,
            recipient_delimiter: _,
            message_size_limit: _,
        } = &config.general;
        let hostname = if myhostname.is_empty() {
            let system = rustix::system::uname();
            system.nodename().to_string_lossy().into_owned()
        } else {
            myhostname.clone()
        };
        Self {
            hostname,
            data: data_directory.clone(),
        }
    }

    /// The directory's database, unless another is configured.
    pub(crate) fn directory(&self) -> PathBuf {
        self.data.join("directory.db")
    }

    /// The quota count where the directory's tables may not be written.
    pub(crate) fn usage(&self) -> PathBuf {
        self.data.join("usage.db")
    }

    /// The store's own folder: spool, staging files.
    pub(crate) fn state(&self) -> PathBuf {
        self.data.join("state")
    }

    /// The template of mail homes, unless another is configured.
    pub(crate) fn mail_location(&self) -> String {
        // A % in the path is no variable.
        let data = self.data.to_string_lossy().replace('%', "%%");
        format!("sdbox:{data}/mail/%d/%n")
    }

    /// The certificate that is made when none is given.
    pub(crate) fn self_signed_certificate(&self) -> PathBuf {
        self.data.join("certificate.pem")
    }

    /// Its key.
    pub(crate) fn self_signed_key(&self) -> PathBuf {
        self.data.join("certificate.key")
    }

    /// Makes the data folder where it is missing.
    pub(crate) fn create(&self) -> anyhow::Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&self.data)
            .with_context(|| format!("cannot make the data folder {}", self.data.display()))
    }
}
