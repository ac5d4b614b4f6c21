//! As Dovecot's single-dbox, with its index.

use std::{collections::HashMap, io, path::Path, time::SystemTime};

use facteur_disk::Disk;
use facteur_dovecot::{MailboxImage, MessageImage};
use facteur_model::{InternalDate, MailFormat, MailboxName};
use facteur_sdbox::{Layout, Metadata, NewMessage, Source};

use super::Export;
use crate::{KeywordSetId, Mailbox, MessageState, Snapshot, StoreError};

/// Writes these mailboxes, with message files that are the account's own if `link`.
pub(super) fn write(
    export: &mut Export<'_>,
    names: &[MailboxName],
    link: bool,
) -> Result<(), StoreError> {
    let now = InternalDate::from(SystemTime::now()).unix();
    let now = u32::try_from(now).unwrap_or(u32::MAX);
    let to = Layout::new(export.to);
    let mut highest = 0;
    for name in names {
        let (mailbox, identity) = export.open(name)?;
        let mails = to.mails(name);
        make_dirs(export, &to, name)?;
        let snapshot = mailbox.snapshot();
        let mut image = image(&mailbox, &snapshot)?;
        image.guid = Some(identity.guid);
        image.next_uid = image.next_uid.max(snapshot.uid_next());
        let mut sets = Sets::new();
        let from = export.from.mails(name);
        for state in snapshot.iter() {
            let file = Layout::file_name(state.uid);
            let to = mails.join(&file);
            let placed = match export.from.format() {
                MailFormat::Sdbox => place(export, &from.join(&file), &to, link)?,
                MailFormat::Maildir => write_anew(export, &mailbox, state, &to)?,
            };
            if !placed {
                continue;
            }
            image.messages.push(MessageImage {
                uid: state.uid,
                flags: state.flags,
                keywords: sets.number(&snapshot, state.keywords),
                modseq: state.modseq,
            });
            export.step();
        }
        image.keyword_sets = sets.found;
        let written = facteur_dovecot::write(&image, now);
        let disk = export.disk;
        disk.write_unsynced(&mails.join("dovecot.index.log"), &written.log)?;
        disk.write_unsynced(&mails.join("dovecot.index"), &written.index)?;
        highest = highest.max(image.uid_validity.value());
    }
    // New mailboxes get a UIDVALIDITY above this one: a file says it, and another one's name.
    let validity = format!("{highest:08x}");
    let path = export.to.join("dovecot-uidvalidity");
    export.disk.write_unsynced(&path, validity.as_bytes())?;
    let marker = export.to.join(format!("dovecot-uidvalidity.{validity}"));
    export.disk.write_unsynced(&marker, b"")?;
    export.subscriptions(&to)
}

fn make_dirs(export: &Export<'_>, to: &Layout, name: &MailboxName) -> io::Result<()> {
    let mut path = to.root();
    make_dir(export, &path)?;
    for level in name.levels() {
        path.push(facteur_sdbox::encode_mutf7(level));
        make_dir(export, &path)?;
    }
    export.disk.create_dir(&to.mails(name))
}

fn make_dir(export: &Export<'_>, path: &Path) -> io::Result<()> {
    match export.disk.create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Gives a message's file a second name, or copies it; says whether it was there: sessions go on
/// while we copy.
fn place(export: &mut Export<'_>, from: &Path, to: &Path, link: bool) -> Result<bool, StoreError> {
    let linked = if link {
        export.disk.link(from, to)
    } else {
        Err(io::ErrorKind::Unsupported.into())
    };
    let placed = match linked {
        Ok(()) => {
            export.exported.linked += 1;
            Ok(())
        }
        Err(error)
            if error.kind() == io::ErrorKind::NotFound || facteur_disk::is_no_space(&error) =>
        {
            Err(error)
        }
        // It lies on another disk, on one without links, or has as many names as it can have.
        Err(_) => export.copy(from, to),
    };
    match placed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let from = from.display();
            tracing::warn!(%from, "message is left out: its file is missing");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes a message's file from another format's; says whether that was there.
fn write_anew(
    export: &Export<'_>,
    mailbox: &Mailbox,
    state: &MessageState,
    to: &Path,
) -> Result<bool, StoreError> {
    let Some(located) = mailbox.located(state.uid) else {
        return Ok(false);
    };
    let reader = match mailbox.read(state.uid) {
        Err(StoreError::Gone) => return Ok(false),
        Err(error) if error.is_not_found() => {
            tracing::warn!(%error, "message is left out");
            return Ok(false);
        }
        reader => reader?,
    };
    let mails = to.parent().unwrap_or(to);
    let plain = Disk::temporary_path(mails);
    let mut text = export.disk.create_new(&plain)?;
    export.write_text(&reader, &mut text)?;
    let message = NewMessage {
        parts: &[Source::File(&text, reader.size())],
        metadata: Metadata {
            guid: Some(facteur_maildir::guid_of(&located.guid)),
            received: Some(state.internal_date),
            ..Metadata::default()
        },
        created: state.internal_date.unix(),
    };
    let (path, _) = message.write(export.disk, mails)?;
    export.disk.rename(&path, to)?;
    export.disk.unlink(&plain)?;
    Ok(true)
}

/// A mailbox without its messages.
fn image(mailbox: &Mailbox, snapshot: &Snapshot) -> Result<MailboxImage, StoreError> {
    let next_uid = snapshot.uid_next();
    let recent = mailbox.recent(false)?;
    let first_recent = recent.ranges().next().map(|(first, _)| first.value());
    let keywords = snapshot.known_keywords().iter();
    Ok(MailboxImage {
        uid_validity: mailbox.uid_validity(),
        next_uid,
        highest_modseq: snapshot.highest_modseq(),
        guid: None,
        first_recent_uid: first_recent.unwrap_or(u32::try_from(next_uid).unwrap_or(u32::MAX)),
        keywords: keywords
            .map(|keyword| keyword.as_str().to_owned())
            .collect(),
        keyword_sets: Vec::new(),
        messages: Vec::with_capacity(snapshot.len() as usize),
    })
}

/// Numbers for the sets of keywords in use.
struct Sets {
    found: Vec<Vec<u16>>,
    numbers: HashMap<KeywordSetId, u32>,
}

impl Sets {
    fn new() -> Self {
        Self {
            found: vec![Vec::new()],
            numbers: HashMap::from([(KeywordSetId(0), 0)]),
        }
    }

    fn number(&mut self, snapshot: &Snapshot, set: KeywordSetId) -> u32 {
        if let Some(number) = self.numbers.get(&set) {
            return *number;
        }
        let known = snapshot.known_keywords();
        let place = |keyword| known.iter().position(|other| other == keyword);
        let places = snapshot.keywords(set).iter().filter_map(place);
        let mut places: Vec<u16> = places.filter_map(|at| u16::try_from(at).ok()).collect();
        places.sort_unstable();
        let number = u32::try_from(self.found.len()).unwrap_or(0);
        self.found.push(places);
        self.numbers.insert(set, number);
        number
    }
}
