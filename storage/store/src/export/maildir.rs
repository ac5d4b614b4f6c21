//! As Maildir++, with Dovecot's `dovecot-uidlist` and `dovecot-keywords`.

use std::{collections::BTreeSet, io, time::SystemTime};

use facteur_maildir::{BaseNames, FileName, KeywordFile, Layout, Letters, Place, UidList};
use facteur_model::{Guid, MailboxName};
use facteur_sdbox::MessageFile;

use super::Export;
use crate::{Mailbox, MessageState, StoreError};

/// Writes these mailboxes.
pub(super) fn write(export: &mut Export<'_>, names: &[MailboxName]) -> Result<(), StoreError> {
    if names.iter().any(|name| Layout::check(name).is_err()) {
        return Err(StoreError::Cannot(
            "a mailbox has a dot in its name, begins with ~ or has too long a name for a Maildir: export as sdbox",
        ));
    }
    let to = Layout::new(export.to);
    let bases = BaseNames::new("exported");
    for name in names {
        let (mailbox, identity) = export.open(name)?;
        let mut identity = identity;
        let snapshot = mailbox.snapshot();
        identity.uid_ceiling = snapshot.uid_next();
        to.make(export.disk, name, &identity)?;
        let mut keywords = KeywordFile::default();
        let mut lost = BTreeSet::new();
        let mut lines = Vec::new();
        for state in snapshot.iter() {
            let mut letters = Letters::EMPTY;
            for keyword in snapshot.keywords(state.keywords) {
                match keywords.give(keyword) {
                    Some(letter) => letters = letters.with(letter),
                    None => {
                        lost.insert(keyword.as_str());
                    }
                }
            }
            let written = message(export, (&to, name), &mailbox, state, letters, &bases)?;
            if let Some((base, guid)) = written {
                let extension = format!("G{guid}");
                UidList::push_line(&mut lines, state.uid, extension.as_bytes(), base.as_bytes());
                export.step();
            }
        }
        let dir = to.folder(name);
        keywords.write_unsynced(export.disk, &dir)?;
        UidList::append(export.disk, &dir, &lines)?;
        let lost = lost.into_iter().map(|keyword| format!("{name}: {keyword}"));
        export.exported.lost_keywords.extend(lost);
    }
    export.subscriptions(&to)
}

/// Writes a message, and says its base and GUID; `None` when it was expunged meanwhile.
fn message(
    export: &Export<'_>,
    (to, name): (&Layout, &MailboxName),
    mailbox: &Mailbox,
    state: &MessageState,
    letters: Letters,
    bases: &BaseNames,
) -> Result<Option<(String, Guid)>, StoreError> {
    let reader = match mailbox.read(state.uid) {
        Err(StoreError::Gone) => return Ok(None),
        Err(error) if error.is_not_found() => {
            tracing::warn!(%error, "message is left out");
            return Ok(None);
        }
        reader => reader?,
    };
    let guid = guid(export, name, state)?;
    let size = reader.size();
    let base = bases.next(SystemTime::now(), guid);
    let base = format!("{base},S={size},W={size}");
    let file_name = FileName::build(base.as_bytes(), state.flags, letters);
    let file_name = String::from_utf8_lossy(&file_name).into_owned();
    let path = Place::Cur.of(&to.folder(name)).join(file_name);
    let mut file = export.disk.create_new(&path)?;
    export.write_text(&reader, &mut file)?;
    file.set_modified(state.internal_date.unix())?;
    Ok(Some((base, guid)))
}

/// A message's GUID, from its file.
fn guid(export: &Export<'_>, name: &MailboxName, state: &MessageState) -> Result<Guid, StoreError> {
    let file_name = facteur_sdbox::Layout::file_name(state.uid);
    let path = export.from.mails(name).join(file_name);
    let metadata = MessageFile::open(export.disk, &path).and_then(|file| file.metadata());
    match metadata {
        Ok(metadata) => Ok(metadata.guid.map_or_else(Guid::random, Ok)?),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Guid::random()?),
        Err(error) => Err(error.into()),
    }
}
