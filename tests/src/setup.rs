//! What a server is started with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Facteur, server::give_away};

/// Listeners of a test server: name, protocol, TLS.
const LISTENERS: [(&str, &str, &str); 9] = [
    ("smtp", "smtp", "starttls"),
    ("submission", "submission", "starttls"),
    ("submissions", "submission", "implicit"),
    ("lmtp", "lmtp", "none"),
    ("imap", "imap", "starttls"),
    ("imaps", "imap", "implicit"),
    ("pop3", "pop3", "starttls"),
    ("pop3s", "pop3", "implicit"),
    ("managesieve", "managesieve", "starttls"),
];

/// What a server is started with: the domain `example.test`, its accounts, and configuration.
#[derive(Debug, Clone)]
pub struct Setup {
    pub(crate) domains: Vec<String>,
    pub(crate) accounts: Vec<(String, String)>,
    top: String,
    sections: String,
    listeners: bool,
    whole: Option<String>,
    pub(crate) data: Option<PathBuf>,
    format: Option<String>,
    storage: String,
    pub(crate) users_in_a_file: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// The domain `example.test` without accounts; every protocol on a port of its own; passwords
    /// may cross without TLS, as everything is on loopback.
    pub fn new() -> Self {
        Self {
            domains: vec!["example.test".to_owned()],
            accounts: Vec::new(),
            top: String::new(),
            sections: "[auth]\nplaintext_auth_on_loopback = true\nauth_failure_delay = \"0s\"\n"
                .to_owned(),
            listeners: true,
            whole: None,
            data: None,
            format: None,
            storage: String::new(),
            users_in_a_file: false,
        }
    }

    /// A whole configuration, as an operator writes it but for `data_directory` and `[log]`; no domain
    /// and no account of this set-up's own.
    pub fn whole(toml: &str) -> Self {
        Self {
            domains: Vec::new(),
            whole: Some(toml.to_owned()),
            ..Self::new()
        }
    }

    /// With alice and bob, whose passwords are `alice-password` and `bob-password`.
    #[must_use]
    pub fn with_alice_and_bob(self) -> Self {
        self.account("alice@example.test", "alice-password")
            .account("bob@example.test", "bob-password")
    }

    /// One more domain.
    #[must_use]
    pub fn domain(mut self, name: &str) -> Self {
        self.domains.push(name.to_owned());
        self
    }

    /// One more account.
    #[must_use]
    pub fn account(mut self, address: &str, password: &str) -> Self {
        self.accounts
            .push((address.to_owned(), password.to_owned()));
        self
    }

    /// With a directory that is there already, and nothing of this set-up's own in it. No answer is
    /// remembered, and an answer that does not come is not waited for long.
    #[must_use]
    pub fn directory(mut self, url: &str) -> Self {
        self.domains.clear();
        let url = serde_json::Value::from(url);
        self.sections(&format!(
            "[directory]\nurl = {url}\ntimeout = \"2s\"\ncache_ttl = \"0s\"\ncache_negative_ttl = \"0s\"\n"
        ))
    }

    /// Keys of the configuration's top level.
    #[must_use]
    pub fn top(mut self, toml: &str) -> Self {
        self.top.push_str(toml);
        self.top.push('\n');
        self
    }

    /// Sections of the configuration, in place of the `[auth]` that tests have.
    #[must_use]
    pub fn sections(mut self, toml: &str) -> Self {
        if toml.contains("[auth]") {
            self.sections.clear();
        }
        self.sections.push_str(toml);
        self.sections.push('\n');
        self
    }

    /// With its data in a folder that is there already, and stays when the server goes.
    #[must_use]
    pub fn data_in(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// With mail in this format (`sdbox`, `maildir`) instead of the one that is shipped.
    #[must_use]
    pub fn format(mut self, name: &str) -> Self {
        self.format = Some(name.to_owned());
        self
    }

    /// More keys of `[storage]`.
    #[must_use]
    pub fn storage(mut self, toml: &str) -> Self {
        self.storage.push_str(toml);
        self.storage.push('\n');
        self
    }

    /// With the accounts in a file instead of a database, and their passwords as they are: nothing is
    /// hashed at a login.
    #[must_use]
    pub fn with_users_in_a_file(mut self) -> Self {
        self.users_in_a_file = true;
        self
    }

    /// No listeners but those that [`Setup::sections`] brings.
    #[must_use]
    pub fn without_listeners(mut self) -> Self {
        self.listeners = false;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(self) -> Facteur {
        Facteur::start(&self, false)
    }

    /// Starts it as root, which it must give up. The tests must run as root.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_as_root(self) -> Facteur {
        Facteur::start(&self, true)
    }

    /// The configuration of a server whose data lie in `data`.
    pub(crate) fn configuration(&self, data: &Path) -> String {
        let mut storage = self.storage.clone();
        if let Some(format) = &self.format {
            let location = format!("{format}:{}/mail/%d/%n", data.display());
            let location = serde_json::Value::from(location);
            storage.push_str(&format!("mail_location = {location}\n"));
        }
        let data = serde_json::Value::from(data.to_string_lossy().as_ref());
        if let Some(whole) = &self.whole {
            return format!("data_directory = {data}\n{whole}\n[log]\nformat = \"json\"\n");
        }
        let mut text = format!(
            "myhostname = \"mail.example.test\"\ndata_directory = {data}\n{}\n[log]\nformat = \"json\"\nlevel = \"info\"\n\n{}",
            self.top, self.sections
        );
        if !storage.is_empty() {
            text.push_str(&format!("[storage]\n{storage}"));
        }
        if self.listeners {
            for (name, protocol, tls) in LISTENERS {
                text.push_str(&format!(
                    "\n[[listener]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:0\"\ntls = \"{tls}\"\n"
                ));
            }
        }
        text
    }

    pub(crate) fn write(&self, config: &Path, data: &Path) {
        let mut text = self.configuration(data);
        if self.users_in_a_file {
            let file = config.with_file_name("users");
            let users = self.accounts.iter();
            let users =
                users.map(|(address, password)| format!("{address}:{{PLAIN}}{password}::::::\n"));
            fs::write(&file, users.collect::<String>()).expect("the users are written");
            give_away(&file);
            let url = serde_json::Value::from(format!("passwd-file:{}", file.display()));
            let domains = serde_json::Value::from(self.domains.clone());
            text.push_str(&format!(
                "\n[directory]\nurl = {url}\npasswd_file_domains = {domains}\n"
            ));
        }
        fs::write(config, text).expect("the configuration is written");
    }
}
