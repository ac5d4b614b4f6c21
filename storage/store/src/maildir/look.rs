//! What other programs did in a folder: messages that they put there, removed, or gave other flags.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use facteur_disk::Disk;
use facteur_index::{Index, MailboxRow};
use facteur_journal::Ticket;
use facteur_maildir::{BaseNames, Changes, FileName, Place, guid_of};
use facteur_model::{Flags, Guid, InternalDate, ModSeq, Uid, UidSet};

use super::{
    Found, Inner, Named, base_of, find,
    merge::{Said, Translator},
};
use crate::{
    MessageState, StoreError,
    commit::next_uid,
    keywords::KeywordTable,
    owner::{Folder, Owner, State, count_in, count_out, row_of, state_of},
    pending::{Pending, Show},
    record::{Added, Change, Content, FlagRun, MailboxId},
    shared::Shared,
    view::{Core, Wakes},
};

/// Most messages taken in with one record.
const AT_ONCE: usize = 200;

/// A file that is to become a message.
#[derive(Debug)]
struct Stray {
    /// The UID that the list gives it.
    uid: Option<Uid>,
    guid: Option<Guid>,
    place: Place,
    name: Box<[u8]>,
}

/// What a look found.
#[derive(Default)]
struct Noticed {
    changed: Vec<MessageState>,
    gone: UidSet,
    strays: VecDeque<Stray>,
}

/// What strays become of.
struct TakenIn {
    state: MessageState,
    found: Found,
    named: Named,
}

impl super::Folder {
    /// Whether the folder must be looked through; without a lock on the account, and without reading
    /// the folder.
    fn may_have_changed(&self, disk: &Disk, dir: &Path, is_open: bool) -> Result<bool, StoreError> {
        let stamps = {
            let inner = self.lock();
            match inner.stamps {
                Some(stamps) if inner.files.is_some() || !is_open => stamps,
                _ => return Ok(true),
            }
        };
        Ok(stamps.are_old(disk, dir, SystemTime::now())?)
    }
}

impl Owner {
    /// Takes in what other programs did in a mailbox's folder since it was looked at last. Nothing to
    /// do in a format that is ours alone.
    pub(crate) fn notice(
        self: &Arc<Self>,
        shared: &Shared,
        core: &Arc<Core>,
    ) -> Result<(), StoreError> {
        let Some(maildir) = core.maildir() else {
            return Ok(());
        };
        let dir = self.layout.folder(&core.name());
        if !maildir.may_have_changed(&shared.disk, &dir, core.view().is_some())? {
            return Ok(());
        }
        let mut left = None;
        loop {
            let entered = shared.log.enter_at_once();
            let mut wakes = Wakes::default();
            let mut state = self.lock_settled(shared, &mut wakes)?;
            let taken = self.take_in(shared, &mut state, core, &mut left);
            drop(state);
            let done = match taken {
                Ok(Some(ticket)) => self.finish(shared, ticket, &mut wakes),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            drop(entered);
            if let Err(error) = done {
                maildir.suspect();
                return Err(error);
            }
            if left.as_ref().is_none_or(VecDeque::is_empty) {
                return Ok(());
            }
        }
    }

    /// One step of it, in one record. `left` are the files that are still to be taken in, once the
    /// folder was looked through.
    fn take_in(
        self: &Arc<Self>,
        shared: &Shared,
        state: &mut State,
        core: &Arc<Core>,
        left: &mut Option<VecDeque<Stray>>,
    ) -> Result<Option<Ticket>, StoreError> {
        let (Ok(folder), Some(maildir)) = (state.folder_of(core), core.maildir()) else {
            *left = None;
            return Ok(None);
        };
        let (disk, dir) = (&shared.disk, self.layout.folder(&core.name()));
        let table = self.keywords(shared, folder)?;
        let mut row = folder.row;
        let mut inner = maildir.lock();
        let file = inner.keywords(disk, &dir)?.clone();
        let mut translator = Translator::new(&file, table);
        let mut noticed = Noticed::default();
        if let Some(strays) = left.take() {
            noticed.strays = strays;
        } else {
            let messages = self.all_messages(shared, folder)?;
            let look = Look {
                messages: &messages,
                going: &|| bases_going(shared, &dir),
                keeps: &|uid| u64::from(uid.value()) >= row.uid_next,
            };
            noticed =
                inner.look_through(disk, &dir, &row, &look, &shared.names, &mut translator)?;
            let gone = &noticed.gone;
            messages
                .iter()
                .filter(|message| gone.contains(message.uid))
                .for_each(|message| count_out(&mut row, message));
            recount(&mut row, &messages, &noticed.changed);
        }
        drop(inner);
        let modseq = ModSeq::new(row.highest_modseq.value() + 1);
        for message in &mut noticed.changed {
            message.modseq = modseq;
        }
        let some = noticed.strays.len().min(AT_ONCE);
        let some: Vec<Stray> = noticed.strays.drain(..some).collect();
        let added = take_in(disk, &dir, some, &mut row, modseq, &mut translator)?;
        *left = Some(std::mem::take(&mut noticed.strays));
        if added.is_empty() && noticed.changed.is_empty() && noticed.gone.is_empty() {
            return Ok(None);
        }
        row.highest_modseq = modseq;
        let folder = state.folder_of_mut(core)?;
        self.reserve(
            shared,
            folder,
            row.uid_next.saturating_sub(1),
            modseq.value(),
        )?;
        tracing::info!(account = %self.id, mailbox = %core.name(), found = added.len(), gone = noticed.gone.len(), changed = noticed.changed.len(), "another program changed the mailbox");
        let show = Show {
            keywords: Some(Arc::clone(&translator.table)),
            added: added.iter().map(|one| one.state).collect(),
            changed: noticed.changed.clone(),
            gone: noticed.gone.clone(),
            named: added.iter().map(|one| one.named.clone()).collect(),
            ..Show::new(core, row)
        };
        let changes = changes(&row, &translator.sets, &noticed, added);
        let (ticket, rows) = self.append(shared, changes)?;
        let folder = state.folder_of_mut(core)?;
        folder.row = row;
        folder.keywords = show.keywords.clone();
        state.pending.push_back(Pending {
            ticket,
            files: Vec::new(),
            unlinks: Vec::new(),
            shows: vec![show],
            rows,
        });
        Ok(Some(ticket))
    }

    fn all_messages(
        self: &Arc<Self>,
        shared: &Shared,
        folder: &Folder,
    ) -> Result<Vec<MessageState>, StoreError> {
        if let Some(view) = folder.core.view() {
            return Ok(view.snapshot().iter().copied().collect());
        }
        let id = folder.row.id;
        let rows = self.look(shared, |index, waiting| waiting.messages(index, id))?;
        Ok(rows.iter().map(state_of).collect())
    }
}

/// The bases of a folder's messages whose files are still to go.
fn bases_going(shared: &Shared, dir: &Path) -> HashSet<Box<[u8]>> {
    let going = shared.log.going(dir);
    going.iter().filter_map(|path| base_of(path)).collect()
}

/// Counts changed messages as they become.
fn recount(row: &mut MailboxRow, messages: &[MessageState], changed: &[MessageState]) {
    for after in changed {
        if let Ok(at) = messages.binary_search_by_key(&after.uid, |message| message.uid)
            && let Some(before) = messages.get(at)
        {
            count_out(row, before);
            count_in(row, after);
        }
    }
}

/// What the journal and the index keep of it.
fn changes(
    row: &MailboxRow,
    sets: &[(crate::KeywordSetId, String)],
    noticed: &Noticed,
    added: Vec<TakenIn>,
) -> Vec<Change> {
    let mailbox = MailboxId::of(row);
    let sets = sets.iter().map(|(set, text)| Change::Keywords {
        mailbox,
        set: set.0,
        text: text.clone(),
    });
    let mut changes: Vec<Change> = sets.collect();
    let now = InternalDate::from(SystemTime::now()).unix();
    for one in added {
        changes.push(Change::Add(Box::new(one.into_added(mailbox, now))));
    }
    if !noticed.changed.is_empty() {
        let runs = noticed.changed.iter().map(|message| FlagRun {
            first: message.uid.value(),
            last: row_of(message).into(),
        });
        changes.push(Change::Flags {
            mailbox,
            runs: runs.collect(),
        });
    }
    if !noticed.gone.is_empty() {
        let ranges = noticed.gone.ranges();
        changes.push(Change::Expunge {
            mailbox,
            ranges: ranges
                .map(|(low, high)| (low.value(), high.value()))
                .collect(),
            modseq: row.highest_modseq.value(),
            files_go: false,
        });
    }
    changes.push(Change::numbers(row));
    changes
}

impl TakenIn {
    fn guid(&self) -> Guid {
        self.named.guid.unwrap_or_else(|| guid_of(&self.named.base))
    }

    /// The delivery by which a message of ours is known again.
    fn delivery(&self) -> Guid {
        BaseNames::mark(&self.named.base).unwrap_or_else(|| self.guid())
    }

    fn into_added(self, mailbox: MailboxId, now: i64) -> Added {
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

/// What a look compares with.
struct Look<'a> {
    messages: &'a [MessageState],
    /// The bases of messages that were expunged before anybody here noted it.
    going: &'a dyn Fn() -> HashSet<Box<[u8]>>,
    /// Whether a UID of the list that nobody knows can be the message's.
    keeps: &'a dyn Fn(Uid) -> bool,
}

impl Inner {
    /// Looks where the files are.
    pub(super) fn refresh(
        &mut self,
        disk: &Disk,
        dir: &Path,
        names: &BaseNames,
    ) -> Result<Option<Changes>, StoreError> {
        let Some(files) = &mut self.files else {
            return Ok(None);
        };
        if !disk.is_dir(&Place::Cur.of(dir))? {
            // It may be on a disk that is not mounted: nothing is forgotten.
            tracing::error!(path = %dir.display(), "folder of a mailbox has no cur/");
            return Ok(None);
        }
        Ok(Some(files.refresh(disk, dir, names, SystemTime::now())?))
    }

    /// Looks through the folder, and says what is not as it is remembered.
    fn look_through(
        &mut self,
        disk: &Disk,
        dir: &Path,
        row: &MailboxRow,
        look: &Look<'_>,
        names: &BaseNames,
        translator: &mut Translator<'_>,
    ) -> Result<Noticed, StoreError> {
        if self.load(disk, dir, row)? {
            self.ending.extend((look.going)());
        }
        let said = self.said_of_dirty();
        let mut noticed = Noticed::default();
        let Some(changes) = self.refresh(disk, dir, names)? else {
            return Ok(noticed);
        };
        let Some(mut files) = self.files.take() else {
            return Ok(noticed);
        };
        let mut messages = look.messages.iter().peekable();
        let mut ending = HashSet::new();
        let mut stale = UidSet::new();
        for file in files.iter() {
            while let Some(lost) = messages.next_if(|message| message.uid < file.uid()) {
                noticed.gone.insert(lost.uid);
            }
            let message = messages.next_if(|message| message.uid == file.uid());
            match message {
                Some(message) if !file.is_present() => noticed.gone.insert(message.uid),
                Some(message) => {
                    let before = match self.dirty.contains(message.uid) {
                        false => None,
                        // Of one that nobody saw before, what we have counts.
                        true => match said.get(&message.uid) {
                            Some(said) => Some(*said),
                            None => continue,
                        },
                    };
                    let now = (file.flags(), file.letters());
                    noticed
                        .changed
                        .extend(translator.merge(message, before, now));
                }
                None if !file.is_present() => stale.insert(file.uid()),
                None if self.ending.contains(file.base()) => {
                    ending.insert(file.base().into());
                }
                None => {
                    let keeps = (look.keeps)(file.uid());
                    if !keeps {
                        stale.insert(file.uid());
                    }
                    let given = file.extension(b'G').is_some();
                    noticed.strays.push_back(Stray {
                        uid: keeps.then_some(file.uid()),
                        guid: given.then(|| file.guid()),
                        place: file.place(),
                        name: file.name().into(),
                    });
                }
            }
        }
        messages.for_each(|message| noticed.gone.insert(message.uid));
        for added in changes.added {
            match base_of(&PathBuf::from(os(&added.name))) {
                Some(base) if self.ending.contains(&base) => {
                    ending.insert(base);
                }
                _ => noticed.strays.push_back(Stray {
                    uid: None,
                    guid: None,
                    place: added.place,
                    name: added.name,
                }),
            }
        }
        // Those that have UIDs come first: the others get higher ones.
        noticed
            .strays
            .make_contiguous()
            .sort_by_key(|stray| (stray.uid.is_none(), stray.uid));
        if !stale.is_empty() {
            files.retain(|uid| !stale.contains(uid));
            if stale.len() > 64 + files.len() as u64 / 4 {
                self.list = super::List::Stale;
            }
        }
        self.files = Some(files);
        self.ending = ending;
        self.stamps = Some(changes.stamps);
        Ok(noticed)
    }

    /// What the names of messages said that have been changed since.
    fn said_of_dirty(&self) -> HashMap<Uid, Said> {
        let Some(files) = &self.files else {
            return HashMap::new();
        };
        let dirty = self.dirty.iter().filter_map(|uid| files.get(uid));
        dirty
            .filter(facteur_maildir::File::is_present)
            .map(|file| (file.uid(), (file.flags(), file.letters())))
            .collect()
    }
}

fn os(name: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name)
}

/// Reads files and gives them their numbers; those that are gone by now are passed over.
fn take_in(
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
        let (flags, letters): (Flags, _) = (name.flags(), name.letters());
        let state = MessageState {
            uid,
            modseq,
            internal_date: found.internal_date,
            size: found.scanned.size,
            keywords: translator.set(crate::KeywordSetId::default(), letters),
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

/// Brings the index of a mailbox that is being opened in line with its folder: one that is new, or
/// was left in use by another store.
pub(crate) fn reconcile(
    disk: &Disk,
    names: &BaseNames,
    index: &mut Index,
    dir: &Path,
    folder: &mut Folder,
    going: &HashSet<PathBuf>,
) -> Result<(), StoreError> {
    let Some(maildir) = folder.core.maildir() else {
        return Ok(());
    };
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
    };
    let Noticed {
        mut changed,
        gone,
        mut strays,
    } = inner.look_through(disk, dir, row, &look, names, &mut translator)?;
    let known = strays.iter().filter_map(|stray| stray.uid).last();
    let past_last = known.map_or(1, |uid| u64::from(uid.value()) + 1);
    row.uid_next = row.uid_next.max(past_last).max(folder.identity.uid_ceiling);
    let ceiling = ModSeq::new(folder.identity.modseq_ceiling);
    row.highest_modseq = row.highest_modseq.max(ceiling);
    let modseq = ModSeq::new(row.highest_modseq.value() + 1);
    if !(strays.is_empty() && changed.is_empty() && gone.is_empty()) {
        row.highest_modseq = modseq;
        tracing::info!(path = %dir.display(), found = strays.len(), gone = gone.len(), changed = changed.len(), "index is brought in line with the folder");
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
    loop {
        let some = strays.len().min(AT_ONCE);
        let some: Vec<Stray> = strays.drain(..some).collect();
        let mut counts = *row;
        let added = take_in(disk, dir, some, &mut counts, modseq, &mut translator)?;
        row.uid_next = counts.uid_next;
        let sets = std::mem::take(&mut translator.sets);
        index.transaction(|transaction| {
            for (set, text) in &sets {
                transaction.add_keyword_set(mailbox, set.0, text)?;
            }
            added.iter().try_for_each(|one| {
                let who = (one.guid(), &*one.named.base);
                one.found
                    .write(transaction, mailbox, &row_of(&one.state), who)
            })
        })?;
        let named: Vec<Named> = added.iter().map(|one| one.named.clone()).collect();
        inner.shown(&named, &[], &UidSet::new());
        if strays.is_empty() {
            break;
        }
    }
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
