//! From the file's text to a [`Config`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use crate::{
    Problem, Problems, Section, check, reference,
    section::nearest,
    sections::{Certificate, Listener, Mailbox, Namespace},
};

macro_rules! config {
    (
        sections { $($path:literal $field:ident: $section:ident,)+ }
    ) => {
        /// The whole configuration.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $(
                #[doc = concat!("`[", $path, "]`")]
                pub $field: crate::sections::$section,
            )+
            /// `[[listener]]`
            pub listeners: Vec<Listener>,
            /// `[[certificate]]`
            pub certificates: Vec<Certificate>,
            /// `[[namespace]]`
            pub namespaces: Vec<Namespace>,
            /// `[mailbox.NAME]`, in the order of the file.
            pub mailboxes: Vec<(String, Mailbox)>,
        }

        impl Config {
            fn empty() -> Self {
                Self {
                    $($field: crate::sections::$section::default(),)+
                    listeners: Vec::new(),
                    certificates: Vec::new(),
                    namespaces: Vec::new(),
                    mailboxes: Vec::new(),
                }
            }

            /// Sets a key of a plain section; `None` when it has no such key.
            fn set(
                &mut self,
                section: &str,
                key: &str,
                value: &DeValue<'_>,
            ) -> Option<Result<(), String>> {
                match section {
                    $($path => self.$field.set(key, value),)+
                    _ => None,
                }
            }

            /// Calls `visit` with path, documentation, keys and values of each plain section.
            pub(crate) fn visit_sections(&self, visit: &mut reference::Visitor<'_>) {
                $(visit($path, crate::sections::$section::DOC, &crate::sections::$section::keys(), &self.$field.values());)+
            }
        }

        /// The path of every plain section, the top level's first and empty.
        pub(crate) const SECTIONS: &[&str] = &[$($path),+];
    };
}

config! {
    sections {
        "" general: General,
        "smtp" smtp: Smtp,
        "submission" submission: Submission,
        "lmtp" lmtp: Lmtp,
        "imap" imap: Imap,
        "pop3" pop3: Pop3,
        "managesieve" managesieve: ManageSieve,
        "directory" directory: Directory,
        "directory.queries" queries: Queries,
        "auth" auth: Auth,
        "storage" storage: Storage,
        "quota" quota: Quota,
        "sieve" sieve: Sieve,
        "queue" queue: Queue,
        "tls" tls: Tls,
        "log" log: Log,
        "process" process: Process,
    }
}

/// Where in the file each key stands: by its full name, from line 1.
pub type Origin = BTreeMap<String, usize>;

/// A configuration that was read and found to be sound.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Which file.
    pub file: PathBuf,
    /// What it says.
    pub config: Config,
    /// Where it says it.
    pub origin: Origin,
}

impl Loaded {
    /// What is wrong with a key after all, for reasons that this crate does not know.
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        Problem::of_key(&self.origin, key, message)
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self::empty();
        config.fill_lists();
        config
    }
}

impl Config {
    /// Reads a configuration from text; `file` is for messages.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &Path, text: &str) -> Result<Loaded, Problems> {
        let mut reader = Reader {
            text,
            config: Self::empty(),
            origin: Origin::new(),
            problems: Vec::new(),
        };
        reader.read();
        let Reader {
            mut config,
            origin,
            mut problems,
            ..
        } = reader;
        config.fill_lists();
        if problems.is_empty() {
            problems = check::check(&config, &origin);
        }
        if problems.is_empty() {
            return Ok(Loaded {
                file: file.to_owned(),
                config,
                origin,
            });
        }
        Err(Problems::new(file, problems))
    }

    /// Gives the lists that the file leaves out their defaults.
    fn fill_lists(&mut self) {
        if self.listeners.is_empty() {
            self.listeners = Listener::defaults();
        }
        if self.namespaces.is_empty() {
            self.namespaces = vec![Namespace::default()];
        }
        if self.mailboxes.is_empty() {
            self.mailboxes = Mailbox::defaults();
        }
    }

    /// The certificates, `[tls]`'s own first: (chain, key).
    pub fn certificate_files(&self) -> Vec<(&PathBuf, &PathBuf)> {
        let own = self.tls.ssl_cert.as_ref().zip(self.tls.ssl_key.as_ref());
        let more = self
            .certificates
            .iter()
            .map(|certificate| (&certificate.ssl_cert, &certificate.ssl_key));
        own.into_iter().chain(more).collect()
    }
}

struct Reader<'a> {
    text: &'a str,
    config: Config,
    origin: Origin,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let text = self.text;
        let (table, errors) = DeTable::parse_recoverable(text);
        // What follows the first is mostly its echo: a bracket that is not closed is many mistakes.
        let first = errors
            .iter()
            .min_by_key(|error| error.span().map_or(0, |span| span.start));
        if let Some(first) = first {
            let unclosed = errors.iter().map(|error| error.message());
            let mut unclosed = unclosed.filter(|message| message.starts_with("unclosed"));
            let more = match unclosed.next_back() {
                Some(unclosed) if unclosed != first.message() => {
                    format!("; perhaps of something before this line: {unclosed}")
                }
                _ => String::new(),
            };
            let line = first.span().map(|span| self.line(span.start));
            self.problems.push(Problem {
                line,
                key: String::new(),
                message: format!("not TOML: {}{more}", first.message()),
            });
        }
        if self.problems.is_empty() {
            self.table("", table.get_ref());
        }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn problem(&mut self, line: usize, key: &str, message: String) {
        self.problems.push(Problem {
            line: Some(line),
            key: key.to_owned(),
            message,
        });
    }

    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let line = self.line(key.span().start);
            let name = key.get_ref().as_ref();
            let path = if section.is_empty() {
                name.to_owned()
            } else {
                format!("{section}.{name}")
            };
            let value = value.get_ref();
            self.origin.insert(path.clone(), line);
            match (path.as_str(), value) {
                ("listener" | "certificate" | "namespace", _) => self.list(&path, line, value),
                ("mailbox", DeValue::Table(table)) => self.mailboxes(table),
                (_, DeValue::Table(table)) if SECTIONS.contains(&path.as_str()) => {
                    self.table(&path, table);
                }
                _ => match self.config.set(section, name, value) {
                    Some(Ok(())) => {}
                    Some(Err(message)) => self.problem(line, &path, message),
                    None => self.unknown(line, section, name, value),
                },
            }
        }
    }

    fn unknown(&mut self, line: usize, section: &str, name: &str, value: &DeValue<'_>) {
        let path = if section.is_empty() {
            name.to_owned()
        } else {
            format!("{section}.{name}")
        };
        if SECTIONS.contains(&path.as_str()) || path == "mailbox" {
            return self.problem(line, &path, format!("is a section: write [{path}]"));
        }
        let kind = if matches!(value, DeValue::Table(_)) {
            "section"
        } else {
            "key"
        };
        let message = match reference::nearest_key(section, name, kind == "section") {
            Some(known) => format!("no such {kind}; did you mean {known}?"),
            None => format!("no such {kind}; `facteur config show` lists them all"),
        };
        self.problem(line, &path, message);
    }

    fn list(&mut self, path: &str, line: usize, value: &DeValue<'_>) {
        let DeValue::Array(array) = value else {
            return self.problem(line, path, format!("expected entries: write [[{path}]]"));
        };
        for (index, entry) in array.iter().enumerate() {
            let line = self.line(entry.span().start);
            let path_of_entry = format!("{path}[{}]", index + 1);
            self.origin.insert(path_of_entry.clone(), line);
            let DeValue::Table(table) = entry.get_ref() else {
                self.problem(line, &path_of_entry, format!("expected [[{path}]]"));
                continue;
            };
            match path {
                "listener" => {
                    let entry = self.entry(&path_of_entry, table);
                    self.config.listeners.push(entry);
                }
                "certificate" => {
                    let entry = self.entry(&path_of_entry, table);
                    self.config.certificates.push(entry);
                }
                _ => {
                    let entry = self.entry(&path_of_entry, table);
                    self.config.namespaces.push(entry);
                }
            }
        }
    }

    fn mailboxes(&mut self, table: &DeTable<'_>) {
        // The parser sorts by name; the file's order is what clients see.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            let path = format!("mailbox.{name}");
            let line = self.line(key.span().start);
            self.origin.insert(path.clone(), line);
            match value.get_ref() {
                DeValue::Table(table) => {
                    let mailbox = self.entry(&path, table);
                    self.config.mailboxes.push((name.to_owned(), mailbox));
                }
                _ => self.problem(line, &path, format!("expected a table: write [{path}]")),
            }
        }
    }

    fn entry<S: Section>(&mut self, path: &str, table: &DeTable<'_>) -> S {
        let mut section = S::default();
        for (key, value) in table {
            let line = self.line(key.span().start);
            let name = key.get_ref().as_ref();
            let full = format!("{path}.{name}");
            self.origin.insert(full.clone(), line);
            match section.set(name, value.get_ref()) {
                Some(Ok(())) => {}
                Some(Err(message)) => self.problem(line, &full, message),
                None => {
                    let keys = S::keys();
                    let message = match nearest(name, keys.iter().map(|key| key.name)) {
                        Some(known) => format!("no such key; did you mean {known}?"),
                        None => {
                            let names: Vec<_> = keys.iter().map(|key| key.name).collect();
                            format!("no such key; there are {}", names.join(", "))
                        }
                    };
                    self.problem(line, &full, message);
                }
            }
        }
        section
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
