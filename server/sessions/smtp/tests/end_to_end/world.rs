//! A server without a network.

use std::{collections::HashMap, io::Read as _, sync::Arc};

use facteur_address::{Address, Domain};
use facteur_delivery::Deliverer;
use facteur_directory::{
    AccountRecord, Answer, Directory, DomainKind, DomainRecord, QuotaLimits, Unavailable,
};
use facteur_intake::{Intake, Parts, Router};
use facteur_login::Authenticator;
use facteur_model::{AccountId, AccountSpec, MailboxName};
use facteur_runtime::{
    Bridge, Connection, Drain, ListenerSpec, Peer, Protocol, Service, Stream, TlsMode,
};
use facteur_session_smtp::{Options, SmtpService};
use facteur_spool::Entry;
use facteur_store::Store;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// The accounts `alice`, `bob`, `carol` and `full` (no room) at `here.example`, the alias `sales`
/// for alice and carol, the relay domain `backup.example`.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) token: CancellationToken,
    pub(crate) options: Options,
    pub(crate) intake: facteur_intake::Options,
    pub(crate) postmaster: Option<Address>,
    directory: Arc<Memory>,
    bridge: Bridge,
}

#[derive(Default)]
struct Memory {
    accounts: HashMap<Address, Arc<AccountRecord>>,
    down: std::sync::atomic::AtomicBool,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut directory = Memory::default();
        for name in ["alice", "bob", "carol", "full"] {
            let bytes = (name == "full").then_some(10);
            directory.add(
                name,
                &dir,
                QuotaLimits {
                    bytes,
                    ..facteur_directory::QuotaLimits::default()
                },
            );
        }
        let store = Store::open(facteur_store::Options {
            state: dir.path().join("state"),
            auto_folders: Vec::new(),
            staging_memory: 64 * 1024,
            ..facteur_store::Options::default()
        });
        let hostname = Domain::parse("mx.here.example").unwrap();
        Self {
            store: store.unwrap(),
            token: CancellationToken::new(),
            options: Options::new("mx.here.example"),
            intake: facteur_intake::Options::new(hostname),
            postmaster: None,
            directory: Arc::new(directory),
            bridge: Bridge::new(2),
            dir,
        }
    }

    pub(crate) fn directory_goes_down(&self) {
        self.directory
            .down
            .store(true, std::sync::atomic::Ordering::SeqCst);
    }

    pub(crate) fn service(&self) -> Arc<SmtpService> {
        let directory: Arc<dyn Directory> = Arc::clone(&self.directory) as Arc<dyn Directory>;
        let login = facteur_login::Options::default();
        let authenticator = Authenticator::new(Arc::clone(&directory), login);
        let parts = Parts {
            router: Router::new(directory, "+")
                .with_postmaster(self.intake.hostname.clone(), self.postmaster.clone()),
            authenticator: authenticator.clone(),
            store: self.store.clone(),
            deliverer: Deliverer::new(self.store.clone(), facteur_delivery::Options::default()),
            bridge: self.bridge.clone(),
        };
        let intake = Intake::new(self.intake.clone(), parts);
        SmtpService::new(self.options.clone(), intake, authenticator)
    }

    /// A client at 192.0.2.1, far from `mynetworks`.
    pub(crate) async fn connect(&self, protocol: Protocol) -> Client {
        self.connect_from(protocol, "192.0.2.1:4242").await
    }

    pub(crate) async fn connect_from(&self, protocol: Protocol, peer: &str) -> Client {
        let mut spec = ListenerSpec::new("test", protocol, "unix:/none", TlsMode::None);
        spec.plaintext_auth_on_loopback = true;
        let (ours, theirs) = UnixStream::pair().unwrap();
        let connection = Connection::new(
            1,
            Stream::Unix(ours),
            Peer::Inet(peer.parse().unwrap()),
            Arc::new(spec),
            Drain::new(self.token.clone()),
            None,
        );
        let task = tokio::spawn(self.service().serve(connection));
        let mut client = Client {
            stream: theirs,
            task,
        };
        assert!(client.reply().await.starts_with("220 mx.here.example "));
        client
    }

    fn account(&self, name: &str) -> facteur_store::Account {
        let address = format!("{name}@here.example");
        let spec = AccountSpec {
            id: AccountId::new(&address),
            home: self.dir.path().join(&address),
            format: facteur_model::MailFormat::Sdbox,
            quota: facteur_model::QuotaLimits::default(),
        };
        self.store.account(&spec).unwrap()
    }

    /// Gives an account an active script.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let account = self.account(name);
        account.put_script("test", text.as_bytes()).unwrap();
        account.set_active_script(Some("test")).unwrap();
    }

    /// The messages in an account's mailbox, as files hold them.
    pub(crate) fn messages(&self, name: &str, mailbox: &str) -> Vec<String> {
        let account = self.account(name);
        let mailbox = account.open(&MailboxName::parse(mailbox).unwrap()).unwrap();
        let snapshot = mailbox.snapshot();
        let text = |uid| {
            let reader = mailbox.read(uid).unwrap();
            let mut text = vec![0; usize::try_from(reader.size()).unwrap()];
            reader.read_exact_at(&mut text, 0).unwrap();
            String::from_utf8(text).unwrap()
        };
        snapshot.iter().map(|message| text(message.uid)).collect()
    }

    /// What waits in the spool, with the bodies.
    pub(crate) fn spooled(&self) -> Vec<(Entry, String)> {
        let spool = self.store.spool();
        spool
            .entries()
            .map(|entry| {
                let mut body = String::new();
                spool
                    .body(&entry.queue_id)
                    .unwrap()
                    .read_to_string(&mut body)
                    .unwrap();
                (entry, body)
            })
            .collect()
    }
}

impl Memory {
    fn add(&mut self, name: &str, dir: &tempfile::TempDir, quota: QuotaLimits) {
        let address = Address::parse(&format!("{name}@here.example")).unwrap();
        let record = AccountRecord {
            home: dir.path().join(address.to_string()),
            format: facteur_model::MailFormat::Sdbox,
            address: address.clone(),
            password: Some("{PLAIN}secret".to_owned()),
            quota,
        };
        self.accounts.insert(address, Arc::new(record));
    }

    fn say<'a, T: Send + 'a>(&self, value: Option<T>) -> Answer<'a, Option<T>> {
        let down = self.down.load(std::sync::atomic::Ordering::SeqCst);
        let answer = if down {
            Err(Unavailable("down".into()))
        } else {
            Ok(value)
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Directory for Memory {
    fn domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        let kind = match domain.as_str() {
            "here.example" => Some(DomainKind::Local),
            "backup.example" => Some(DomainKind::Relay),
            _ => None,
        };
        let name = domain.clone();
        self.say(kind.map(|kind| DomainRecord { name, kind }))
    }
    fn alias_domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Domain>> {
        self.say(None)
    }
    fn account<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        self.say(self.accounts.get(address).cloned())
    }
    fn alias<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        let sales = address.to_string() == "sales@here.example";
        let to = ["alice@here.example", "carol@here.example"].map(str::to_owned);
        self.say(sales.then(|| to.to_vec()))
    }
    fn catch_all<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        self.say(None)
    }
    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn record_usage<'a>(&'a self, _: &'a Address, _: u64, _: u64) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn forget(&self) {}
}

pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    pub(crate) task: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next reply, its lines joined by LF.
    pub(crate) async fn reply(&mut self) -> String {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                match self.stream.read_u8().await {
                    Ok(byte) => line.push(byte),
                    Err(_) => return lines.join("\n"),
                }
            }
            let line = String::from_utf8(line).unwrap().trim_end().to_owned();
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines.join("\n");
            }
        }
    }

    /// Says one command and expects a reply that begins with `expected`.
    pub(crate) async fn say(&mut self, command: &str, expected: &str) -> String {
        self.send(&format!("{command}\r\n")).await;
        let reply = self.reply().await;
        assert!(reply.starts_with(expected), "{command}: {reply}");
        reply
    }

    pub(crate) async fn begin(&mut self, from: &str, to: &[&str]) {
        self.say("EHLO client.example", "250").await;
        self.say(&format!("MAIL FROM:<{from}>"), "250 2.1.0").await;
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250 2.1.5").await;
        }
    }

    /// Sends a message in the transaction that was begun.
    pub(crate) async fn data(&mut self, message: &str, expected: &str) -> String {
        self.say("DATA", "354").await;
        self.say(&format!("{message}\r\n."), expected).await
    }

    /// The server has closed.
    pub(crate) async fn end(mut self) {
        assert_eq!(self.reply().await, "");
        self.task.await.unwrap();
    }
}
