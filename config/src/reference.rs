//! What there is to configure: for `facteur config show`, `diff` and `explain`.

use std::fmt::Write as _;

use toml_edit::Value;

use crate::{
    Config, KeyInfo, Section,
    load::SECTIONS,
    section::nearest,
    sections::{Certificate, Listener, Mailbox, Namespace},
};

/// One key with its documentation, default and value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its full name, such as `smtp.smtpd_timeout`.
    pub name: String,
    /// What it does.
    pub doc: String,
    /// What kind of value it takes.
    pub expected: String,
    /// Its default as TOML; `None` when it has none.
    pub default: Option<String>,
    /// Its value as TOML; `None` when it has none.
    pub value: Option<String>,
}

impl Entry {
    /// Whether it has another value than its default.
    pub fn is_set(&self) -> bool {
        self.value != self.default
    }
}

pub(crate) type Visitor<'a> =
    dyn FnMut(&'static str, &'static str, &[KeyInfo], &[(&'static str, Option<Value>)]) + 'a;

fn text(value: Option<&Value>) -> Option<String> {
    value.map(|value| value.to_string().trim().to_owned())
}

fn push_entries(
    into: &mut Vec<Entry>,
    path: &str,
    keys: &[KeyInfo],
    values: &[(&'static str, Option<Value>)],
) {
    for (key, (_, value)) in keys.iter().zip(values) {
        let name = if path.is_empty() {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        into.push(Entry {
            name,
            doc: tidy(key.doc),
            expected: key.expected.clone(),
            default: text(key.default.as_ref()),
            value: text(value.as_ref()),
        });
    }
}

/// Every key, lists entry by entry. The default of an entry's key is what the entry in its place has
/// without a file, or else the key's own.
pub fn entries(config: &Config) -> Vec<Entry> {
    let mut all = Vec::new();
    config.visit_sections(&mut |path, _, keys, values| {
        push_entries(&mut all, path, keys, values);
    });
    let defaults = Config::default();
    push_list(&mut all, "listener", &config.listeners, &defaults.listeners);
    push_list(
        &mut all,
        "certificate",
        &config.certificates,
        &defaults.certificates,
    );
    push_list(
        &mut all,
        "namespace",
        &config.namespaces,
        &defaults.namespaces,
    );
    for (name, mailbox) in &config.mailboxes {
        let default = defaults.mailboxes.iter().find(|(known, _)| known == name);
        let path = format!("mailbox.{}", quoted(name));
        push_entry(
            &mut all,
            &path,
            mailbox,
            default.map(|(_, mailbox)| mailbox),
        );
    }
    all
}

fn push_list<S: Section>(into: &mut Vec<Entry>, path: &str, list: &[S], defaults: &[S]) {
    for (n, one) in list.iter().enumerate() {
        push_entry(into, &format!("{path}[{}]", n + 1), one, defaults.get(n));
    }
}

fn push_entry<S: Section>(into: &mut Vec<Entry>, path: &str, one: &S, default: Option<&S>) {
    let mut keys = S::keys();
    if let Some(default) = default {
        for (key, (_, value)) in keys.iter_mut().zip(default.values()) {
            key.default = value;
        }
    }
    push_entries(into, path, &keys, &one.values());
}

/// The name of every key, lists without an index.
pub fn key_names() -> Vec<String> {
    let mut names = Vec::new();
    Config::default().visit_sections(&mut |path, _, keys, _| {
        for key in keys {
            names.push(if path.is_empty() {
                key.name.to_owned()
            } else {
                format!("{path}.{}", key.name)
            });
        }
    });
    for (path, keys) in lists() {
        names.extend(keys.iter().map(|key| format!("{path}.{}", key.name)));
    }
    names
}

fn lists() -> [(&'static str, Vec<KeyInfo>); 4] {
    [
        ("listener", Listener::keys()),
        ("certificate", Certificate::keys()),
        ("namespace", Namespace::keys()),
        ("mailbox", Mailbox::keys()),
    ]
}

/// The documentation of a key, by its full name or by its own; of a section, that of all its keys.
///
/// # Errors
/// The nearest key there is.
pub fn explain(config: &Config, name: &str) -> Result<Vec<Entry>, Option<String>> {
    let plain = without_index(name);
    let of_section = section_entries(config, name);
    if !of_section.is_empty() {
        return Ok(of_section);
    }
    let matches = |entry: &Entry| {
        let own = without_index(&entry.name);
        let key = own.rsplit('.').next().unwrap_or_default();
        entry.name == name
            || own == plain
            || key == plain
            || own.starts_with("mailbox.") && plain.strip_prefix("mailbox.") == Some(key)
    };
    let mut found: Vec<Entry> = entries(config).into_iter().filter(matches).collect();
    if found.is_empty() {
        // Keys of lists that have no entry.
        for (path, keys) in lists() {
            for key in keys {
                if plain == key.name || plain == format!("{path}.{}", key.name) {
                    found.push(Entry {
                        name: format!("{path}.{}", key.name),
                        doc: tidy(key.doc),
                        expected: key.expected,
                        default: text(key.default.as_ref()),
                        value: None,
                    });
                }
            }
        }
    }
    if found.is_empty() {
        return Err(nearest_name(&plain));
    }
    // Entries of one list say the same.
    found.dedup_by(|a, b| a.doc == b.doc);
    Ok(found)
}

/// Every key of a section; of a list (and of a mailbox that the file does not name) what an entry can
/// have.
fn section_entries(config: &Config, name: &str) -> Vec<Entry> {
    let within = |entry: &Entry| {
        let rest = entry.name.strip_prefix(name);
        rest.and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|key| !key.contains('.'))
    };
    let mut found: Vec<Entry> = entries(config).into_iter().filter(within).collect();
    if !found.is_empty() {
        return found;
    }
    let of_list = |path: &str, keys: &[KeyInfo]| {
        let unnamed = name.strip_prefix("mailbox.").filter(|_| path == "mailbox");
        path == name || unnamed.is_some_and(|rest| keys.iter().all(|key| key.name != rest))
    };
    if let Some((path, keys)) = lists().into_iter().find(|(path, keys)| of_list(path, keys)) {
        push_entries(&mut found, path, &keys, &vec![("", None); keys.len()]);
    }
    found
}

/// The full name most like `name`, which may be a full name or a key's own.
fn nearest_name(name: &str) -> Option<String> {
    let names = key_names();
    if name.contains('.') {
        return nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    }
    let key_of = |full: &str| full.rsplit('.').next().unwrap_or_default().to_owned();
    let keys: Vec<String> = names.iter().map(|full| key_of(full)).collect();
    let found = nearest(name, keys.iter().map(String::as_str))?;
    names.iter().find(|full| key_of(full) == found).cloned()
}

/// `listener[2].address` as `listener.address`.
fn without_index(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut inside = false;
    for c in name.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    plain
}

/// The key most like `name`: of its own section, else of the others, with their name before it.
pub(crate) fn nearest_key(section: &str, name: &str, table: bool) -> Option<String> {
    let names = key_names();
    let split = |full: &str| {
        full.rsplit_once('.')
            .map_or((String::new(), full.to_owned()), |(path, key)| {
                (path.to_owned(), key.to_owned())
            })
    };
    let of_section: Vec<String> = names
        .iter()
        .map(|full| split(full))
        .filter(|(path, _)| path == section)
        .map(|(_, key)| key)
        .collect();
    if table {
        let sections =
            SECTIONS
                .iter()
                .copied()
                .chain(["mailbox", "listener", "certificate", "namespace"]);
        return nearest(name, sections.filter(|path| !path.is_empty())).map(|found| match found {
            "listener" | "certificate" | "namespace" => format!("[[{found}]]"),
            found => format!("[{found}]"),
        });
    }
    // The very key elsewhere is likelier meant than a like one here.
    let elsewhere = names.iter().find(|full| split(full).1 == name);
    elsewhere
        .map(|full| place(full))
        .or_else(|| nearest(name, of_section.iter().map(String::as_str)).map(str::to_owned))
        .or_else(|| {
            let own: Vec<String> = names.iter().map(|full| split(full).1).collect();
            let found = nearest(name, own.iter().map(String::as_str))?;
            names
                .iter()
                .find(|full| split(full).1 == found)
                .map(|full| place(full))
        })
}

/// "relayhost in [queue]"
fn place(full: &str) -> String {
    match full.rsplit_once('.') {
        None => format!("{full}, above the first section"),
        Some((path @ ("listener" | "certificate" | "namespace"), key)) => {
            format!("{key} in [[{path}]]")
        }
        Some((path, key)) => format!("{key} in [{path}]"),
    }
}

fn tidy(doc: &str) -> String {
    doc.lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

fn quoted(name: &str) -> String {
    let bare = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if bare && !name.is_empty() {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

/// The configuration as a file: everything with its documentation, or only what differs from the
/// defaults.
pub fn to_toml(config: &Config, only_changes: bool) -> String {
    let mut out = String::new();
    let defaults = Config::default();
    config.visit_sections(&mut |path, doc, keys, values| {
        write_section(&mut out, path, doc, keys, values, only_changes);
    });
    let mut list =
        |path: &str, doc: &str, keys: &[KeyInfo], values: &[(&'static str, Option<Value>)]| {
            if !only_changes {
                comment(&mut out, doc);
            }
            let _ = writeln!(out, "{path}");
            for (key, (name, value)) in keys.iter().zip(values) {
                let changed = text(value.as_ref()) != text(key.default.as_ref());
                if let (Some(value), true) = (value, changed || !only_changes) {
                    let _ = writeln!(out, "{name} = {}", value.to_string().trim());
                }
            }
            out.push('\n');
        };
    if !only_changes || config.listeners != defaults.listeners {
        let keys = Listener::keys();
        for (n, one) in config.listeners.iter().enumerate() {
            list(
                "[[listener]]",
                if n == 0 { Listener::DOC } else { "" },
                &keys,
                &one.values(),
            );
        }
    }
    for (n, one) in config.certificates.iter().enumerate() {
        let doc = if n == 0 { Certificate::DOC } else { "" };
        list("[[certificate]]", doc, &Certificate::keys(), &one.values());
    }
    if !only_changes || config.namespaces != defaults.namespaces {
        for (n, one) in config.namespaces.iter().enumerate() {
            let doc = if n == 0 { Namespace::DOC } else { "" };
            list("[[namespace]]", doc, &Namespace::keys(), &one.values());
        }
    }
    if !only_changes || config.mailboxes != defaults.mailboxes {
        for (n, (name, one)) in config.mailboxes.iter().enumerate() {
            let doc = if n == 0 { Mailbox::DOC } else { "" };
            let path = format!("[mailbox.{}]", quoted(name));
            list(&path, doc, &Mailbox::keys(), &one.values());
        }
    }
    out.truncate(out.trim_end().len());
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn write_section(
    out: &mut String,
    path: &str,
    doc: &str,
    keys: &[KeyInfo],
    values: &[(&'static str, Option<Value>)],
    only_changes: bool,
) {
    let changed =
        |key: &KeyInfo, value: &Option<Value>| text(value.as_ref()) != text(key.default.as_ref());
    let any = keys
        .iter()
        .zip(values)
        .any(|(key, (_, value))| changed(key, value));
    if only_changes && !any {
        return;
    }
    if !only_changes {
        comment(out, doc);
    }
    if !path.is_empty() {
        let _ = writeln!(out, "[{path}]");
    }
    let mut taken = "";
    for (key, (name, value)) in keys.iter().zip(values) {
        if only_changes {
            if changed(key, value) {
                let default = text(key.default.as_ref()).unwrap_or_else(|| "not set".to_owned());
                let value = text(value.as_ref()).unwrap_or_default();
                let _ = writeln!(out, "{name} = {value}  # default: {default}");
            }
            continue;
        }
        out.push('\n');
        comment(out, key.doc);
        match value {
            Some(value) => {
                let _ = writeln!(out, "{name} = {}", value.to_string().trim());
            }
            None => {
                // What is long, once for several of a kind.
                let before = std::mem::replace(&mut taken, &key.expected);
                let again = before == key.expected && before.len() > 80;
                let expected = if again { "the same" } else { &key.expected };
                let text = format!("{name} is not set; it takes {expected}");
                comment(out, &wrapped(&text, 95));
            }
        }
    }
    out.push('\n');
}

/// A text in lines of at most `columns`.
pub fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width > 0 && width + 1 + word.len() > columns {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += word.len();
    }
    lines
}

fn comment(out: &mut String, doc: &str) {
    for line in tidy(doc).lines() {
        let _ = writeln!(out, "{}", format!("# {line}").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn defaults_written_are_read_back_as_they_were() {
        let text = to_toml(&Config::default(), false);
        let loaded = Config::parse(Path::new("facteur.toml"), &text)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!(loaded.config, Config::default());
    }

    #[test]
    fn nothing_differs_from_the_defaults_by_default() {
        assert_eq!(to_toml(&Config::default(), true), "");
        assert!(!entries(&Config::default()).iter().any(Entry::is_set));
    }

    #[test]
    fn differences_are_a_file_with_the_same_meaning() {
        let text = "myhostname = \"mx.example.org\"\n[mailbox.\"Old mail\"]\nauto = \"create\"\n\
                    [smtp]\nsmtpd_recipient_limit = 50\n[[listener]]\nname = \"x\"\n\
                    protocol = \"imap\"\naddress = \"*:1143\"\n";
        let file = Path::new("facteur.toml");
        let one = Config::parse(file, text).unwrap().config;
        let diff = to_toml(&one, true);
        assert!(diff.contains("# default: "), "{diff}");
        assert_eq!(Config::parse(file, &diff).unwrap().config, one);
    }

    #[test]
    fn every_key_has_documentation() {
        for entry in entries(&Config::default()) {
            assert!(entry.doc.len() > 10, "{} has none", entry.name);
        }
    }

    #[test]
    fn key_is_explained_by_its_full_name_or_its_own() {
        let config = Config::default();
        assert_eq!(explain(&config, "queue.relayhost").unwrap().len(), 1);
        assert_eq!(
            explain(&config, "relayhost").unwrap()[0].name,
            "queue.relayhost"
        );
        assert_eq!(explain(&config, "listener.address").unwrap().len(), 1);
        assert_eq!(explain(&config, "mailbox.auto").unwrap().len(), 1);
        assert_eq!(
            explain(&config, "relay_host").unwrap_err().as_deref(),
            Some("queue.relayhost")
        );
    }
}
