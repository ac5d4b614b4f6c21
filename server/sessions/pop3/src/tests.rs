//! Dialogues over sockets, on a store of their own.

use std::{path::Path, sync::Arc, time::Duration};

use facteur_address::Domain;
use facteur_directory::{HomeTemplate, PasswdFile, PasswdFileOptions};
use facteur_login::Authenticator;
use facteur_model::{AccountId, AccountSpec, Flag, Flags, Guid, InternalDate, MailboxName};
use facteur_runtime::{
    Bridge, CertificateSource, Connection, Drain, ListenerSpec, Peer, Protocol, Service as _,
    Stream, Tls, TlsMode, TlsOptions, self_signed,
};
use facteur_store::{Append, Batch, QuotaCheck, Store};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::{Options, Pop3Service};

struct House {
    service: Arc<Pop3Service>,
    store: Store,
    home: std::path::PathBuf,
    token: CancellationToken,
    _folder: tempfile::TempDir,
}

impl House {
    fn new(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(facteur_store::Options {
            state: folder.path().join("state"),
            auto_folders: Vec::new(),
            staging_memory: 64 * 1024,
            ..facteur_store::Options::default()
        })
        .unwrap();
        let authenticator = authenticator(folder.path());
        let bridge = Bridge::new(2);
        let locks = crate::Locks::default();
        let service = Pop3Service::new(options, store.clone(), authenticator, bridge, locks);
        Self {
            service,
            store,
            home: folder.path().join("mail/example.org/user"),
            token: CancellationToken::new(),
            _folder: folder,
        }
    }

    fn spec(&self) -> AccountSpec {
        AccountSpec {
            id: AccountId::new("user@example.org"),
            home: self.home.clone(),
            format: facteur_model::MailFormat::Sdbox,
            quota: facteur_model::QuotaLimits::default(),
        }
    }

    fn deliver(&self, message: &[u8]) {
        let mut staging = self.store.stage();
        staging.write(message).unwrap();
        let append = Append {
            account: self.spec(),
            mailbox: MailboxName::inbox(),
            create: true,
            prefix: bytes::Bytes::new(),
            body: staging.finish().unwrap(),
            flags: Flags::EMPTY,
            keywords: Vec::new(),
            internal_date: InternalDate::from_unix(0),
            delivery: Guid::random().unwrap(),
            repeated: false,
            quota: QuotaCheck::Ignore,
        };
        let batch = Batch {
            appends: vec![append],
            ..Batch::default()
        };
        self.store.commit(batch).unwrap();
    }

    /// Flags of the messages in INBOX, by UID.
    fn inbox(&self) -> Vec<(u32, Flags)> {
        let account = self.store.account(&self.spec()).unwrap();
        let inbox = account.open(&MailboxName::inbox()).unwrap();
        let snapshot = inbox.snapshot();
        let states = snapshot.iter();
        states
            .map(|state| (state.uid.value(), state.flags))
            .collect()
    }

    async fn connect(&self, plaintext: bool) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut spec = ListenerSpec::new("test", Protocol::Pop3, "unix:/none", TlsMode::None);
        spec.plaintext_auth_on_loopback = plaintext;
        let drain = Drain::new(self.token.clone());
        let none: Option<Tls> = None;
        let connection = Connection::new(
            1,
            Stream::Unix(ours),
            Peer::Unix,
            Arc::new(spec),
            drain,
            none,
        );
        tokio::spawn(self.service.clone().serve(connection));
        let mut client = Client(BufReader::new(theirs));
        assert_eq!(client.line().await, "+OK Facteur ready");
        client
    }

    async fn logged_in(&self) -> Client {
        let mut client = self.connect(true).await;
        client.send("USER user@example.org").await;
        client.line().await;
        client.send("PASS secret").await;
        let answer = client.line().await;
        assert!(answer.starts_with("+OK Logged in"), "{answer}");
        client
    }
}

fn authenticator(folder: &Path) -> Authenticator {
    let path = folder.join("passwd");
    std::fs::write(&path, "user@example.org:{PLAIN}secret::::::\n").unwrap();
    let home = format!("sdbox:{}/mail/%d/%n", folder.display());
    let directory = PasswdFile::open(PasswdFileOptions {
        path,
        domains: vec![Domain::parse("example.org").unwrap()],
        default_domain: None,
        home: HomeTemplate::parse(&home).unwrap(),
        quota: facteur_directory::QuotaDefaults::default(),
    });
    let options = facteur_login::Options {
        auth_failure_delay: Duration::ZERO,
        ..facteur_login::Options::default()
    };
    Authenticator::new(Arc::new(directory.unwrap()), options)
}

struct Client(BufReader<UnixStream>);

impl Client {
    async fn send(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.strip_suffix("\r\n").unwrap_or(&line).to_owned()
    }

    async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.line().await
    }

    /// The body of a multi-line response, without the dot that ends it.
    async fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            assert_ne!(self.0.read_until(b'\n', &mut line).await.unwrap(), 0);
            if line == b".\r\n" {
                return body;
            }
            body.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    async fn ends(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

const FIRST: &[u8] = b"Subject: one\r\n\r\n.dot\r\nend\r\n";
const SECOND: &[u8] = b"Subject: two\r\n\r\nx\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_and_retrieved_byte_for_byte() {
    let house = House::new(Options::default());
    house.deliver(FIRST);
    house.deliver(SECOND);
    let mut client = house.logged_in().await;
    let octets = FIRST.len() + SECOND.len();
    assert_eq!(client.ask("STAT").await, format!("+OK 2 {octets}"));
    let unique_id = client.ask("UIDL 1").await;
    assert!(unique_id.starts_with("+OK 1 00000001"), "{unique_id}");
    assert_eq!(
        client.ask("RETR 1").await,
        format!("+OK {} octets", FIRST.len())
    );
    assert_eq!(client.body().await, FIRST);
    assert_eq!(client.ask("TOP 2 0").await, "+OK Top of message follows");
    assert_eq!(client.body().await, b"Subject: two\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn quit_removes_what_was_marked_and_marks_what_was_read() {
    let house = House::new(Options::default());
    for message in [FIRST, SECOND, FIRST] {
        house.deliver(message);
    }
    let mut client = house.logged_in().await;
    assert_eq!(client.ask("DELE 1").await, "+OK Marked to be deleted");
    client.ask("RETR 2").await;
    client.body().await;
    assert_eq!(house.inbox().len(), 3);
    assert_eq!(client.ask("QUIT").await, "+OK Bye");
    assert_eq!(client.ends().await, "");
    let seen = Flags::EMPTY.with(Flag::Seen);
    assert_eq!(house.inbox(), [(2, seen), (3, Flags::EMPTY)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_lost_before_quit_deletes_nothing() {
    let house = House::new(Options::default());
    house.deliver(FIRST);
    let mut client = house.logged_in().await;
    client.ask("DELE 1").await;
    client.0.get_mut().shutdown().await.unwrap();
    assert_eq!(client.ends().await, "");
    assert_eq!(house.inbox().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_session_finds_the_maildrop_in_use_until_the_first_ends() {
    let house = House::new(Options::default());
    let mut first = house.logged_in().await;
    let mut second = house.connect(true).await;
    second.ask("USER user@example.org").await;
    let answer = second.ask("PASS secret").await;
    assert_eq!(answer, "-ERR [IN-USE] Another session has the maildrop");
    assert_eq!(first.ask("QUIT").await, "+OK Bye");
    second.ask("USER user@example.org").await;
    let answer = second.ask("PASS secret").await;
    assert!(answer.starts_with("+OK Logged in"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sasl_logs_in_and_wrong_passwords_do_not() {
    let house = House::new(Options::default());
    let mut client = house.connect(true).await;
    assert_eq!(client.ask("AUTH CRAM-MD5").await, "-ERR Unknown mechanism");
    client.ask("USER user@example.org").await;
    let answer = client.ask("PASS wrong").await;
    assert_eq!(answer, "-ERR [AUTH] Authentication failed");
    assert_eq!(client.ask("AUTH PLAIN").await, "+ ");
    assert!(client.ask("*").await.starts_with("-ERR"));
    let response = facteur_wire::encode_base64(b"\0user@example.org\0secret");
    let answer = client.ask(&format!("AUTH PLAIN {response}")).await;
    assert!(answer.starts_with("+OK Logged in"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_in_clear_need_the_listeners_leave() {
    let house = House::new(Options::default());
    let mut client = house.connect(false).await;
    assert_eq!(client.ask("USER user").await, "-ERR Passwords need TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn message_of_many_pieces_is_whole_and_pipelined_answers_keep_their_order() {
    let house = House::new(Options::default());
    let mut long = b"Subject: long\r\n\r\n".to_vec();
    for number in 0..100_000 {
        long.extend_from_slice(format!(".{number} and some text\r\n").as_bytes());
    }
    house.deliver(&long);
    house.deliver(SECOND);
    let mut client = house.logged_in().await;
    client.send("RETR 1\r\nRETR 2\r\nTOP 1 1\r\nNOOP").await;
    assert_eq!(client.line().await, format!("+OK {} octets", long.len()));
    assert!(client.body().await == long);
    client.line().await;
    assert_eq!(client.body().await, SECOND);
    client.line().await;
    let top = b"Subject: long\r\n\r\n.0 and some text\r\n";
    assert_eq!(client.body().await, top);
    assert_eq!(client.line().await, "+OK Nothing done");
}

#[tokio::test(flavor = "multi_thread")]
async fn message_removed_by_another_session_is_an_error() {
    let house = House::new(Options::default());
    house.deliver(FIRST);
    let mut client = house.logged_in().await;
    let account = house.store.account(&house.spec()).unwrap();
    let inbox = account.open(&MailboxName::inbox()).unwrap();
    let all = inbox.snapshot().iter().map(|state| state.uid).collect();
    inbox.expunge(&all, true).unwrap();
    let answer = client.ask("RETR 1").await;
    assert_eq!(answer, "-ERR The message was removed in another session");
    assert_eq!(client.ask("QUIT").await, "+OK Bye");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_the_session_without_a_word_and_the_drain_with_one() {
    let house = House::new(Options {
        autologout: Duration::ZERO,
        ..Options::default()
    });
    house.deliver(FIRST);
    let client = house.logged_in().await;
    assert_eq!(client.ends().await, "");
    let client = house.connect(true).await;
    house.token.cancel();
    assert_eq!(
        client.ends().await,
        "-ERR [SYS/TEMP] Server is stopping\r\n"
    );
}

/// A client that trusts `certificate` and no other.
fn trusting(certificate: &CertificateSource) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(&certificate.chain) {
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

#[tokio::test(flavor = "multi_thread")]
async fn stls_drops_what_was_sent_in_clear_and_lets_passwords_cross() {
    let house = House::new(Options::default());
    house.deliver(FIRST);
    let certificate = self_signed(&["localhost".to_owned()]).unwrap();
    let tls = Tls::new(&TlsOptions::default(), std::slice::from_ref(&certificate)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    let (ours, peer) = listener.accept().await.unwrap();
    let spec = ListenerSpec::new("test", Protocol::Pop3, "", TlsMode::StartTls);
    let drain = Drain::new(house.token.clone());
    let stream = Stream::Tcp(ours);
    let connection = Connection::new(
        1,
        stream,
        Peer::Inet(peer),
        Arc::new(spec),
        drain,
        Some(tls),
    );
    tokio::spawn(house.service.clone().serve(connection));

    client.write_all(b"CAPA\r\nSTLS\r\nQUIT\r\n").await.unwrap();
    let mut clear = Vec::new();
    while !clear.ends_with(b"+OK Begin TLS negotiation\r\n") {
        clear.push(client.read_u8().await.unwrap());
    }
    let clear = String::from_utf8(clear).unwrap();
    assert!(
        clear.contains("STLS\r\n") && !clear.contains("USER\r\n"),
        "{clear}"
    );
    let name = ServerName::try_from("localhost").unwrap();
    let stream = trusting(&certificate).connect(name, client).await.unwrap();
    let mut client = BufReader::new(stream);
    let commands = b"CAPA\r\nUSER user@example.org\r\nPASS secret\r\nSTAT\r\nQUIT\r\n";
    client.write_all(commands).await.unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    assert!(
        answers.contains("USER\r\n") && !answers.contains("STLS\r\n"),
        "{answers}"
    );
    let stat = format!("+OK 1 {}\r\n+OK Bye\r\n", FIRST.len());
    assert!(answers.ends_with(&stat), "{answers}");
}
