//! STARTTLS over a real socket.

use std::sync::Arc;

use facteur_runtime::{
    CertificateSource, Connection, Drain, ListenerSpec, Peer, Protocol, Service, Stream, Tls,
    TlsMode, TlsOptions, self_signed,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::World;

const HOST: &str = "mx.here.example";

fn connector(source: &CertificateSource) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(&source.chain) {
        roots.add(der.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Says a command and returns the reply, all of its lines.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut reply = String::new();
    loop {
        let start = reply.len();
        stream.read_line(&mut reply).await.unwrap();
        if reply.as_bytes().get(start + 3) != Some(&b'-') {
            return reply;
        }
    }
}

/// A client that has said EHLO and then `starttls`, and shaken hands.
async fn secured(world: &World, starttls: &str) -> BufReader<TlsStream<TcpStream>> {
    let source = self_signed(&[HOST.to_owned()]).unwrap();
    let tls = Tls::new(&TlsOptions::default(), std::slice::from_ref(&source)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, peer) = listener.accept().await.unwrap();
    let spec = ListenerSpec::new("test", Protocol::Submission, "none", TlsMode::StartTls);
    let connection = Connection::new(
        1,
        Stream::Tcp(accepted),
        Peer::Inet(peer),
        Arc::new(spec),
        Drain::new(world.token.clone()),
        Some(tls),
    );
    tokio::spawn(world.service().serve(connection));
    let mut clear = BufReader::new(socket);
    assert!(say(&mut clear, "").await.starts_with("220"));
    let capabilities = say(&mut clear, "EHLO c\r\n").await;
    assert!(capabilities.contains("250-STARTTLS\r\n") && !capabilities.contains("AUTH"));
    assert!(say(&mut clear, starttls).await.starts_with("220 2.0.0"));
    let name = ServerName::try_from(HOST).unwrap();
    let stream = connector(&source)
        .connect(name, clear.into_inner())
        .await
        .unwrap();
    BufReader::new(stream)
}

#[tokio::test]
async fn submission_over_tls_is_told_in_received() {
    let world = World::new();
    let mut client = secured(&world, "STARTTLS\r\n").await;
    assert!(
        say(&mut client, "MAIL FROM:<>\r\n")
            .await
            .starts_with("503")
    );
    let capabilities = say(&mut client, "EHLO c\r\n").await;
    assert!(
        capabilities.contains("250-AUTH PLAIN LOGIN\r\n") && !capabilities.contains("STARTTLS")
    );
    for (command, expected) in [
        ("AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ=\r\n", "235"),
        ("MAIL FROM:<alice@here.example>\r\n", "250"),
        ("RCPT TO:<bob@here.example>\r\n", "250"),
        ("DATA\r\n", "354"),
        ("Subject: s\r\n\r\nx\r\n.\r\n", "250"),
    ] {
        let reply = say(&mut client, command).await;
        assert!(reply.starts_with(expected), "{command}: {reply}");
    }
    let copy = world.messages("bob", "INBOX").remove(0);
    assert!(copy.contains("\t(using TLSv1.3 with cipher TLS_"), "{copy}");
    assert!(copy.contains("with ESMTPSA id "), "{copy}");
}

#[tokio::test]
async fn command_that_comes_with_starttls_is_dropped() {
    let world = World::new();
    // In one write: the server reads both before it answers.
    let mut client = secured(&world, "STARTTLS\r\nEHLO evil\r\n").await;
    assert!(
        say(&mut client, "MAIL FROM:<>\r\n")
            .await
            .starts_with("503 5.5.1 Say EHLO")
    );
}
