use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsConnector;

use super::*;

fn source(host: &str) -> CertificateSource {
    self_signed(&[host.to_owned()]).unwrap()
}

fn client(
    trusted: &[&CertificateSource],
    versions: &[&'static SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for source in trusted {
        for der in CertificateDer::pem_slice_iter(&source.chain) {
            roots.add(der.unwrap()).unwrap();
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A handshake for `host`; what the server saw, and whether the client resumed a session.
async fn handshake(
    tls: &Tls,
    client: &TlsConnector,
    host: &str,
) -> io::Result<(TlsInfo, rustls::HandshakeKind)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let socket = TcpStream::connect(listener.local_addr()?).await?;
    let (accepted, _) = listener.accept().await?;
    let tls = tls.clone();
    let server = tokio::spawn(async move {
        let (mut stream, info) = tls.accept(accepted).await?;
        stream.write_all(b"x").await?;
        stream.shutdown().await?;
        Ok::<_, io::Error>(info)
    });
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut stream = client.connect(name, socket).await?;
    // Tickets come with the first data.
    stream.read_u8().await?;
    let kind = stream.get_ref().1.handshake_kind();
    Ok((server.await.map_err(io::Error::other)??, kind.unwrap()))
}

#[tokio::test]
async fn certificate_is_chosen_by_server_name() {
    let (one, two) = (source("one.example"), source("*.two.example"));
    let tls = Tls::new(&TlsOptions::default(), &[one.clone(), two.clone()]).unwrap();
    let both = client(&[&one, &two], &[&TLS13]);
    handshake(&tls, &both, "one.example").await.unwrap();
    let (info, _) = handshake(&tls, &both, "mail.two.example").await.unwrap();
    assert_eq!(info.version, "TLSv1.3");
    assert!(info.cipher.starts_with("TLS_"), "{}", info.cipher);
    assert_eq!(info.server_name.as_deref(), Some("mail.two.example"));
    // Another name gets the first certificate, which the client then refuses.
    assert!(handshake(&tls, &both, "three.example").await.is_err());
}

#[tokio::test]
async fn min_protocol_refuses_older_clients() {
    let one = source("one.example");
    let old = client(&[&one], &[&TLS12]);
    let mut options = TlsOptions::default();
    let tls = Tls::new(&options, std::slice::from_ref(&one)).unwrap();
    let (info, _) = handshake(&tls, &old, "one.example").await.unwrap();
    assert_eq!(info.version, "TLSv1.2");
    options.min_protocol = MinProtocol::Tls13;
    tls.reload(&options, std::slice::from_ref(&one)).unwrap();
    assert!(handshake(&tls, &old, "one.example").await.is_err());
}

#[tokio::test]
async fn second_connection_resumes_in_both_versions() {
    let one = source("one.example");
    let tls = Tls::new(&TlsOptions::default(), std::slice::from_ref(&one)).unwrap();
    for version in [&TLS12, &TLS13] {
        let client = client(&[&one], &[version]);
        let (_, first) = handshake(&tls, &client, "one.example").await.unwrap();
        let (_, second) = handshake(&tls, &client, "one.example").await.unwrap();
        assert_ne!(first, rustls::HandshakeKind::Resumed);
        assert_eq!(second, rustls::HandshakeKind::Resumed);
    }
}

#[tokio::test]
async fn reload_swaps_the_certificate_and_a_broken_one_changes_nothing() {
    let (old, new) = (source("one.example"), source("one.example"));
    let options = TlsOptions::default();
    let tls = Tls::new(&options, std::slice::from_ref(&old)).unwrap();
    let broken = CertificateSource {
        key: old.key.clone(),
        ..new.clone()
    };
    assert!(matches!(
        tls.reload(&options, &[broken]),
        Err(TlsError::Mismatch { .. })
    ));
    assert!(matches!(tls.reload(&options, &[]), Err(TlsError::None)));
    let trusts_old = client(&[&old], &[&TLS13]);
    handshake(&tls, &trusts_old, "one.example").await.unwrap();
    tls.reload(&options, std::slice::from_ref(&new)).unwrap();
    let trusts_new = client(&[&new], &[&TLS13]);
    handshake(&tls, &trusts_new, "one.example").await.unwrap();
}

#[test]
fn file_that_is_no_certificate_or_key_is_named_in_the_error() {
    let good = source("one.example");
    let empty = CertificateSource {
        label: "/etc/ssl/mail.pem".to_owned(),
        key_label: "/etc/ssl/mail.key".to_owned(),
        chain: Vec::new(),
        key: good.key.clone(),
    };
    let error = Tls::new(&TlsOptions::default(), &[empty]).unwrap_err();
    assert!(error.to_string().contains("/etc/ssl/mail.pem"), "{error}");
    for key in [&b"-----BEGIN"[..], b"", &source("one.example").key] {
        let unkeyed = CertificateSource {
            key: key.to_vec(),
            key_label: "/etc/ssl/mail.key".to_owned(),
            ..good.clone()
        };
        let error = Tls::new(&TlsOptions::default(), &[unkeyed]).unwrap_err();
        assert_eq!(error.label(), Some("/etc/ssl/mail.key"), "{error}");
    }
}
