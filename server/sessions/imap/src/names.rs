//! Between the names on the wire and the store's.

use facteur_imap::MailboxArgument;
use facteur_model::MailboxName;

use crate::{
    Namespace,
    outcome::{Reply, Stop},
    session::Session,
};

impl Namespace {
    /// A name of this namespace as the store has it; the prefix is gone already.
    fn to_store(&self, rest: &str) -> Result<String, Reply> {
        if self.separator == MailboxName::SEPARATOR {
            return Ok(rest.to_owned());
        }
        if rest.contains(MailboxName::SEPARATOR) {
            return Err(Reply::no("[CANNOT] Mailbox name has a reserved character"));
        }
        Ok(rest.replace(self.separator, "/"))
    }

    /// The store's name as this namespace shows it; `None` when it cannot.
    pub(crate) fn show(&self, name: &str) -> Option<String> {
        let separator = self.separator.to_string();
        if self.separator == MailboxName::SEPARATOR {
            return Some(format!("{}{name}", self.prefix));
        }
        (!name.contains(&separator))
            .then(|| format!("{}{}", self.prefix, name.replace('/', &separator)))
    }

    /// What remains of `name` after this namespace's prefix. A prefix `INBOX/` is INBOX in any
    /// case (RFC 3501 §5.1).
    fn strip<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (head, rest) = name.split_at_checked(self.prefix.len())?;
        let fits = match self.prefix.split(self.separator).next() {
            Some(first) if first.eq_ignore_ascii_case("INBOX") => {
                let (a, b) = (head.split_at_checked(5)?, self.prefix.split_at_checked(5)?);
                a.0.eq_ignore_ascii_case(b.0) && a.1 == b.1
            }
            _ => head == self.prefix,
        };
        fits.then_some(rest)
    }
}

impl Session {
    /// The namespace that `name` is of: the one with the longest prefix.
    fn namespace_of<'a>(&self, name: &'a str) -> Option<(&Namespace, &'a str)> {
        self.service
            .options
            .namespaces
            .iter()
            .filter_map(|namespace| Some((namespace, namespace.strip(name)?)))
            .max_by_key(|(namespace, _)| namespace.prefix.len())
    }

    /// The mailbox that an argument names.
    pub(crate) fn mailbox_name(&self, argument: &MailboxArgument) -> Result<MailboxName, Stop> {
        self.parse_name(&argument.decode()?)
    }

    /// The same for CREATE, where a separator at the end says that more is to come below
    /// (RFC 3501 §6.3.3).
    pub(crate) fn new_mailbox_name(&self, argument: &MailboxArgument) -> Result<MailboxName, Stop> {
        let name = argument.decode()?;
        let separator = self.namespace_of(&name).map(|(n, _)| n.separator);
        let name = separator
            .and_then(|separator| name.strip_suffix(separator))
            .unwrap_or(&name);
        self.parse_name(name)
    }

    fn parse_name(&self, name: &str) -> Result<MailboxName, Stop> {
        // It has no prefix anywhere.
        if name.eq_ignore_ascii_case("INBOX") {
            return Ok(MailboxName::inbox());
        }
        let Some((namespace, rest)) = self.namespace_of(name) else {
            return Err(Reply::no("[NONEXISTENT] No such namespace").into());
        };
        Ok(MailboxName::parse(&namespace.to_store(rest)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_prefix_is_stripped_and_inbox_has_no_case() {
        let alias = Namespace {
            prefix: "INBOX/".into(),
            hidden: true,
            list: false,
            ..Namespace::default()
        };
        assert_eq!(alias.strip("INBOX/Trash"), Some("Trash"));
        assert_eq!(alias.strip("inbox/Trash/x"), Some("Trash/x"));
        assert_eq!(alias.strip("INBOX"), None);
        assert_eq!(alias.strip("INBOXES/x"), None);
        assert_eq!(alias.show("Trash").as_deref(), Some("INBOX/Trash"));
    }

    #[test]
    fn other_separator_is_translated_both_ways() {
        let dots = Namespace {
            separator: '.',
            ..Namespace::default()
        };
        assert_eq!(dots.to_store("a.b").unwrap(), "a/b");
        assert!(dots.to_store("a/b").is_err());
        assert_eq!(dots.show("a/b").as_deref(), Some("a.b"));
        assert_eq!(dots.show("a.b"), None);
    }
}
