//! TLS: certificates by name, resumption, reload.
//!
//! The provider is aws-lc-rs, named explicitly, so that nothing depends on a process-wide default.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::TlsInfo;

/// Plaintext that may wait in a connection for the socket to take it.
const BUFFER_LIMIT: usize = 32 * 1024;

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinProtocol {
    /// TLS 1.2 (RFC 5246)
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446)
    Tls13,
}

/// How TLS is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// The oldest version that is spoken.
    pub min_protocol: MinProtocol,
    /// A handshake that takes longer is given up.
    pub handshake_timeout: Duration,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            min_protocol: MinProtocol::default(),
            handshake_timeout: Duration::from_secs(30),
        }
    }
}

/// A certificate chain and its key, as PEM.
#[derive(Clone)]
pub struct CertificateSource {
    /// Where the chain comes from, for messages.
    pub label: String,
    /// Where the key comes from.
    pub key_label: String,
    /// The chain, the server's own certificate first.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for CertificateSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateSource")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl TlsError {
    /// The file it is about, as its source names it.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Certificate { label, .. }
            | Self::Key { label, .. }
            | Self::Mismatch { label, .. } => Some(label),
            Self::None | Self::Setup(_) => None,
        }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file holds no certificate that can be read.
    #[error("{label}: cannot read the certificate: {reason}")]
    Certificate {
        /// Which file.
        label: String,
        /// Why.
        reason: String,
    },
    /// The file holds no key that can be read.
    #[error("{label}: cannot read the private key: {reason}")]
    Key {
        /// Which file.
        label: String,
        /// Why.
        reason: String,
    },
    /// The key is not the certificate's.
    #[error("{label}: the private key does not belong to the certificate {certificate}")]
    Mismatch {
        /// Which file.
        label: String,
        /// The certificate's.
        certificate: String,
    },
    /// No certificate was given.
    #[error("no certificate was given")]
    None,
    /// rustls refuses the options.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What STARTTLS and implicit TLS use. Clones share it, and a reload reaches all of them.
#[derive(Debug, Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ArcSwap<ServerConfig>,
    resolver: Arc<Resolver>,
    // Kept over reloads, so that sessions resume.
    ticketer: Arc<dyn ProducesTickets>,
    options: ArcSwap<TlsOptions>,
}

impl Tls {
    /// Sets TLS up. The first certificate serves clients that name no host, or one that no other
    /// certificate is for.
    ///
    /// # Errors
    /// When a certificate is of no use.
    pub fn new(options: &TlsOptions, certificates: &[CertificateSource]) -> Result<Self, TlsError> {
        let resolver = Arc::new(Resolver {
            certificates: ArcSwapOption::from_pointee(Certificates::load(certificates)?),
        });
        let ticketer = aws_lc_rs::Ticketer::new()?;
        let config = server_config(options, &resolver, &ticketer)?;
        Ok(Self {
            inner: Arc::new(Inner {
                config: ArcSwap::from(config),
                resolver,
                ticketer,
                options: ArcSwap::from_pointee(options.clone()),
            }),
        })
    }

    /// Uses other certificates and options for handshakes from now on.
    ///
    /// # Errors
    /// When one is of no use: everything stays as it was.
    pub fn reload(
        &self,
        options: &TlsOptions,
        certificates: &[CertificateSource],
    ) -> Result<(), TlsError> {
        let certificates = Certificates::load(certificates)?;
        let config = server_config(options, &self.inner.resolver, &self.inner.ticketer)?;
        self.inner
            .resolver
            .certificates
            .store(Some(Arc::new(certificates)));
        self.inner.config.store(config);
        self.inner.options.store(Arc::new(options.clone()));
        Ok(())
    }

    /// The server's side of a handshake.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, TlsInfo)> {
        let config = self.inner.config.load_full();
        let limit = self.inner.options.load().handshake_timeout;
        let handshake = TlsAcceptor::from(config).accept_with(stream, |connection| {
            connection.set_buffer_limit(Some(BUFFER_LIMIT));
        });
        let stream = tokio::time::timeout(limit, handshake).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")
        })??;
        let info = info(stream.get_ref().1);
        Ok((stream, info))
    }
}

fn info(connection: &rustls::ServerConnection) -> TlsInfo {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    let cipher = connection
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or("unknown");
    TlsInfo {
        version,
        // rustls says TLS13_… where everybody else says TLS_… (RFC 8446 §B.4).
        cipher: cipher.replacen("TLS13_", "TLS_", 1),
        server_name: connection.server_name().map(str::to_owned),
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

fn server_config(
    options: &TlsOptions,
    resolver: &Arc<Resolver>,
    ticketer: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    const NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];
    let versions = match options.min_protocol {
        MinProtocol::Tls12 => BOTH,
        MinProtocol::Tls13 => NEWEST,
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(resolver) as Arc<dyn ResolvesServerCert>);
    // Resumption lies with the client: nothing is kept here for sessions that never come back.
    config.ticketer = Arc::clone(ticketer);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Resolver {
    certificates: ArcSwapOption<Certificates>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load_full()?;
        Some(certificates.find(hello.server_name()))
    }
}

#[derive(Debug)]
struct Certificates {
    default: Arc<CertifiedKey>,
    /// By lower-case name, wildcards as `*.example.org`. The first certificate with a name has it.
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    fn load(sources: &[CertificateSource]) -> Result<Self, TlsError> {
        let mut default = None;
        let mut by_name = HashMap::new();
        for source in sources {
            let (key, names) = load_one(source)?;
            default.get_or_insert_with(|| Arc::clone(&key));
            for name in names {
                by_name.entry(name).or_insert_with(|| Arc::clone(&key));
            }
        }
        Ok(Self {
            default: default.ok_or(TlsError::None)?,
            by_name,
        })
    }

    fn find(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let found = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.by_name.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.by_name.get(&format!("*.{parent}"))
            })
        });
        Arc::clone(found.unwrap_or(&self.default))
    }
}

fn load_one(source: &CertificateSource) -> Result<(Arc<CertifiedKey>, Vec<String>), TlsError> {
    let bad_certificate = |reason: String| TlsError::Certificate {
        label: source.label.clone(),
        reason,
    };
    let label = || source.key_label.clone();
    let chain = CertificateDer::pem_slice_iter(&source.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_certificate(error.to_string()))?;
    let Some(own) = chain.first() else {
        return Err(bad_certificate("no CERTIFICATE block in it".to_owned()));
    };
    let names = inspect(own, &source.label).map_err(bad_certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&source.key).map_err(|error| TlsError::Key {
        label: label(),
        reason: match error {
            pem::Error::NoItemsFound => "no PRIVATE KEY block in it".to_owned(),
            error => error.to_string(),
        },
    })?;
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            label: label(),
            certificate: source.label.clone(),
        },
        other => TlsError::Key {
            label: label(),
            reason: other.to_string(),
        },
    })?;
    Ok((Arc::new(key), names))
}

/// The host names that a certificate is for. Warns when it is out of date.
fn inspect(der: &CertificateDer<'_>, label: &str) -> Result<Vec<String>, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_secs()).ok())
        .unwrap_or_default();
    let validity = certificate.validity();
    if validity.not_after.timestamp() < now {
        tracing::warn!(certificate = label, not_after = %validity.not_after, "certificate has expired");
    } else if validity.not_before.timestamp() > now {
        tracing::warn!(certificate = label, not_before = %validity.not_before, "certificate is not valid yet");
    }
    let mut names: Vec<String> = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .into_iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        // Certificates as old as the tutorials have their host in the common name only.
        names.extend(
            certificate
                .subject()
                .iter_common_name()
                .filter_map(|name| name.as_str().ok())
                .map(str::to_ascii_lowercase),
        );
    }
    Ok(names)
}

/// Makes a certificate that names `hosts` and is signed by its own key.
///
/// # Errors
/// When a name cannot stand in a certificate.
pub fn self_signed(hosts: &[String]) -> Result<CertificateSource, rcgen::Error> {
    let mut parameters = rcgen::CertificateParams::new(hosts.to_vec())?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(host) = hosts.first() {
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, host.as_str());
    }
    // Not an authority: clients that are told to trust it accept it as it is, and some refuse a
    // server that presents an authority's certificate.
    parameters.is_ca = rcgen::IsCa::ExplicitNoCa;
    parameters.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    parameters.not_before = now
        .checked_sub(Duration::from_secs(24 * 3600))
        .unwrap_or(now)
        .into();
    parameters.not_after = (now + Duration::from_secs(10 * 365 * 24 * 3600)).into();
    let key = rcgen::KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok(CertificateSource {
        label: "self-signed".to_owned(),
        key_label: "self-signed".to_owned(),
        chain: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
    })
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
