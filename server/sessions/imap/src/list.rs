//! LIST (RFC 3501 §6.3.8), with the attributes of RFC 3348 and RFC 6154.

mod pattern;

use facteur_imap::{List, write};
use facteur_store::FolderInfo;

pub(crate) use pattern::Pattern;

use crate::{
    Namespace,
    outcome::{Outcome, Reply, Stop},
    session::Session,
};

impl Session {
    pub(crate) async fn list(&mut self, list: &List) -> Outcome {
        if list.pattern.as_bytes().is_empty() && !list.special_use {
            return self.list_root(list);
        }
        let Some(pattern) = self.pattern(list)? else {
            return Ok(Reply::ok("LIST completed"));
        };
        let account = self.user()?.account.clone();
        let folders = self.blocking(move || account.folders()).await?;
        let all = &self.service.options.namespaces;
        for namespace in all.iter().filter(|namespace| pattern.reaches(namespace)) {
            let mut tell = |name: &str, attributes: &str| {
                if pattern.matches(name) {
                    line(&mut self.out, "LIST", attributes, namespace.separator, name);
                }
            };
            if !list.special_use {
                above(namespace).for_each(|name| tell(name, LEVEL));
            }
            let wanted = |folder: &&FolderInfo| !list.special_use || folder.special_use.is_some();
            for folder in folders.iter().filter(wanted) {
                let has_children = has_children(namespace, folder, &folders);
                if let Some(name) = show(all, namespace, folder.name.as_str()) {
                    tell(&name, &attributes(folder, has_children));
                }
            }
        }
        Ok(Reply::ok("LIST completed"))
    }

    /// An empty pattern asks for the separator and the reference's root (RFC 3501 §6.3.8).
    fn list_root(&mut self, list: &List) -> Outcome {
        let reference = list.reference.decode()?;
        let namespaces = &self.service.options.namespaces;
        let namespace = namespaces
            .iter()
            .filter(|namespace| reference.starts_with(&namespace.prefix))
            .max_by_key(|namespace| namespace.prefix.len());
        if let Some(namespace) = namespace {
            let (separator, prefix) = (namespace.separator, namespace.prefix.clone());
            line(&mut self.out, "LIST", "\\Noselect", separator, &prefix);
        }
        Ok(Reply::ok("LIST completed"))
    }

    /// Reference and pattern together. Our references are prefixes and nothing more. `None` when
    /// they are not modified UTF-7: no mailbox has such a name.
    pub(crate) fn pattern(&self, list: &List) -> Result<Option<Pattern>, Stop> {
        let (Ok(reference), Ok(pattern)) = (list.reference.decode(), list.pattern.decode()) else {
            return Ok(None);
        };
        let text = format!("{reference}{pattern}");
        let separator = self
            .service
            .options
            .namespaces
            .first()
            .map_or('/', |namespace| namespace.separator);
        Pattern::parse(&text, separator)
            .map(Some)
            .ok_or_else(|| Reply::no("[LIMIT] Pattern is too long").into())
    }
}

/// The name that `namespace` shows for one of the store's; none when that name would mean another
/// mailbox. INBOX is shown as such by the first namespace only: it has no prefix anywhere.
pub(crate) fn show(all: &[Namespace], namespace: &Namespace, name: &str) -> Option<String> {
    let first = all.first().is_some_and(|first| first == namespace);
    if name == "INBOX" && first {
        return Some(name.to_owned());
    }
    let shown = namespace.show(name)?;
    // A longer prefix of another namespace has these names.
    let hidden = all.iter().any(|other| {
        other.prefix.len() > namespace.prefix.len() && shown.starts_with(&other.prefix)
    });
    (!hidden).then_some(shown)
}

/// A level that is no mailbox.
const LEVEL: &str = "\\Noselect \\HasChildren";

/// The levels of a namespace's prefix, which a client that goes down by `%` must come by. INBOX is a
/// mailbox.
fn above(namespace: &Namespace) -> impl Iterator<Item = &str> {
    let prefix = &namespace.prefix;
    prefix
        .match_indices(namespace.separator)
        .filter_map(|(at, _)| prefix.get(..at))
        .filter(|level| !level.eq_ignore_ascii_case("INBOX"))
}

/// Whether the namespace shows a mailbox below this one. Below INBOX it shows all others when its
/// prefix is `INBOX/`.
fn has_children(namespace: &Namespace, folder: &FolderInfo, folders: &[FolderInfo]) -> bool {
    let first = namespace.prefix.split(namespace.separator).next();
    let all_below = folder.name.is_inbox()
        && !namespace.prefix.is_empty()
        && first.is_some_and(|first| first.eq_ignore_ascii_case("INBOX"));
    folder.has_children || (all_below && folders.len() > 1)
}

fn attributes(folder: &FolderInfo, has_children: bool) -> String {
    let mut attributes = String::new();
    if !folder.selectable {
        attributes.push_str("\\Noselect ");
    }
    attributes.push_str(match has_children {
        true => "\\HasChildren",
        false => "\\HasNoChildren",
    });
    if let Some(special_use) = folder.special_use {
        attributes.push(' ');
        attributes.push_str(special_use.as_str());
    }
    attributes
}

/// One LIST or LSUB response.
pub(crate) fn line(
    out: &mut bytes::BytesMut,
    verb: &str,
    attributes: &str,
    separator: char,
    name: &str,
) {
    out.extend_from_slice(format!("* {verb} ({attributes}) ").as_bytes());
    write::string(out, separator.to_string().as_bytes());
    out.extend_from_slice(b" ");
    if name.is_empty() {
        out.extend_from_slice(b"\"\"");
    } else {
        write::mailbox(out, name);
    }
    out.extend_from_slice(b"\r\n");
}
