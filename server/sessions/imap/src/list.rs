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
        for namespace in &self.service.options.namespaces {
            if !pattern.reaches(namespace) {
                continue;
            }
            let wanted = |folder: &&FolderInfo| !list.special_use || folder.special_use.is_some();
            for folder in folders.iter().filter(wanted) {
                let shown = show(
                    &self.service.options.namespaces,
                    namespace,
                    folder.name.as_str(),
                );
                if let Some(name) = shown.filter(|name| pattern.matches(name)) {
                    let attributes = attributes(folder);
                    line(
                        &mut self.out,
                        "LIST",
                        &attributes,
                        namespace.separator,
                        &name,
                    );
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

fn attributes(folder: &FolderInfo) -> String {
    let mut attributes = String::new();
    if !folder.selectable {
        attributes.push_str("\\Noselect ");
    }
    attributes.push_str(match folder.has_children {
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
