//! Files that become messages.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_disk::Disk;
use facteur_index::{Index, IndexError, MailboxRow};
use facteur_maildir::{BaseNames, FileName, Layout, guid_of};
use facteur_model::{Guid, ModSeq, UidSet};

use super::{
    Found, Inner, List, Named, base_of,
    compare::{Look, Noticed, Stray},
    find,
    merge::Translator,
};
use crate::{
    KeywordSetId, MessageState, StoreError,
    commit::next_uid,
    keywords::KeywordTable,
    owner::{Folder, count_in, raised, row_of, state_of},
    record::{Added, Content, MailboxId},
};

/// Most messages taken in at once.
const AT_ONCE: usize = 200;

/// What strays become of.
pub(super) struct TakenIn {
    pub(super) state: MessageState,
    pub(super) found: Found,
    pub(super) named: Named,
}

impl TakenIn {
    pub(super) fn guid(&self) -> Guid {
        guid_of(self.named.guid.as_deref().unwrap_or(&self.named.base))
    }

    /// The delivery by which a message of ours is known again.
    fn delivery(&self) -> Guid {
        BaseNames::mark(&self.named.base).unwrap_or_else(|| self.guid())
    }

    pub(super) fn into_added(self, mailbox: MailboxId, now: i64) -> Added {
        Added {
            mailbox,
            message: row_of(&self.state).into(),
            guid: self.guid(),
            delivery: self.delivery(),
            noted_at: now,
            content: Content::There,
            base: self.named.base.into_vec(),
            envelope: self.found.scanned.envelope,
            body_structure: self.found.scanned.body_structure,
            body: self.found.scanned.body,
        }
    }
}

impl Inner {
    /// The next of the files that are to become messages. A UID that the list gives one of them is its
    /// only if none from there on was given since: `uid_next` is the next.
    pub(super) fn next_strays(&mut self, uid_next: u64) -> Vec<Stray> {
        let some = self.strays.len().min(AT_ONCE);
        let mut some: Vec<Stray> = self.strays.drain(..some).collect();
        let mut next = uid_next;
        for stray in &mut some {
            match stray.uid.filter(|uid| u64::from(uid.value()) < next) {
                Some(taken) => {
                    stray.uid = None;
                    self.list = List::Stale;
                    if let Some(files) = &mut self.files {
                        files.retain(|uid| uid != taken);
                    }
                    next += 1;
                }
                None => next = stray.uid.map_or(next, |uid| uid.value().into()) + 1,
            }
        }
        some
    }
}

/// Reads files and gives them their numbers; those that are gone by now are passed over.
pub(super) fn take_in(
    disk: &Disk,
    dir: &Path,
    strays: Vec<Stray>,
    row: &mut MailboxRow,
    modseq: ModSeq,
    translator: &mut Translator<'_>,
) -> Result<Vec<TakenIn>, StoreError> {
    let mut taken = Vec::with_capacity(strays.len());
    for stray in strays {
        let path = stray.place.file(dir, &stray.name);
        let found = match find(disk, &path) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            // Without the others the mailbox could not be used at all.
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "message's file cannot be read and is left out");
                continue;
            }
        };
        let Some(name) = FileName::parse(&stray.name) else {
            continue;
        };
        let uid = match stray.uid {
            Some(uid) => {
                row.uid_next = row.uid_next.max(u64::from(uid.value()) + 1);
                uid
            }
            None => next_uid(row)?,
        };
        let (flags, letters) = (name.flags(), name.letters());
        let state = MessageState {
            uid,
            modseq,
            internal_date: found.internal_date,
            size: found.scanned.size,
            keywords: translator.set(KeywordSetId::default(), letters),
            flags,
        };
        count_in(row, &state);
        taken.push(TakenIn {
            state,
            found,
            named: Named {
                uid,
                guid: stray.guid,
                base: name.base().into(),
                place: stray.place,
                name: stray.name.into_vec(),
                dirty: false,
            },
        });
    }
    Ok(taken)
}

/// Brings the index of a mailbox that is being opened in line with its folder. `lost`: it is new, or
/// was left in use by another store; else another server had the folder since.
pub(crate) fn reconcile(
    disk: &Disk,
    (layout, names): (&Layout, &BaseNames),
    index: &mut Index,
    folder: &mut Folder,
    (going, lost): (&HashSet<PathBuf>, bool),
) -> Result<(), StoreError> {
    let name = folder.core.name();
    let Some(maildir) = folder.core.maildir() else {
        return Ok(());
    };
    let dir = &layout.folder(&name);
    let mailbox = folder.row.id;
    let messages: Vec<MessageState> = index.messages(mailbox)?.iter().map(state_of).collect();
    let expunged = index.expunged(mailbox, ModSeq::new(0))?;
    let table = KeywordTable::from_rows(index.keyword_sets(mailbox)?);
    let before = folder.row;
    let row = &mut folder.row;
    let mut inner = maildir.lock();
    let file = inner.keywords(disk, dir)?.clone();
    let mut translator = Translator::new(&file, Arc::new(table));
    let look = Look {
        messages: &messages,
        going: &|| going.iter().filter_map(|path| base_of(path)).collect(),
        keeps: &|uid| !expunged.contains(uid),
        keeps_lines: true,
    };
    let Noticed {
        mut changed,
        gone,
        mut strays,
    } = inner.look_through(disk, dir, row, &look, names, &mut translator)?;
    let known = strays.iter().rev().find_map(|stray| stray.uid);
    let past_last = known.map_or(1, |uid| u64::from(uid.value()) + 1);
    row.uid_next = row.uid_next.max(past_last).max(inner.listed_next);
    if lost {
        // Who knows what was given.
        row.uid_next = row.uid_next.max(folder.identity.uid_ceiling);
        let ceiling = ModSeq::new(folder.identity.modseq_ceiling);
        row.highest_modseq = row.highest_modseq.max(ceiling);
    }
    let modseq = ModSeq::new(row.highest_modseq.value() + 1);
    if !(strays.is_empty() && changed.is_empty() && gone.is_empty()) {
        row.highest_modseq = modseq;
        tracing::info!(path = %dir.display(), found = strays.len(), gone = gone.len(), changed = changed.len(), "index is brought in line with the folder");
    }
    // Clients will see these numbers, and the index may be lost again.
    let last = row.uid_next.saturating_sub(1) + strays.len() as u64;
    let used = row.highest_modseq > ModSeq::new(1) || last > 0;
    if let Some(raised) = raised(folder.identity, last, row.highest_modseq.value())
        && used
    {
        raised.write(disk, layout, &name)?;
        folder.identity = raised;
    }
    for message in &mut changed {
        message.modseq = modseq;
    }
    index.transaction(|transaction| {
        transaction.expunge(mailbox, &gone, modseq)?;
        changed
            .iter()
            .try_for_each(|message| transaction.set_flags(mailbox, message.uid, &row_of(message)))
    })?;
    while !strays.is_empty() {
        let some = strays.len().min(AT_ONCE);
        let some: Vec<Stray> = strays.drain(..some).collect();
        let added = take_in(disk, dir, some, row, modseq, &mut translator)?;
        write(
            index,
            mailbox,
            &std::mem::take(&mut translator.sets),
            &added,
        )?;
        let named: Vec<Named> = added.into_iter().map(|one| one.named).collect();
        inner.shown(&named, &[], &UidSet::new());
    }
    let sets = std::mem::take(&mut translator.sets);
    write(index, mailbox, &sets, &[])?;
    (row.messages, row.unseen, row.deleted, row.bytes) = (0, 0, 0, 0);
    for message in index.messages(mailbox)? {
        count_in(row, &state_of(&message));
    }
    if *row != before {
        index.transaction(|transaction| transaction.set_mailbox(row))?;
    }
    inner.write_list(disk, dir, row)?;
    inner.files = None;
    Ok(())
}

/// Writes the rows of messages, and the sets of keywords that are new.
fn write(
    index: &mut Index,
    mailbox: u32,
    sets: &[(KeywordSetId, String)],
    added: &[TakenIn],
) -> Result<(), IndexError> {
    if sets.is_empty() && added.is_empty() {
        return Ok(());
    }
    index.transaction(|transaction| {
        for (set, text) in sets {
            transaction.add_keyword_set(mailbox, set.0, text)?;
        }
        added.iter().try_for_each(|one| {
            let who = (one.guid(), &*one.named.base);
            one.found
                .write(transaction, mailbox, &row_of(&one.state), who)
        })
    })
}
