//! Dialogues over sockets, on a store of their own.

use std::{path::Path, sync::Arc, time::Duration};

use facteur_address::Domain;
use facteur_directory::{HomeTemplate, PasswdFile, PasswdFileOptions};
use facteur_login::Authenticator;
use facteur_runtime::{
    Bridge, Connection, Drain, ListenerSpec, Peer, Protocol, Service as _, Stream, Tls, TlsMode,
};
use facteur_store::Store;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};
use tokio_util::sync::CancellationToken;

use crate::{ManageSieveService, Options};

struct House {
    service: Arc<ManageSieveService>,
    token: CancellationToken,
    folder: tempfile::TempDir,
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
        Self {
            service: ManageSieveService::new(options, store, authenticator, bridge),
            token: CancellationToken::new(),
            folder,
        }
    }

    async fn connect(&self, plaintext: bool) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let address = "unix:/none";
        let mut spec = ListenerSpec::new("test", Protocol::ManageSieve, address, TlsMode::None);
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
        Client(BufReader::new(theirs))
    }

    async fn logged_in(&self) -> Client {
        let mut client = self.connect(true).await;
        client.response().await;
        let response = facteur_wire::encode_base64(b"\0user@example.org\0secret");
        let answer = client
            .ask(&format!("AUTHENTICATE \"PLAIN\" \"{response}\""))
            .await;
        assert_eq!(answer, ["OK \"Logged in\""]);
        client
    }

    fn sieve_folder(&self) -> Vec<String> {
        let home = self.folder.path().join("mail/example.org/user/sieve");
        let entries = std::fs::read_dir(home).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
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
    /// Lines up to the one that ends a response.
    async fn response(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "{lines:?}");
            let line = line.strip_suffix("\r\n").unwrap_or(&line).to_owned();
            let last = ["OK", "NO", "BYE"]
                .iter()
                .any(|word| line.starts_with(word));
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    async fn ask(&mut self, command: &str) -> Vec<String> {
        let command = format!("{command}\r\n");
        self.0
            .get_mut()
            .write_all(command.as_bytes())
            .await
            .unwrap();
        self.response().await
    }

    async fn put(&mut self, name: &str, script: &str) -> String {
        let command = format!("PUTSCRIPT \"{name}\" {{{}+}}\r\n{script}", script.len());
        self.ask(&command).await.concat()
    }

    async fn ends(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

const KEEP: &str = "keep;\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn script_is_put_activated_read_back_renamed_and_removed() {
    let house = House::new(Options::default());
    let mut client = house.logged_in().await;
    assert_eq!(client.put("one", KEEP).await, "OK");
    assert_eq!(client.put("two é", "discard;").await, "OK");
    assert_eq!(house.sieve_folder(), ["one.sieve", "two é.sieve"]);
    assert_eq!(client.ask("SETACTIVE \"one\"").await, ["OK"]);
    assert_eq!(
        client.ask("LISTSCRIPTS").await,
        ["\"one\" ACTIVE", "\"two é\"", "OK"]
    );
    assert_eq!(
        client.ask("GETSCRIPT \"one\"").await,
        ["{7}", "keep;", "", "OK"]
    );
    assert_eq!(client.ask("RENAMESCRIPT \"one\" \"three\"").await, ["OK"]);
    assert_eq!(
        client.ask("DELETESCRIPT \"three\"").await,
        ["NO (ACTIVE) \"The script is active\""]
    );
    assert_eq!(client.ask("SETACTIVE \"\"").await, ["OK"]);
    assert_eq!(client.ask("DELETESCRIPT \"three\"").await, ["OK"]);
    assert_eq!(client.ask("LISTSCRIPTS").await, ["\"two é\"", "OK"]);
    assert_eq!(client.ask("LOGOUT").await, ["OK \"Bye\""]);
    assert_eq!(client.ends().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn script_with_an_error_is_refused_with_its_line() {
    let house = House::new(Options::default());
    let mut client = house.logged_in().await;
    assert_eq!(client.put("a", KEEP).await, "OK");
    for script in [
        "keep;\r\nnonsense here;\r\n",
        "# comment\r\nrequire \"vnd.example.unknown\";\r\n",
    ] {
        let answer = client.put("a", script).await;
        assert!(
            answer.starts_with("NO ") && answer.contains("line 2"),
            "{answer}"
        );
        let check = format!("CHECKSCRIPT {{{}+}}\r\n{script}", script.len());
        let answer = client.ask(&check).await.concat();
        assert!(
            answer.starts_with("NO ") && answer.contains("line 2"),
            "{answer}"
        );
    }
    assert_eq!(client.ask("CHECKSCRIPT \"keep;\"").await, ["OK"]);
    // What was there is still there.
    assert_eq!(
        client.ask("GETSCRIPT \"a\"").await,
        ["{7}", "keep;", "", "OK"]
    );
    assert_eq!(house.sieve_folder(), ["a.sieve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_are_not_there_are_nonexistent() {
    let house = House::new(Options::default());
    let mut client = house.logged_in().await;
    for command in [
        "GETSCRIPT \"x\"",
        "SETACTIVE \"x\"",
        "DELETESCRIPT \"x\"",
        "RENAMESCRIPT \"x\" \"y\"",
    ] {
        let answer = client.ask(command).await;
        assert_eq!(
            answer,
            ["NO (NONEXISTENT) \"There is no such script\""],
            "{command}"
        );
    }
    client.put("x", KEEP).await;
    client.put("y", KEEP).await;
    assert_eq!(
        client.ask("RENAMESCRIPT \"x\" \"y\"").await,
        ["NO (ALREADYEXISTS) \"There is a script of that name\""]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_told_by_code() {
    let house = House::new(Options {
        max_script_size: 2000,
        max_scripts: 2,
        max_storage: 2500,
        ..Options::default()
    });
    let mut client = house.logged_in().await;
    let long = format!("#{}\r\nkeep;\r\n", "x".repeat(1490));
    assert_eq!(client.put("a", &long).await, "OK");
    for (command, code) in [
        ("HAVESPACE \"b\" 2001", "NO (QUOTA/MAXSIZE)"),
        ("HAVESPACE \"b\" 1500", "NO (QUOTA/MAXSIZE)"),
        ("HAVESPACE \"b\" 900", "OK"),
        ("HAVESPACE \"a\" 1900", "OK"),
    ] {
        let answer = client.ask(command).await.concat();
        assert!(answer.starts_with(code), "{command}: {answer}");
    }
    assert!(
        client
            .put("b", &long)
            .await
            .starts_with("NO (QUOTA/MAXSIZE)")
    );
    assert_eq!(client.put("b", KEEP).await, "OK");
    assert!(
        client
            .put("c", KEEP)
            .await
            .starts_with("NO (QUOTA/MAXSCRIPTS)")
    );
    let too_long = "x".repeat(2001);
    assert!(
        client
            .put("a", &too_long)
            .await
            .starts_with("NO (QUOTA/MAXSIZE)")
    );
    assert_eq!(client.ask("NOOP").await, ["OK \"Done\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn greeting_tells_what_scripts_may_require_and_passwords_may_not_cross() {
    let house = House::new(Options {
        max_redirects: Some(4),
        ..Options::default()
    });
    let mut client = house.connect(false).await;
    let greeting = client.response().await;
    assert!(greeting.contains(&"\"IMPLEMENTATION\" \"Facteur\"".to_owned()));
    assert!(greeting.contains(&"\"SASL\" \"\"".to_owned()));
    assert!(greeting.contains(&"\"MAXREDIRECTS\" \"4\"".to_owned()));
    assert!(greeting.contains(&"\"NOTIFY\" \"mailto\"".to_owned()));
    let sieve = greeting
        .iter()
        .find(|line| line.starts_with("\"SIEVE\" "))
        .unwrap();
    assert!(sieve.contains("fileinto") && sieve.contains("vacation"));
    let answer = client.ask("AUTHENTICATE \"PLAIN\" \"\"").await.concat();
    assert!(answer.starts_with("NO (ENCRYPT-NEEDED)"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_with_challenges_tells_the_owner() {
    let house = House::new(Options::default());
    let mut client = house.connect(true).await;
    client.response().await;
    let wrong = facteur_wire::encode_base64(b"\0user@example.org\0wrong");
    let answer = client
        .ask(&format!("AUTHENTICATE \"PLAIN\" \"{wrong}\""))
        .await;
    assert_eq!(answer, ["NO \"Authentication failed\""]);
    let name = facteur_wire::encode_base64(b"user@example.org");
    let password = facteur_wire::encode_base64(b"secret");
    let answer = client
        .ask(&format!(
            "AUTHENTICATE \"LOGIN\"\r\n\"{name}\"\r\n\"{password}\""
        ))
        .await;
    assert_eq!(answer.last().unwrap(), "OK \"Logged in\"");
    let capabilities = client.ask("CAPABILITY").await;
    assert!(capabilities.contains(&"\"OWNER\" \"user@example.org\"".to_owned()));
    assert_eq!(client.ask("UNAUTHENTICATE").await, ["OK"]);
    assert_eq!(client.ask("LISTSCRIPTS").await, ["NO \"Log in first\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_and_silence_end_the_session_with_bye() {
    let house = House::new(Options {
        autologout: Duration::ZERO,
        ..Options::default()
    });
    let client = house.logged_in().await;
    assert_eq!(client.ends().await, "BYE \"Idle\"\r\n");
    let mut client = house.connect(true).await;
    client.response().await;
    house.token.cancel();
    assert_eq!(
        client.ends().await,
        "BYE (TRYLATER) \"Server is stopping\"\r\n"
    );
}
