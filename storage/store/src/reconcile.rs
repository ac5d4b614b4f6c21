//! An index that is new, or was left in use by another store: what it says of a mailbox is brought
//! in line with its files.
//!
//! The files are right. A file without a row was delivered and its row not written; a row without a
//! file was expunged and its row not removed.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use facteur_disk::{Disk, EntryKind};
use facteur_index::{Details, Index, MailboxRow, MessageRow, Parts, Transaction};
use facteur_model::{Flags, Guid, InternalDate, MailboxName, ModSeq, Uid, UidSet};
use facteur_sdbox::{Layout, MessageFile, Metadata};

use crate::{
    StoreError,
    commit::next_uid,
    owner::{Folder, count_in, raised, state_of},
    read,
};

/// Brings one mailbox in line. One that is being taken over from Dovecot gets its identity last.
pub(crate) fn folder(
    disk: &Disk,
    layout: &Layout,
    index: &mut Index,
    name: &MailboxName,
    folder: &mut Folder,
    (going, adopted): (&HashSet<PathBuf>, bool),
) -> Result<(), StoreError> {
    let (mut files, _) = layout.messages(disk, name)?;
    let mails = layout.mails(name);
    // What was expunged stays until a checkpoint.
    files.retain(|uid| !going.contains(&mails.join(Layout::file_name(*uid))));
    let before = folder.row;
    let mailbox = before.id;
    let rows = index.messages(mailbox)?;
    let present: UidSet = files.iter().copied().collect();
    let known: UidSet = rows.iter().map(|row| row.uid).collect();
    let gone: UidSet = rows
        .iter()
        .map(|row| row.uid)
        .filter(|uid| !present.contains(*uid))
        .collect();
    let expunged = index.expunged(mailbox, ModSeq::new(0))?;
    let (back, mut new): (Vec<Uid>, Vec<Uid>) = files
        .iter()
        .copied()
        .filter(|uid| !known.contains(*uid))
        .partition(|uid| expunged.contains(*uid));
    let row = &mut folder.row;
    row.uid_next = row.uid_next.max(folder.identity.uid_ceiling);
    let ceiling = ModSeq::new(folder.identity.modseq_ceiling);
    row.highest_modseq = row.highest_modseq.max(ceiling);
    let past_last = files.last().map_or(1, |uid| u64::from(uid.value()) + 1);
    row.uid_next = row.uid_next.max(past_last);
    let changes = !new.is_empty() || !back.is_empty() || !gone.is_empty();
    if changes {
        row.highest_modseq = ModSeq::new(row.highest_modseq.value() + 1);
    }
    // Clients will see these numbers, and the index may be lost again.
    let last = row.uid_next.saturating_sub(1) + back.len() as u64;
    let used = row.highest_modseq > ModSeq::new(1) || last > 0;
    if let Some(raised) = raised(folder.identity, last, row.highest_modseq.value())
        && used
        && !adopted
    {
        raised.write(disk, layout, name)?;
        folder.identity = raised;
    }
    new.extend(give_new_uids(disk, &mails, &back, row)?);
    if changes {
        tracing::warn!(path = %mails.display(), found = new.len(), gone = gone.len(), "index is brought in line with the message files");
    }
    let modseq = row.highest_modseq;
    let mut kept: BTreeMap<Uid, MessageRow> = rows
        .into_iter()
        .filter(|row| !gone.contains(row.uid))
        .map(|row| (row.uid, row))
        .collect();
    index.transaction(|transaction| {
        transaction.expunge(mailbox, &gone, modseq)?;
        for uid in new {
            let path = mails.join(Layout::file_name(uid));
            if let Some(row) = adopt(disk, transaction, mailbox, &path, uid, modseq)? {
                kept.insert(uid, row);
            }
        }
        (row.messages, row.unseen, row.deleted, row.bytes) = (0, 0, 0, 0);
        kept.values().for_each(|m| count_in(row, &state_of(m)));
        if *row != before {
            transaction.set_mailbox(row)?;
        }
        Ok::<_, StoreError>(())
    })
}

/// Files whose UIDs are of expunged messages. The journal does not know them any more: somebody put
/// them back from a backup, or they could not be removed. They are mail, under UIDs that clients must
/// not see again (RFC 3501 §2.3.1.1).
fn give_new_uids(
    disk: &Disk,
    mails: &Path,
    back: &[Uid],
    row: &mut MailboxRow,
) -> Result<Vec<Uid>, StoreError> {
    let mut given = Vec::with_capacity(back.len());
    for uid in back {
        let old = mails.join(Layout::file_name(*uid));
        if disk.kind(&old)? != Some(EntryKind::File) {
            continue;
        }
        let new = next_uid(row)?;
        disk.rename_new(&old, &mails.join(Layout::file_name(new)))?;
        given.push(new);
    }
    if !given.is_empty() {
        disk.sync_dir(mails)?;
    }
    Ok(given)
}

/// Writes the rows of a message from its file; `None` when the file is not one that can be read. It
/// is left alone then.
pub(crate) fn adopt(
    disk: &Disk,
    transaction: &Transaction<'_>,
    mailbox: u32,
    path: &Path,
    uid: Uid,
    modseq: ModSeq,
) -> Result<Option<MessageRow>, StoreError> {
    let (file, metadata) = match open(disk, path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::error!(path = %path.display(), %error, "message file is damaged and left out");
            return Ok(None);
        }
        Err(error) => {
            // It may be readable again soon: to leave it out would take it from clients for good.
            tracing::error!(path = %path.display(), %error, "message file cannot be read");
            return Err(error.into());
        }
    };
    let modified = file.modified()?;
    let Metadata {
        guid,
        delivery,
        received,
        ..
    } = metadata;
    let scanned = read::scan_stored(&file, &metadata)?;
    let row = MessageRow {
        uid,
        modseq,
        internal_date: received.unwrap_or(modified),
        size: metadata.virtual_size.unwrap_or(scanned.size),
        keywords: 0,
        flags: Flags::EMPTY,
    };
    let details = Details {
        guid: match guid {
            Some(guid) => guid,
            None => Guid::random()?,
        },
        parts: Parts {
            envelope: &scanned.envelope,
            body_structure: &scanned.body_structure,
            body: &scanned.body,
        },
    };
    transaction.add_message(mailbox, &row, &details)?;
    if let Some(delivery) = delivery {
        let now = InternalDate::from(SystemTime::now()).unix();
        transaction.add_delivery(delivery, mailbox, uid, now)?;
    }
    Ok(Some(row))
}

/// Opens a message's file. A folder, a pipe or a link of such a name is no message.
fn open(disk: &Disk, path: &Path) -> io::Result<(MessageFile, Metadata)> {
    if disk.kind(path)? != Some(EntryKind::File) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no plain file"));
    }
    let file = MessageFile::open(disk, path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}
