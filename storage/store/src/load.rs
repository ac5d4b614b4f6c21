//! Opening an account: its folders, its index, and what an unclean end left between the two.

mod left;
mod temporary;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    path::PathBuf,
    time::SystemTime,
};

use facteur_disk::Disk;
use facteur_format::{Identity, Subscriptions};
use facteur_index::{Index, IndexError, MailboxRow, MessageRow};
use facteur_model::{AccountSpec, Guid, InternalDate, MailboxName, ModSeq, UidValidity};

use crate::{
    StoreError, adopt, copies, folders,
    format::Layout,
    maildir, maintenance,
    owner::{FORGOTTEN, Folder, Owner, State, UID_VALIDITY},
    reconcile, replay,
    shared::Shared,
    slot::{SESSION, Slot, index_path},
    view::Core,
};

pub(crate) use self::left::{Left, left};
use self::{
    left::Start,
    temporary::{remove_temporary, remove_temporary_files},
};

/// Opens an account; makes its home and its folders when they are missing. An index that is damaged
/// makes way for an empty one, which is filled from the files.
///
/// `settled`: changes were just done again, so that files may be left over.
pub(crate) fn account(
    shared: &Shared,
    spec: &AccountSpec,
    settled: bool,
) -> Result<Owner, StoreError> {
    let disk = &shared.disk;
    let new = !disk.is_dir(&spec.home)?;
    if new {
        shared.mail_root.expect(disk, &spec.home)?;
        disk.create_dir_all_durably(&spec.home)?;
    }
    shared.mail_root.note(disk, &spec.home, new);
    shared.touches(&spec.home)?;
    match attempt(shared, spec, settled) {
        Err(StoreError::Index(cause)) => {
            tracing::warn!(account = %spec.id, cause, "index is damaged: rebuilding it from the messages; flags that it cannot give any more are lost");
            maintenance::mend(&shared.disk, &Layout::of(spec))?;
            attempt(shared, spec, true)
        }
        result => result,
    }
}

fn attempt(shared: &Shared, spec: &AccountSpec, settled: bool) -> Result<Owner, StoreError> {
    let disk = &shared.disk;
    let layout = Layout::of(spec);
    layout.refuse_other(disk)?;
    let mut index = Index::open(disk, &index_path(layout.home()))?;
    let start = Start::of(&index, shared)?;
    let left = match start.damage {
        true => Left::Elsewhere,
        false => left(&index, &shared.log)?,
    };
    let going = shared.log.going(layout.home());
    let tidy = settled || start.unclean || left == Left::Elsewhere;
    if tidy {
        tidy_home(disk, &layout, &going)?;
    }
    let graves = folders::graves(disk, &layout)?;
    let mut state = State {
        folders: BTreeMap::new(),
        levels: BTreeSet::new(),
        subscriptions: Subscriptions::read(disk, &layout)?,
        // Who wrote them may have been killed before they were durable.
        subscriptions_unsynced: start.unclean,
        uid_validity: last_uid_validity(&index)?.max(layout.last_uid_validity(disk)?),
        script: None,
        told: None,
        pending: VecDeque::new(),
    };
    let adopted = read_folders(shared, &layout, spec, &mut index, &mut state)?;
    for (_, grave) in &graves {
        state.has_given(Identity::read_from(
            disk,
            &folders::identity_in(&layout, grave),
        )?);
    }
    let new = join_rows(&mut index, &mut state)?;
    for (_, grave) in graves {
        // What was copied from it need not be durable yet.
        if !going.contains(&grave) {
            shared.log.remove_later(grave);
        }
    }
    for (name, folder) in &mut state.folders {
        let image = adopted.get(name);
        let look = left == Left::Elsewhere || new.contains(name) || image.is_some();
        let layout = match &layout {
            Layout::Sdbox(layout) => layout,
            Layout::Maildir(layout) => {
                maildir::open(shared, layout, &mut index, folder, (tidy, look), &going)?;
                continue;
            }
        };
        if tidy || look {
            remove_temporary(disk, &layout.mails(name), &going)?;
            remove_temporary_files(disk, &layout.folder(name), &going)?;
        }
        if look {
            let known = (&going, image.is_some());
            reconcile::folder(disk, layout, &mut index, name, folder, known)?;
            forget_unknown_keywords(&mut index, folder.row.id)?;
            if let Some(image) = image {
                adopt::take_over(&mut index, spec, folder, image)?;
            }
        }
    }
    if let Layout::Sdbox(layout) = &layout {
        adopt::confirm(disk, layout, &mut index, &mut state, &adopted)?;
    }
    if left == Left::Elsewhere {
        // All that is there is known now.
        index.transaction(|t| t.set_fact(SESSION, "clean"))?;
    }
    start.note(shared, &mut index, &mut state)?;
    let unsure = |name: &MailboxName| {
        left == Left::Elsewhere || new.contains(name) || adopted.contains_key(name)
    };
    forget_expunged(&mut index, &state, unsure)?;
    make_auto_folders(shared, &layout, &mut index, &mut state)?;
    forget_deliveries(&mut index)?;
    for folder in state.folders.values_mut() {
        folder.shown = folder.row;
    }
    let slot = Slot::new(index, left == Left::OpenHere);
    Ok(Owner::new(spec, layout, slot, state))
}

/// Removes what an unclean end left half made beside the mailboxes.
fn tidy_home(disk: &Disk, layout: &Layout, going: &HashSet<PathBuf>) -> Result<(), StoreError> {
    remove_temporary(disk, layout.home(), going)?;
    remove_temporary(disk, &layout.home().join("sieve"), going)?;
    if let Layout::Maildir(layout) = layout {
        // INBOX need not be a mailbox any more, and becomes one again.
        maildir::remove_marked(disk, &layout.tmp(&MailboxName::inbox()), going)?;
    }
    Ok(())
}

/// What was expunged from these mailboxes before is not known, or not all: who asks is told so.
fn forget_expunged(
    index: &mut Index,
    state: &State,
    unsure: impl Fn(&MailboxName) -> bool,
) -> Result<(), StoreError> {
    let used = |folder: &Folder| folder.row.highest_modseq > ModSeq::new(1);
    let mut unsure = state
        .folders
        .iter()
        .filter(|(name, folder)| used(folder) && unsure(name))
        .map(|(_, folder)| &folder.row)
        .peekable();
    if unsure.peek().is_none() {
        return Ok(());
    }
    Ok(index.transaction(|transaction| {
        unsure.try_for_each(|row| transaction.forget_expunged(row.id, row.highest_modseq))
    })?)
}

/// Takes sets of keywords from messages that say a number of which the index does not know the set: the
/// journal gave them the number again after the index was lost, and the next new set would get it.
pub(crate) fn forget_unknown_keywords(index: &mut Index, mailbox: u32) -> Result<(), StoreError> {
    let known: HashSet<u32> = index
        .keyword_sets(mailbox)?
        .into_iter()
        .map(|(set, _)| set)
        .collect();
    let mut unknown = index.messages(mailbox)?;
    unknown.retain(|row| row.keywords != 0 && !known.contains(&row.keywords));
    if unknown.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        mailbox,
        messages = unknown.len(),
        "keywords are lost with the index"
    );
    Ok(index.transaction(|transaction| {
        unknown.into_iter().try_for_each(|row| {
            let row = MessageRow { keywords: 0, ..row };
            transaction.set_flags(mailbox, row.uid, &row)
        })
    })?)
}

/// Deliveries are remembered so long, in seconds: longer than anything waits in a queue.
const REMEMBER_DELIVERIES_SECS: i64 = 60 * 86_400;

/// Forgets old deliveries, now and then.
fn forget_deliveries(index: &mut Index) -> Result<(), StoreError> {
    let now = InternalDate::from(SystemTime::now()).unix();
    let last = index.fact(FORGOTTEN)?.and_then(|text| text.parse().ok());
    if last.is_some_and(|last: i64| {
        (last..last.saturating_add(REMEMBER_DELIVERIES_SECS / 4)).contains(&now)
    }) {
        return Ok(());
    }
    index.transaction(|transaction| {
        transaction.forget_deliveries(now - REMEMBER_DELIVERIES_SECS)?;
        transaction.set_fact(FORGOTTEN, &now.to_string())
    })?;
    Ok(())
}

impl State {
    /// Notes a UIDVALIDITY that some mailbox has, or had.
    fn has_given(&mut self, identity: Option<Identity>) {
        let given = identity.map_or(0, |identity| identity.uid_validity.value());
        self.uid_validity = self.uid_validity.max(given);
    }
}

/// The highest UIDVALIDITY given that the index has noted.
fn noted_uid_validity(index: &Index) -> Result<Option<u32>, StoreError> {
    Ok(index.fact(UID_VALIDITY)?.and_then(|text| text.parse().ok()))
}

/// The highest UIDVALIDITY that the index knows of.
fn last_uid_validity(index: &Index) -> Result<u32, StoreError> {
    let noted = noted_uid_validity(index)?;
    let mailboxes = index.mailboxes()?;
    let held = mailboxes.iter().map(|row| row.uid_validity.value());
    Ok(held.chain(noted).max().unwrap_or(0))
}

/// Finds the folders on disk, and who they are. Says what Dovecot knew of those that were its.
fn read_folders(
    shared: &Shared,
    layout: &Layout,
    spec: &AccountSpec,
    index: &mut Index,
    state: &mut State,
) -> Result<adopt::Images, StoreError> {
    let disk = &shared.disk;
    let found = layout.folders(disk)?;
    let (mut identified, mut nameless) = (Vec::new(), Vec::new());
    for folder in found {
        if !folder.is_mailbox {
            if let Layout::Sdbox(layout) = layout {
                // Of a mailbox that was deleted, and what lies below it was not.
                state.has_given(Identity::read(disk, layout, &folder.name)?);
            }
            state.levels.insert(folder.name);
            continue;
        }
        shared.touches(&layout.mails(&folder.name))?;
        match layout.identify(disk, &folder.name)? {
            Some(identity) => {
                state.has_given(Some(identity));
                identified.push((folder.name, identity));
            }
            None => nameless.push(folder.name),
        }
    }
    let copies = copies::find(disk, layout, &mut identified)?;
    for (name, mut identity) in identified {
        if copies.contains(&name) {
            // The journal knows a mailbox by its GUID; and when it gets the original's name one day, its
            // UIDs are not those of other messages.
            identity.guid = Guid::random()?;
            identity.uid_validity = next_uid_validity(state);
            layout.note_uid_validity(disk, identity.uid_validity)?;
            layout.write_identity(disk, &name, &identity)?;
        }
        let made = unjoined(name.clone(), identity, layout);
        state.folders.insert(name, made);
    }
    let mut adopted = adopt::Images::new();
    for name in nameless {
        if let Layout::Sdbox(sdbox) = layout
            && let Some(image) = adopt::image(disk, sdbox, spec, index, &name)?
        {
            let identity = adopt::identity(&image, state)?;
            state.uid_validity = state.uid_validity.max(identity.uid_validity.value());
            let mut folder = unjoined(name.clone(), identity, layout);
            folder.row.highest_modseq = image.highest_modseq;
            state.folders.insert(name.clone(), folder);
            adopted.insert(name, image);
            continue;
        }
        let identity = Identity::new(next_uid_validity(state), Guid::random()?);
        tracing::warn!(account = %spec.id, mailbox = %name, "uidvalidity file is missing or damaged: the mailbox gets a new UIDVALIDITY");
        identity.write(disk, layout, &name)?;
        layout.note_uid_validity(disk, identity.uid_validity)?;
        let made = unjoined(name.clone(), identity, layout);
        state.folders.insert(name, made);
    }
    state.relevel(layout);
    Ok(adopted)
}

/// A folder whose row in the index is not known yet.
fn unjoined(name: MailboxName, identity: Identity, layout: &Layout) -> Folder {
    let row = replay::new_row(&identity);
    Folder {
        core: Core::new(name, identity.uid_validity, layout.format()),
        row,
        shown: row,
        identity,
        keywords: None,
    }
}

/// A UIDVALIDITY that no mailbox of the account had: the time, or more.
pub(crate) fn next_uid_validity(state: &mut State) -> UidValidity {
    let now = InternalDate::from(SystemTime::now()).unix();
    let now = u32::try_from(now).unwrap_or(u32::MAX);
    state.uid_validity = now.max(state.uid_validity.saturating_add(1));
    UidValidity::new(state.uid_validity).unwrap_or(UidValidity::FIRST)
}

/// Finds each folder's row by its GUID; adds those that are missing, removes those without folder.
/// Says which were missing.
fn join_rows(index: &mut Index, state: &mut State) -> Result<BTreeSet<MailboxName>, StoreError> {
    // A start that found a mailbox in a grave may have made it a row under another UIDVALIDITY, and the
    // machine may have taken the deletion back since: that one goes.
    let mut rows: BTreeMap<(Guid, UidValidity), MailboxRow> = index
        .mailboxes()?
        .into_iter()
        .map(|row| ((row.guid, row.uid_validity), row))
        .collect();
    for folder in state.folders.values_mut() {
        let identity = &folder.identity;
        if let Some(row) = rows.remove(&(identity.guid, identity.uid_validity)) {
            folder.row = row;
        }
    }
    let unjoined = state
        .folders
        .iter()
        .filter(|(_, folder)| folder.row.id == 0);
    let missing: BTreeSet<MailboxName> = unjoined.map(|(name, _)| name.clone()).collect();
    let is_noted = noted_uid_validity(index)? >= Some(state.uid_validity);
    if missing.is_empty() && rows.is_empty() && is_noted {
        return Ok(missing);
    }
    let highest = state.uid_validity.to_string();
    index.transaction(|transaction| {
        // Files and rows that say it go before long.
        transaction.set_fact(UID_VALIDITY, &highest)?;
        for row in rows.values() {
            transaction.remove_mailbox(row.id)?;
        }
        for folder in state.folders.values_mut().filter(|f| f.row.id == 0) {
            folder.row.id = transaction.add_mailbox(&folder.row)?;
        }
        Ok::<_, IndexError>(())
    })?;
    Ok(missing)
}

/// Makes the folders that every account has. They need not be durable before something is in them.
fn make_auto_folders(
    shared: &Shared,
    layout: &Layout,
    index: &mut Index,
    state: &mut State,
) -> Result<(), StoreError> {
    let inbox = MailboxName::inbox();
    let wanted = shared
        .options
        .auto_folders
        .iter()
        .filter(|auto| auto.create);
    let mut wanted: Vec<_> = wanted.map(|auto| (&auto.name, auto.subscribe)).collect();
    if !wanted.iter().any(|(name, _)| name.is_inbox()) {
        wanted.push((&inbox, true));
    }
    wanted.retain(|(name, _)| !state.folders.contains_key(name));
    if wanted.is_empty() {
        return Ok(());
    }
    let mut subscribed = false;
    for (name, subscribe) in wanted {
        if layout.check(name).is_err() {
            tracing::warn!(home = %layout.home().display(), mailbox = %name, "mailbox is not made: a Maildir has none of this name");
            continue;
        }
        let identity = Identity::new(next_uid_validity(state), Guid::random()?);
        layout.make(&shared.disk, name, &identity, false)?;
        state.note_made(name, unjoined(name.clone(), identity, layout));
        subscribed |= subscribe && state.subscriptions.set(name, true);
    }
    if subscribed {
        state.subscriptions.write_unsynced(&shared.disk, layout)?;
        state.subscriptions_unsynced = true;
    }
    join_rows(index, state).map(|_| ())
}

/// A new mailbox's folder, joined with a new row of the index.
pub(crate) fn new_folder(name: &MailboxName, identity: Identity, layout: &Layout) -> Folder {
    unjoined(name.clone(), identity, layout)
}
