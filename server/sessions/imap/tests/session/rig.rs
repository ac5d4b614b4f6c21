//! A service with a store of its own, and clients that talk to it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use facteur_directory::{HomeTemplate, PasswdFile, PasswdFileOptions};
use facteur_login::Authenticator;
use facteur_model::{MailboxName, SpecialUse};
use facteur_runtime::{
    Bridge, Connection, Drain, ListenerSpec, Peer, Protocol, Service as _, Stream, TlsMode,
};
use facteur_session_imap::{ImapService, Options, Slots};
use facteur_store::{AutoFolder, Store};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    dir: tempfile::TempDir,
    service: Arc<ImapService>,
    pub(crate) stop: CancellationToken,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let passwd = dir.path().join("passwd");
        std::fs::write(
            &passwd,
            "alice@x.test:{PLAIN}secret::::::\n\
             bob@x.test:{PLAIN}secret::::::userdb_quota_rule=*:bytes=20000\n",
        )
        .unwrap();
        let home = format!("{}/mail/%d/%n", dir.path().display());
        let directory = PasswdFile::open(PasswdFileOptions {
            path: passwd,
            domains: Vec::new(),
            default_domain: None,
            home: HomeTemplate::parse(&home).unwrap(),
            quota: facteur_directory::QuotaDefaults::default(),
        })
        .unwrap();
        let login = facteur_login::Options {
            auth_failure_delay: Duration::ZERO,
            ..facteur_login::Options::default()
        };
        let store = open_store(dir.path().join("state"));
        let authenticator = Authenticator::new(Arc::new(directory), login);
        Self {
            service: ImapService::new(
                options,
                store,
                authenticator,
                Bridge::new(4),
                Slots::default(),
            ),
            dir,
            stop: CancellationToken::new(),
        }
    }

    /// The file of a message in alice's INBOX.
    pub(crate) fn file(&self, uid: u32) -> std::path::PathBuf {
        let home = self.dir.path().join("mail/x.test/alice");
        home.join(format!("mailboxes/INBOX/dbox-Mails/u.{uid}"))
    }

    /// A client that has read the greeting.
    pub(crate) async fn connect(&self) -> Client {
        self.connect_to(true).await
    }

    pub(crate) async fn connect_to(&self, plaintext_auth: bool) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut listener = ListenerSpec::new("imap", Protocol::Imap, "test", TlsMode::StartTls);
        listener.plaintext_auth_on_loopback = plaintext_auth;
        let connection = Connection::new(
            1,
            Stream::Unix(theirs),
            Peer::Unix,
            Arc::new(listener),
            Drain::new(self.stop.clone()),
            None,
        );
        self.serve(connection);
        self.greeted(Box::new(ours)).await
    }

    pub(crate) fn serve(&self, connection: Connection) {
        tokio::spawn(Arc::clone(&self.service).serve(connection));
    }

    pub(crate) async fn greeted(&self, stream: Box<dyn Duplex>) -> Client {
        let mut client = Client {
            stream,
            buffer: Vec::new(),
            tag: 0,
        };
        let greeting = client.response().await;
        assert!(
            greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "),
            "{greeting}"
        );
        client
    }

    /// Alice, logged in.
    pub(crate) async fn alice(&self) -> Client {
        self.user("alice").await
    }

    pub(crate) async fn user(&self, name: &str) -> Client {
        let mut client = self.connect().await;
        client.ok(&format!("LOGIN {name}@x.test secret")).await;
        client
    }

    /// Alice with INBOX selected, where there are so many messages `m1`, `m2`, ….
    pub(crate) async fn alice_with(&self, messages: usize) -> Client {
        let mut client = self.alice().await;
        for number in 1..=messages {
            let message =
                format!("Subject: m{number}\r\nFrom: a{number}@b.test\r\n\r\nbody {number}\r\n");
            client.append("INBOX", "", message.as_bytes()).await;
        }
        client.ok("SELECT INBOX").await;
        client
    }
}

fn open_store(state: PathBuf) -> Store {
    let folder = |name: &str, special_use| AutoFolder {
        name: MailboxName::parse(name).unwrap(),
        create: true,
        subscribe: true,
        special_use,
    };
    Store::open(facteur_store::Options {
        state,
        auto_folders: vec![
            folder("Trash", Some(SpecialUse::Trash)),
            folder("Spam", Some(SpecialUse::Junk)),
        ],
        staging_memory: 64 * 1024,
        ..facteur_store::Options::default()
    })
    .unwrap()
}

/// What a client talks through.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

pub(crate) struct Client {
    pub(crate) stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    tag: u32,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .expect("the server reads")
            .unwrap();
    }

    /// Sends the same again and again; returns how often until the server had enough.
    pub(crate) async fn send_until_closed(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < 10_000 && self.stream.write_all(bytes).await.is_ok() {
            sent += 1;
        }
        sent
    }

    /// One response with its literals, without the last CRLF. Octets are shown as Latin-1.
    pub(crate) async fn response(&mut self) -> String {
        self.try_response().await.expect("the connection is open")
    }

    /// The same; none when the connection has ended.
    pub(crate) async fn try_response(&mut self) -> Option<String> {
        loop {
            if let Some(end) = end_of_response(&self.buffer) {
                let response: Vec<u8> = self.buffer.drain(..end).collect();
                let text: String = response.iter().map(|b| char::from(*b)).collect();
                return Some(text.strip_suffix("\r\n").unwrap().to_owned());
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer));
            match read.await.expect("the server answers") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Sends a command; returns the responses, the tagged one last and without its tag.
    pub(crate) async fn command(&mut self, command: &str) -> Vec<String> {
        let tag = self.start(command).await;
        self.finish(&tag).await
    }

    /// Sends a command; returns its tag.
    pub(crate) async fn start(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.send(format!("{tag} {command}\r\n").as_bytes()).await;
        tag
    }

    pub(crate) async fn finish(&mut self, tag: &str) -> Vec<String> {
        let mut responses = Vec::new();
        loop {
            let response = self.response().await;
            if let Some(reply) = response.strip_prefix(&format!("{tag} ")) {
                responses.push(reply.to_owned());
                return responses;
            }
            responses.push(response);
        }
    }

    /// A command that must succeed; returns the untagged responses.
    pub(crate) async fn ok(&mut self, command: &str) -> Vec<String> {
        let mut responses = self.command(command).await;
        let reply = responses.pop().unwrap();
        assert!(reply.starts_with("OK"), "{command}: {reply}");
        responses
    }

    /// A command's tagged reply.
    pub(crate) async fn reply(&mut self, command: &str) -> String {
        self.command(command).await.pop().unwrap()
    }

    /// APPEND with `arguments` between mailbox and literal; returns the UID.
    pub(crate) async fn append(&mut self, mailbox: &str, arguments: &str, message: &[u8]) -> u32 {
        let reply = self.try_append(mailbox, arguments, message).await;
        let code = reply.strip_prefix("OK [APPENDUID ").expect(&reply);
        let uid = code.split([' ', ']']).nth(1).unwrap();
        uid.parse().unwrap()
    }

    pub(crate) async fn try_append(
        &mut self,
        mailbox: &str,
        arguments: &str,
        message: &[u8],
    ) -> String {
        let separator = if arguments.is_empty() { "" } else { " " };
        let size = message.len();
        let tag = self
            .start(&format!(
                "APPEND {mailbox}{separator}{arguments} {{{size}+}}"
            ))
            .await;
        self.send(message).await;
        self.send(b"\r\n").await;
        self.finish(&tag).await.pop().unwrap()
    }

    pub(crate) async fn begin_idle(&mut self) -> String {
        let tag = self.start("IDLE").await;
        assert_eq!(self.response().await, "+ idling");
        tag
    }
}

/// Where the first response ends, its literals included.
fn end_of_response(buffer: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = buffer.get(at..)?;
        let end = line.windows(2).position(|two| two == b"\r\n")?;
        at += end + 2;
        let line = &line[..end];
        let Some(open) = line
            .strip_suffix(b"}")
            .and_then(|l| l.iter().rposition(|b| *b == b'{'))
        else {
            return Some(at);
        };
        let digits = std::str::from_utf8(&line[open + 1..line.len() - 1]).unwrap();
        at += digits.parse::<usize>().unwrap();
    }
}
