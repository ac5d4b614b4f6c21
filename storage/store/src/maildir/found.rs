//! A message's file that another program made.

use std::{io, path::Path, time::SystemTime};

use facteur_disk::{Disk, EntryKind};
use facteur_index::{Details, IndexError, MessageRow, Parts, Transaction};
use facteur_maildir::{BaseNames, FileName, Files, MessageFile, UidList, guid_of};
use facteur_message::Scanned;
use facteur_model::{Flags, Guid, InternalDate, ModSeq, Uid};

use super::Located;
use crate::{StoreError, read};

/// What its file says of a message.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) scanned: Scanned,
    pub(crate) internal_date: InternalDate,
    /// Why no more of it can be read, if it is damaged.
    pub(crate) damage: Option<io::Error>,
}

/// The files of the messages that a folder's list names, in UID order.
pub(crate) fn listed_files(disk: &Disk, dir: &Path) -> Result<Vec<(Uid, Located)>, StoreError> {
    let Some(mut list) = UidList::read(disk, dir)? else {
        return Ok(Vec::new());
    };
    let names = BaseNames::new("");
    list.files.refresh(disk, dir, &names, SystemTime::now())?;
    let files = list.files.iter().filter(|file| file.is_present());
    Ok(files
        .map(|file| {
            let located = Located::new(&file, dir);
            (file.uid(), located)
        })
        .collect())
}

/// Writes the rows of a message from its file; `None` when that is gone.
pub(crate) fn adopt(
    disk: &Disk,
    transaction: &Transaction<'_>,
    (mailbox, uid, modseq): (u32, Uid, ModSeq),
    file: &Located,
) -> Result<Option<MessageRow>, StoreError> {
    let Some(found) = find(disk, &file.path)? else {
        return Ok(None);
    };
    let row = MessageRow {
        uid,
        modseq,
        internal_date: found.internal_date,
        size: found.scanned.size,
        keywords: 0,
        flags: Flags::EMPTY,
    };
    found.write(
        transaction,
        mailbox,
        &row,
        (guid_of(&file.guid), &file.base),
    )?;
    Ok(Some(row))
}

impl Found {
    /// Writes a message's rows.
    pub(super) fn write(
        &self,
        transaction: &Transaction<'_>,
        mailbox: u32,
        row: &MessageRow,
        (guid, base): (Guid, &[u8]),
    ) -> Result<(), IndexError> {
        let details = Details {
            guid,
            parts: Parts {
                envelope: &self.scanned.envelope,
                body_structure: &self.scanned.body_structure,
                body: &self.scanned.body,
            },
        };
        transaction.add_message(mailbox, row, &details)?;
        if let Some(delivery) = BaseNames::mark(base) {
            let now = InternalDate::from(SystemTime::now()).unix();
            transaction.add_delivery(delivery, mailbox, row.uid, now)?;
        }
        Ok(())
    }
}

/// Reads a message's file; `None` when it is not there any more.
pub(crate) fn find(disk: &Disk, path: &Path) -> Result<Option<Found>, StoreError> {
    if disk.kind(path)? != Some(EntryKind::File) {
        return Ok(None);
    }
    let file = match MessageFile::open(disk, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let name = path.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes);
    let plain = name.and_then(FileName::parse).and_then(|name| name.size());
    let (scanned, damage) = read::scan_maildir(&file, plain)?;
    Ok(Some(Found {
        internal_date: file.modified()?,
        scanned,
        damage,
    }))
}

impl super::Folder {
    /// The POP3 unique-ids that the list has of messages, in UID order, while the list is held.
    pub(crate) fn pop3_uidls(&self) -> Vec<(Uid, String)> {
        let inner = self.lock();
        let files = inner.files.iter().flat_map(Files::iter);
        let ids = files.filter_map(|file| Some((file.uid(), file.extension(b'P')?)));
        ids.map(|(uid, id)| (uid, String::from_utf8_lossy(id).into_owned()))
            .collect()
    }
}
