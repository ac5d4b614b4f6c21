//! Mailboxes that Dovecot left: what only its index knows of them is taken over, once.
//!
//! Dovecot keeps a mailbox's UIDVALIDITY and GUID and its messages' flags and keywords beside the
//! message files, in `dovecot.index` and its log. A mailbox that has those and no `uidvalidity` file
//! of ours is taken over: its identity comes from there, and so do the flags of the messages whose
//! files are there. Messages are what the files are: one that only Dovecot's index has is gone, one
//! that only the folder has comes without flags.
//!
//! Our `uidvalidity` file is written last, when the index is durable: killed in between, we begin
//! again. From then on Dovecot's index is history and never looked at, also when ours is lost: its
//! flags would bring back what was changed since. Only who removes both, our index and the
//! `uidvalidity` files, asks for it again. Dovecot's files stay, for the way back.
//!
//! Only files in their usual place are found: next to the messages, not where `INDEX=` of
//! `mail_location` says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use facteur_disk::Disk;
use facteur_dovecot::{Files, MailboxImage, Reading, Unreadable};
use facteur_index::{Index, IndexError, Transaction};
use facteur_model::{AccountSpec, Flags, Guid, Keyword, MailboxName, ModSeq, Uid};
use facteur_sdbox::{Identity, Layout};

use crate::{
    StoreError,
    keywords::KeywordTable,
    owner::{Folder, State, count_in, state_of},
};

/// Largest of Dovecot's files that is read. One of 10 million messages is smaller.
const MAX_FILE: u64 = 1 << 30;

/// What Dovecot knew of the mailboxes that are taken over.
pub(crate) type Images = BTreeMap<MailboxName, MailboxImage>;

/// What Dovecot knew of a mailbox that has no identity of ours; `None` when it is not Dovecot's.
pub(crate) fn image(
    disk: &Disk,
    layout: &Layout,
    spec: &AccountSpec,
    index: &mut Index,
    name: &MailboxName,
) -> Result<Option<MailboxImage>, StoreError> {
    // A damaged file is one of ours.
    if disk.kind(&layout.identity(name))?.is_some() {
        return Ok(None);
    }
    let read = |file: &str| file_of(disk, layout, name, file);
    let [files, log, log2, backup] = [
        read("dovecot.index")?,
        read("dovecot.index.log")?,
        read("dovecot.index.log.2")?,
        read("dovecot.index.backup")?,
    ];
    let files = Files {
        index: files.as_deref(),
        log: log.as_deref(),
        log2: log2.as_deref(),
        backup: backup.as_deref(),
    };
    let Reading { image, remarks } = match facteur_dovecot::read(&files) {
        Ok(reading) => reading,
        // It never had any, or never used it.
        Err(Unreadable::Missing | Unreadable::NoUidValidity) => return Ok(None),
        Err(error) => {
            tracing::warn!(account = %spec.id, mailbox = %name, %error, "Dovecot's index cannot be read: flags and keywords are lost");
            return Ok(None);
        }
    };
    if let Some(guid) = image.guid
        && !begin(index, guid)?
    {
        tracing::warn!(account = %spec.id, mailbox = %name, "Dovecot's index is passed over: it was taken over before, and is older than what was changed since");
        return Ok(None);
    }
    for remark in remarks {
        tracing::warn!(account = %spec.id, mailbox = %name, "Dovecot's {remark}");
    }
    Ok(Some(image))
}

fn file_of(
    disk: &Disk,
    layout: &Layout,
    name: &MailboxName,
    file: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let path = layout.mails(name).join(file);
    let size = match disk.open(&path) {
        Ok(file) => file.size()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // It may be readable soon, and without it the flags would be lost for good.
        Err(error) => return Err(error.into()),
    };
    if size > MAX_FILE {
        tracing::warn!(path = %path.display(), size, "file is too large to be Dovecot's index");
        return Ok(None);
    }
    Ok(Some(disk.read(&path)?))
}

/// How far the mailbox with this GUID is taken over: a fact of the index.
fn fact(guid: Guid) -> String {
    format!("adopted {guid}")
}

/// It was begun; what the index has may be without flags yet.
const BEGUN: &str = "begun";
/// The mailbox is ours.
const DONE: &str = "done";

/// Notes that the mailbox with this GUID is being taken over; says whether it may be. One that the
/// index has already, and not from an attempt that was killed, is ours.
fn begin(index: &mut Index, guid: Guid) -> Result<bool, StoreError> {
    match index.fact(&fact(guid))? {
        Some(how) => return Ok(how == BEGUN),
        None if index.mailboxes()?.iter().any(|row| row.guid == guid) => return Ok(false),
        None => {}
    }
    index.transaction(|transaction| transaction.set_fact(&fact(guid), BEGUN))?;
    Ok(true)
}

/// The identity that the mailbox keeps.
pub(crate) fn identity(image: &MailboxImage, state: &State) -> Result<Identity, StoreError> {
    // Who copied a folder copied its GUID.
    let taken = |guid: &Guid| state.folders.values().any(|f| f.identity.guid == *guid);
    let guid = match image.guid.filter(|guid| !taken(guid)) {
        Some(guid) => guid,
        None => Guid::random()?,
    };
    Ok(Identity {
        uid_ceiling: image.next_uid,
        modseq_ceiling: image.highest_modseq.value().saturating_add(1),
        ..Identity::new(image.uid_validity, guid)
    })
}

/// Gives the messages of a mailbox, whose rows were made from their files, what Dovecot knew of them.
pub(crate) fn take_over(
    index: &mut Index,
    spec: &AccountSpec,
    folder: &mut Folder,
    image: &MailboxImage,
) -> Result<(), StoreError> {
    let mailbox = folder.row.id;
    let rows = index.messages(mailbox)?;
    let mut table = KeywordTable::from_rows(index.keyword_sets(mailbox)?);
    let known = rows.iter().filter(|row| image.message(row.uid).is_some());
    let known = known.count();
    let name = folder.core.name();
    let row = &mut folder.row;
    (row.messages, row.unseen, row.deleted, row.bytes) = (0, 0, 0, 0);
    row.highest_modseq = row.highest_modseq.max(image.highest_modseq);
    row.recent_from = image.first_recent_uid.into();
    let mut dropped = BTreeSet::new();
    index.transaction(|transaction| {
        let sets = keyword_sets(transaction, mailbox, image, &mut table, &mut dropped)?;
        for mut message in rows.iter().copied() {
            if let Some((flags, keywords, modseq)) = look_up(image, &sets, message.uid) {
                (message.flags, message.keywords, message.modseq) = (flags, keywords, modseq);
                transaction.set_flags(mailbox, message.uid, &message)?;
            }
            count_in(row, &state_of(&message));
        }
        transaction.set_mailbox(row)
    })?;
    for keyword in dropped {
        tracing::warn!(account = %spec.id, mailbox = %name, keyword, "keyword is dropped: IMAP allows none of this form");
    }
    tracing::info!(
        account = %spec.id, mailbox = %name, uid_validity = %image.uid_validity,
        messages = rows.len(), without_flags = rows.len() - known, gone = image.messages.len() - known,
        "mailbox is taken over from Dovecot"
    );
    Ok(())
}

fn look_up(image: &MailboxImage, sets: &[u32], uid: Uid) -> Option<(Flags, u32, ModSeq)> {
    let known = image.message(uid)?;
    let keywords = sets.get(known.keywords as usize).copied().unwrap_or(0);
    Some((known.flags, keywords, known.modseq))
}

/// The numbers that the mailbox gives the image's sets of keywords.
fn keyword_sets<'i>(
    transaction: &Transaction<'_>,
    mailbox: u32,
    image: &'i MailboxImage,
    table: &mut KeywordTable,
    dropped: &mut BTreeSet<&'i str>,
) -> Result<Vec<u32>, IndexError> {
    let mut numbers = Vec::with_capacity(image.keyword_sets.len());
    for set in (0_u32..).take(image.keyword_sets.len()) {
        let mut keywords = Vec::new();
        for name in image.keyword_names(set) {
            match Keyword::parse(name) {
                Some(keyword) => keywords.push(keyword),
                None => {
                    dropped.insert(name);
                }
            }
        }
        let number = match table.find(&keywords) {
            Some(known) => known.0,
            // Dovecot's list is cut to as many as a mailbox of ours can have.
            None => match table.add(&keywords) {
                Ok((number, text)) => {
                    transaction.add_keyword_set(mailbox, number.0, &text)?;
                    number.0
                }
                Err(_) => 0,
            },
        };
        numbers.push(number);
    }
    Ok(numbers)
}

/// Makes what was taken over ours: durable in the index first, then the mailboxes' identities.
pub(crate) fn confirm(
    disk: &Disk,
    layout: &Layout,
    index: &mut Index,
    state: &mut State,
    images: &Images,
) -> Result<(), StoreError> {
    if images.is_empty() {
        return Ok(());
    }
    index.checkpoint()?;
    let mut guids = Vec::new();
    for name in images.keys() {
        let Some(folder) = state.folders.get_mut(name) else {
            continue;
        };
        let (row, identity) = (&folder.row, &mut folder.identity);
        identity.uid_ceiling = identity.uid_ceiling.max(row.uid_next);
        let next = row.highest_modseq.value().saturating_add(1);
        identity.modseq_ceiling = identity.modseq_ceiling.max(next);
        identity.write(disk, layout, name)?;
        guids.push(identity.guid);
    }
    index.transaction(|transaction| {
        guids
            .iter()
            .try_for_each(|guid| transaction.set_fact(&fact(*guid), DONE))
    })?;
    Ok(())
}
