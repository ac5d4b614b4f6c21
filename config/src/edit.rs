//! `facteur config set`: one value changed, comments and order kept.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, Value};

use crate::{Config, Problems, key_names, load::SECTIONS};

/// Why a value was not set.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file is not TOML to begin with.
    #[error("the file is not TOML: {0}")]
    Syntax(#[from] toml_edit::TomlError),
    /// There is no such entry.
    #[error(
        "{0}: there is no such entry in the file; a listener is found by its name, as in listener.smtp.address"
    )]
    List(String),
    /// Several sections have a key of this name.
    #[error("{0} is in several sections: write {1}")]
    Ambiguous(String, String),
    /// The file would be refused.
    #[error("nothing is changed: {}", reasons(.0))]
    Refused(Problems),
}

/// What is wrong, without lines of a file that is not written.
fn reasons(problems: &Problems) -> String {
    let reasons = problems.problems.iter().map(|problem| {
        let separator = if problem.key.is_empty() { "" } else { ": " };
        format!("{}{separator}{}", problem.key, problem.message)
    });
    reasons.collect::<Vec<_>>().join("; ")
}

/// The text of the file with each key set to its value: TOML, or else taken as a string. A key may
/// go without its section where only one section has it.
///
/// # Errors
/// When the result would be refused.
pub fn set(file: &Path, text: &str, changes: &[(&str, &str)]) -> Result<String, EditError> {
    let mut document: DocumentMut = text.parse()?;
    for (key, value) in changes {
        change(&mut document, &full_name(key)?, value)?;
    }
    let text = document.to_string();
    Config::parse(file, &text).map_err(EditError::Refused)?;
    Ok(text)
}

/// `relayhost` as `queue.relayhost`. What is unknown stays as it is: it will be refused.
fn full_name(key: &str) -> Result<String, EditError> {
    let names = key_names();
    if key.contains('.') || names.iter().any(|name| name == key) {
        return Ok(key.to_owned());
    }
    let own = |name: &String| name.rsplit_once('.').is_some_and(|(_, own)| own == key);
    let mut found: Vec<String> = names.into_iter().filter(own).collect();
    match found.len() {
        0 => Ok(key.to_owned()),
        1 => Ok(found.swap_remove(0)),
        _ => Err(EditError::Ambiguous(key.to_owned(), found.join(" or "))),
    }
}

fn change(document: &mut DocumentMut, key: &str, value: &str) -> Result<(), EditError> {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let parsed = |text: &str| text.parse::<Value>().ok();
    // A bare 10.0.0.1 or 5m is no TOML value: what was meant is the string.
    let mut value = parsed(value).unwrap_or_else(|| Value::from(value));
    let table = find_table(document, section).ok_or_else(|| EditError::List(key.to_owned()))?;
    let decor = table
        .get(name)
        .and_then(Item::as_value)
        .map(|old| old.decor().clone());
    if let Some(decor) = decor {
        *value.decor_mut() = decor;
    }
    match table.get_mut(name) {
        Some(item) => *item = Item::Value(value),
        None => {
            table.insert(name, Item::Value(value));
        }
    }
    Ok(())
}

/// The table of a section, made when missing; of a list the entry with the name that follows:
/// `listener.smtp`.
fn find_table<'a>(document: &'a mut DocumentMut, section: &str) -> Option<&'a mut Table> {
    let table = document.as_table_mut();
    if section.is_empty() {
        return Some(table);
    }
    if let Some((list @ ("listener" | "certificate" | "namespace"), name)) =
        section.split_once('.').or(section.split_once('['))
    {
        let entries = table.get_mut(list)?.as_array_of_tables_mut()?;
        return entries
            .iter_mut()
            .find(|entry| entry.get("name").and_then(Item::as_str) == Some(name));
    }
    let mut table = table;
    for part in section.split('.') {
        let item = table.entry(part).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(!SECTIONS.contains(&section));
            Item::Table(table)
        });
        table = item.as_table_mut()?;
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(text: &str, key: &str, value: &str) -> Result<String, EditError> {
        set(Path::new("facteur.toml"), text, &[(key, value)])
    }

    #[test]
    fn key_without_its_section_is_found_where_one_has_it() {
        let edited = edit("", "relayhost", "[mail.example.org]").unwrap();
        assert_eq!(edited, "[queue]\nrelayhost = \"[mail.example.org]\"\n");
        let error = edit("", "smtpd_data_restrictions", "permit").unwrap_err();
        let expected = "smtp.smtpd_data_restrictions or submission.smtpd_data_restrictions";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn values_that_need_each_other_are_set_together() {
        let both = [("tls.ssl_cert", "/cert.pem"), ("tls.ssl_key", "/key.pem")];
        let file = Path::new("facteur.toml");
        assert_eq!(
            set(file, "", &both).unwrap(),
            "[tls]\nssl_cert = \"/cert.pem\"\nssl_key = \"/key.pem\"\n"
        );
        let error = set(file, "", &both[..1]).unwrap_err().to_string();
        let expected = "nothing is changed: tls.ssl_cert: needs tls.ssl_key too";
        assert_eq!(error, expected);
    }

    #[test]
    fn value_is_changed_and_everything_else_kept() {
        let text = "# ours\nmyhostname = \"a.example\" # name\n\n[queue]\nrelayhost = \"b\"\n";
        assert_eq!(
            edit(text, "myhostname", "c.example").unwrap(),
            "# ours\nmyhostname = \"c.example\" # name\n\n[queue]\nrelayhost = \"b\"\n"
        );
    }

    #[test]
    fn missing_section_and_key_are_added() {
        assert_eq!(
            edit("", "smtp.smtpd_recipient_limit", "50").unwrap(),
            "[smtp]\nsmtpd_recipient_limit = 50\n"
        );
        assert_eq!(
            edit(
                "[smtp]\nsmtpd_recipient_limit = 50\n",
                "myhostname",
                "a.example"
            )
            .unwrap(),
            "myhostname = \"a.example\"\n[smtp]\nsmtpd_recipient_limit = 50\n"
        );
    }

    #[test]
    fn listener_is_found_by_its_name() {
        let text = "[[listener]]\nname = \"a\"\nprotocol = \"imap\"\naddress = \"*:1\"\n\
                    [[listener]]\nname = \"b\"\nprotocol = \"imap\"\naddress = \"*:2\"\n";
        let edited = edit(text, "listener.b.address", "*:3").unwrap();
        assert_eq!(edited, text.replace("*:2", "*:3"));
        assert!(edit(text, "listener.c.address", "*:3").is_err());
    }

    #[test]
    fn value_or_key_that_would_be_refused_is_refused() {
        for (key, value) in [
            ("smtp.smtpd_recipient_limit", "many"),
            ("smtp.smtpd_recipient_limits", "5"),
            ("listener[1].address", "*:25"),
        ] {
            assert!(edit("", key, value).is_err(), "{key}");
        }
    }
}
