//! Certificates and versions.

use std::path::Path;

use anyhow::Context as _;
use facteur_config::{
    Config,
    sections::{Certificate, MinProtocol as Oldest, Tls},
};
use facteur_runtime::{CertificateSource, MinProtocol, TlsError, TlsOptions, self_signed};

use super::{Paths, key::Key};
use crate::{files, source::Gathered};

/// How TLS is done.
pub(crate) fn options(config: &Config) -> TlsOptions {
    let Tls {
        // With the certificates.
        ssl_cert: _,
        ssl_key: _,
        ssl_min_protocol,
        ssl_handshake_timeout,
    } = &config.tls;
    TlsOptions {
        min_protocol: match ssl_min_protocol {
            Oldest::Tls12 => MinProtocol::Tls12,
            Oldest::Tls13 => MinProtocol::Tls13,
        },
        handshake_timeout: ssl_handshake_timeout.0,
    }
}

/// The certificates that are configured, or else one signed by itself, made when there is none yet.
pub(crate) fn certificates(gathered: &Gathered) -> anyhow::Result<Vec<CertificateSource>> {
    let config = &gathered.loaded.config;
    let Certificate {
        ssl_cert: _,
        ssl_key: _,
    } = Certificate::default();
    let files = certificate_files(config);
    if files.is_empty() {
        return self_signed_certificate(&Paths::new(config)).map(|one| vec![one]);
    }
    files
        .into_iter()
        .map(|[(chain_key, chain), (key_key, key)]| {
            let read = |path, key| gathered.file(path).context(Key::new(key));
            Ok(CertificateSource {
                label: chain.display().to_string(),
                key_label: key.display().to_string(),
                chain: read(chain, chain_key)?,
                key: read(key, key_key)?,
            })
        })
        .collect()
}

/// What is wrong with a certificate, with the key that names its file.
pub(crate) fn refused(config: &Config, error: TlsError) -> anyhow::Error {
    let label = error.label().unwrap_or_default();
    let mut files = certificate_files(config).into_iter().flatten();
    match files.find(|(_, path)| path.display().to_string() == label) {
        Some((key, _)) => anyhow::Error::from(error).context(Key::new(key)),
        None => error.into(),
    }
}

/// The files of each certificate: chain and private key, with the keys that name them.
pub(crate) fn certificate_files(config: &Config) -> Vec<[(String, &Path); 2]> {
    let own = usize::from(config.tls.ssl_cert.is_some());
    config
        .certificate_files()
        .into_iter()
        .enumerate()
        .map(|(n, (chain, key))| {
            let section = match n.checked_sub(own) {
                None => "tls".to_owned(),
                Some(n) => format!("certificate[{}]", n + 1),
            };
            [
                (format!("{section}.ssl_cert"), chain.as_path()),
                (format!("{section}.ssl_key"), key.as_path()),
            ]
        })
        .collect()
}

fn self_signed_certificate(paths: &Paths) -> anyhow::Result<CertificateSource> {
    let (chain, key) = (paths.self_signed_certificate(), paths.self_signed_key());
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let made = if chain.exists() && key.exists() {
        CertificateSource {
            label: chain.display().to_string(),
            key_label: key.display().to_string(),
            chain: read(&chain)?,
            key: read(&key)?,
        }
    } else {
        let hosts = [&paths.hostname, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made = self_signed(&hosts).context("cannot make a certificate")?;
        let write = |path: &Path, contents: &[u8]| {
            files::write_secret(path, contents)
                .with_context(|| format!("cannot write {}", path.display()))
        };
        // The key first: a certificate without its key would never be replaced.
        write(&key, &made.key)?;
        write(&chain, &made.chain)?;
        CertificateSource {
            label: chain.display().to_string(),
            key_label: key.display().to_string(),
            ..made
        }
    };
    tracing::warn!(
        certificate = %chain.display(),
        "no certificate is configured (tls.ssl_cert): using one signed by itself, which clients will not trust"
    );
    Ok(made)
}
