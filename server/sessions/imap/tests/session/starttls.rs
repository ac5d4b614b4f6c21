use std::sync::Arc;

use facteur_runtime::{
    CertificateSource, Connection, Drain, ListenerSpec, Peer, Protocol, Stream, Tls, TlsMode,
    TlsOptions, self_signed,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::rig::{Client, Rig};

const HOST: &str = "mail.x.test";

async fn connect(rig: &Rig, certificate: &CertificateSource) -> Client {
    let tls = Tls::new(&TlsOptions::default(), std::slice::from_ref(certificate)).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(socket.local_addr().unwrap())
        .await
        .unwrap();
    let (theirs, peer) = socket.accept().await.unwrap();
    let listener = ListenerSpec::new("imap", Protocol::Imap, "test", TlsMode::StartTls);
    rig.serve(Connection::new(
        1,
        Stream::Tcp(theirs),
        Peer::Inet(peer),
        Arc::new(listener),
        Drain::new(rig.stop.clone()),
        Some(tls),
    ));
    rig.greeted(Box::new(ours)).await
}

async fn upgrade(client: &mut Client, certificate: &CertificateSource) {
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(&certificate.chain) {
        roots.add(der.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let plain = std::mem::replace(&mut client.stream, Box::new(tokio::io::duplex(1).0));
    let name = ServerName::try_from(HOST).unwrap();
    let secured = TlsConnector::from(Arc::new(config))
        .connect(name, plain)
        .await
        .unwrap();
    client.stream = Box::new(secured);
}

#[tokio::test]
async fn login_is_possible_once_tls_is_up() {
    let rig = Rig::new();
    let certificate = self_signed(&[HOST.to_owned()]).unwrap();
    let mut client = connect(&rig, &certificate).await;
    let before = client.ok("CAPABILITY").await.concat();
    assert!(
        before.contains(" STARTTLS") && before.contains(" LOGINDISABLED"),
        "{before}"
    );
    assert!(client.reply("STARTTLS").await.starts_with("OK"));
    upgrade(&mut client, &certificate).await;
    let after = client.ok("CAPABILITY").await.concat();
    assert!(
        !after.contains("STARTTLS") && after.contains(" AUTH=PLAIN"),
        "{after}"
    );
    assert!(client.reply("STARTTLS").await.starts_with("BAD"));
    client.ok("LOGIN alice@x.test secret").await;
    let large = vec![b'a'; 700_000];
    client.append("INBOX", "", &large).await;
    client.ok("SELECT INBOX").await;
    assert!(client.ok("FETCH 1 BODY.PEEK[]").await[0].len() > large.len());
}

#[tokio::test]
async fn plaintext_before_starttls_is_never_executed() {
    let rig = Rig::new();
    let certificate = self_signed(&[HOST.to_owned()]).unwrap();
    let mut client = connect(&rig, &certificate).await;
    client
        .send(b"a STARTTLS\r\nb NOOP\r\nc LOGIN alice@x.test secret\r\n")
        .await;
    assert!(client.response().await.starts_with("a OK"));
    upgrade(&mut client, &certificate).await;
    // Neither b nor c is answered before this.
    let responses = client.command("CAPABILITY").await;
    assert_eq!(responses.len(), 2, "{responses:?}");
    assert!(responses[0].contains("AUTH=PLAIN"), "{responses:?}");
}
