//! An account's index compared with its files. Nothing is changed.
//!
//! What the index says of a mailbox and which files there are is taken down at one moment, while
//! nobody changes either; the files themselves are opened afterwards, beside everybody else.

use std::{io, path::Path, sync::Arc};

use facteur_disk::EntryKind;
use facteur_index::{Index, IndexError, MailboxRow, MessageRow};
use facteur_model::{AccountSpec, MailboxName, ModSeq, Uid, UidSet};
use facteur_sdbox::MessageFile;
use serde::{Deserialize, Serialize};

use super::{Findings, Kind, Progress, Remedy, is_there, size};
use crate::{
    StoreError, checkpoint,
    format::Layout,
    maildir::{self, Located},
    scripts::Scripts,
    shared::Shared,
    slot::index_path,
};

/// What a check of an account found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Nobody ever used it.
    pub never_used: bool,
    /// Its mailboxes.
    pub mailboxes: u64,
    /// The messages that its files hold.
    pub messages: u64,
    /// Their octets, as quota counts them.
    pub octets: u64,
    /// What is wrong.
    #[serde(flatten)]
    pub findings: Findings,
}

/// A mailbox as it was at one moment.
struct Listed {
    name: MailboxName,
    files: Vec<(Uid, Located)>,
    /// What the index lists, in UID order.
    rows: Vec<MessageRow>,
    /// UIDs that the index says were expunged.
    expunged: UidSet,
    /// Whether the index knows the mailbox.
    known: bool,
}

impl Listed {
    /// Of an account in use, files of expunged messages go in their time.
    fn leave_out_ending(&mut self) {
        self.files.retain(|(uid, _)| !self.expunged.contains(*uid));
    }
}

pub(super) fn account(
    shared: &Arc<Shared>,
    spec: &AccountSpec,
    progress: Progress<'_>,
) -> Result<Checked, StoreError> {
    let mut checked = Checked::default();
    if !is_there(shared, &spec.home)? {
        checked.never_used = true;
        return Ok(checked);
    }
    // What the journal has is brought into index and files: they are compared as they will be.
    checkpoint::run(shared)?;
    let layout = Layout::of(spec);
    layout.refuse_other(&shared.disk)?;
    let listed = shared.with_slot(spec, |held| match held {
        Some(owner) if !owner.is_broken() => {
            let _state = owner.lock()?;
            // What is damaged is a finding here; the owner must not be given up for it.
            let mut outcome = None;
            owner.index(shared, |index| {
                let mut listed = list(shared, &layout, Some(index), &mut checked);
                if let Ok(listed) = &mut listed {
                    listed.iter_mut().for_each(Listed::leave_out_ending);
                }
                outcome = Some(listed);
                Ok(())
            })?;
            outcome.unwrap_or_else(|| Ok(Vec::new()))
        }
        _ => match open(shared, &layout, &mut checked.findings)? {
            Some(index) => list(shared, &layout, Some(&index), &mut checked),
            None => list(shared, &layout, None, &mut checked),
        },
    })?;
    let total = listed.iter().map(|listed| listed.files.len() as u64).sum();
    for mailbox in listed {
        examine(shared, &layout, &mailbox, &mut checked, &mut |done| {
            progress(done, total);
        })?;
    }
    scripts(shared, &layout, &mut checked.findings)?;
    Ok(checked)
}

/// Opens the index of an account that nobody uses; none is made.
fn open(
    shared: &Arc<Shared>,
    layout: &Layout,
    findings: &mut Findings,
) -> Result<Option<Index>, StoreError> {
    let path = index_path(layout.home());
    if size(shared, &path)? == 0 {
        findings.note(
            Kind::IndexMissing,
            Remedy::NextUse,
            "there is no index: the account's next use makes one from the files, without flags",
        );
        return Ok(None);
    }
    match Index::open(&shared.disk, &path) {
        Ok(index) => Ok(Some(index)),
        Err(IndexError::Damaged(cause)) => {
            damaged(findings, &cause);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn damaged(findings: &mut Findings, cause: &str) {
    findings.note(Kind::IndexDamaged, Remedy::Rebuild, cause);
}

/// Takes down what index and folders say.
fn list(
    shared: &Arc<Shared>,
    layout: &Layout,
    index: Option<&Index>,
    checked: &mut Checked,
) -> Result<Vec<Listed>, StoreError> {
    let findings = &mut checked.findings;
    let names: Vec<MailboxName> = layout
        .folders(&shared.disk)?
        .into_iter()
        .filter_map(|folder| folder.is_mailbox.then_some(folder.name))
        .collect();
    let mut sound = index;
    let mut known = Vec::new();
    if let Some(index) = index {
        match index.mailboxes() {
            Ok(rows) => {
                known = rows;
                contradictions(shared, layout, index, &names, findings)?;
            }
            Err(IndexError::Damaged(cause)) => {
                damaged(findings, &cause);
                sound = None;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut listed = Vec::new();
    for name in names {
        let row = identify(shared, layout, &name, &mut known, sound.is_some(), findings)?;
        let told = match (sound, &row) {
            (Some(index), Some(row)) => messages(index, row, findings)?,
            _ => None,
        };
        let files = layout.message_files(&shared.disk, &name)?;
        let known = told.is_some();
        let (rows, expunged) = told.unwrap_or_default();
        listed.push(Listed {
            name,
            files,
            rows,
            expunged,
            known,
        });
    }
    for row in known {
        findings.note(
            Kind::MailboxMissing,
            Remedy::Rebuild,
            format!("the mailbox with GUID {} has no folder", row.guid),
        );
    }
    checked.mailboxes = listed.len() as u64;
    Ok(listed)
}

/// What the index itself is wrong about.
fn contradictions(
    shared: &Arc<Shared>,
    layout: &Layout,
    index: &Index,
    names: &[MailboxName],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let mut problems = match index.problems() {
        Ok(problems) => problems,
        Err(IndexError::Damaged(cause)) => vec![cause],
        Err(error) => return Err(error.into()),
    };
    if problems.is_empty() {
        return Ok(());
    }
    // The index knows mailboxes by GUID, people by name.
    for name in names {
        if let Some(identity) = layout.identify(&shared.disk, name)? {
            let guid = identity.guid.to_string();
            for problem in &mut problems {
                *problem = problem.replace(&guid, name.as_str());
            }
        }
    }
    problems
        .iter()
        .for_each(|problem| damaged(findings, problem));
    Ok(())
}

/// Finds a folder's row of the index, and takes it from those that are `known`.
fn identify(
    shared: &Arc<Shared>,
    layout: &Layout,
    name: &MailboxName,
    known: &mut Vec<MailboxRow>,
    sound: bool,
    findings: &mut Findings,
) -> Result<Option<MailboxRow>, StoreError> {
    let Some(identity) = layout.identify(&shared.disk, name)? else {
        findings.note_in(
            name,
            None,
            Kind::UidValidityMissing,
            Remedy::Restore,
            "the uidvalidity file is missing or damaged: without it the mailbox's next use gives it a new UIDVALIDITY, and clients fetch all of it again",
        );
        return Ok(None);
    };
    let at = known.iter().position(|row| row.guid == identity.guid);
    let row = at.map(|at| known.swap_remove(at));
    match &row {
        Some(row) if row.uid_validity != identity.uid_validity => {
            let detail = format!(
                "UIDVALIDITY is {} in the index and {} in the uidvalidity file",
                row.uid_validity, identity.uid_validity
            );
            findings.note_in(name, None, Kind::MailboxUnknown, Remedy::Rebuild, detail);
            return Ok(None);
        }
        None if sound => {
            let detail = "the index does not know the mailbox";
            findings.note_in(name, None, Kind::MailboxUnknown, Remedy::Rebuild, detail);
        }
        _ => {}
    }
    Ok(row)
}

/// What the index lists of a mailbox, and which UIDs it knows to be expunged.
fn messages(
    index: &Index,
    row: &MailboxRow,
    findings: &mut Findings,
) -> Result<Option<(Vec<MessageRow>, UidSet)>, StoreError> {
    let told = index
        .messages(row.id)
        .and_then(|messages| Ok((messages, index.expunged(row.id, ModSeq::new(0))?)));
    match told {
        Ok(told) => Ok(Some(told)),
        Err(IndexError::Damaged(cause)) => {
            damaged(findings, &cause);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Looks into each file of a mailbox.
fn examine(
    shared: &Arc<Shared>,
    layout: &Layout,
    mailbox: &Listed,
    checked: &mut Checked,
    progress: &mut dyn FnMut(u64),
) -> Result<(), StoreError> {
    let name = &mailbox.name;
    let mut rows = mailbox.rows.iter().peekable();
    for (uid, Located { path, .. }) in &mailbox.files {
        // Both are in UID order.
        while rows.next_if(|row| row.uid < *uid).is_some() {}
        let row = rows.next_if(|row| row.uid == *uid);
        match read(shared, layout, path) {
            Ok((octets, sure)) => {
                checked.octets = checked.octets.saturating_add(octets);
                if let Some(row) = row.filter(|row| sure && row.size != octets) {
                    let detail = format!("{octets} octets, in the index {}", row.size);
                    let findings = &mut checked.findings;
                    findings.note_in(name, Some(*uid), Kind::SizeDiffers, Remedy::Rebuild, detail);
                }
                if row.is_none() && mailbox.known {
                    let findings = &mut checked.findings;
                    let detail = "the index does not know the message";
                    findings.note_in(name, Some(*uid), Kind::FileUnknown, Remedy::Rebuild, detail);
                }
            }
            // Expunged meanwhile.
            Err(StoreError::Gone) => {}
            Err(error) => {
                let detail = format!("{}: {error}", path.display());
                let findings = &mut checked.findings;
                findings.note_in(name, Some(*uid), Kind::FileDamaged, Remedy::Restore, detail);
            }
        }
        checked.messages += 1;
        progress(checked.messages);
    }
    let there: UidSet = mailbox.files.iter().map(|(uid, _)| *uid).collect();
    for row in mailbox.rows.iter().filter(|row| !there.contains(row.uid)) {
        let detail = "the message's file is missing; without it a rebuild forgets the message";
        let findings = &mut checked.findings;
        findings.note_in(
            name,
            Some(row.uid),
            Kind::FileMissing,
            Remedy::Restore,
            detail,
        );
    }
    Ok(())
}

/// A message's size, from a file that is sound, and whether it says so itself: what another program
/// wrote may have other line ends than clients see.
fn read(shared: &Arc<Shared>, layout: &Layout, path: &Path) -> Result<(u64, bool), StoreError> {
    match shared.disk.kind(path)? {
        Some(EntryKind::File) => {}
        None => return Err(StoreError::Gone),
        Some(_) => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no plain file").into());
        }
    }
    if let Layout::Maildir(_) = layout {
        let found = maildir::find(&shared.disk, path)?.ok_or(StoreError::Gone)?;
        return Ok((found.scanned.size, true));
    }
    let file = MessageFile::open(&shared.disk, path)?;
    let metadata = file.metadata()?;
    Ok(match metadata.virtual_size {
        Some(size) => (size, true),
        None => (metadata.plain_size.unwrap_or(file.stored_size), false),
    })
}

fn scripts(
    shared: &Arc<Shared>,
    layout: &Layout,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let disk = &shared.disk;
    let link = layout.home().join("dovecot.sieve");
    if disk.kind(&link)? != Some(EntryKind::Link) {
        return Ok(());
    }
    if Scripts::new(disk, layout.home()).active()?.is_none() {
        let target = disk.read_link(&link)?.unwrap_or_default();
        findings.note(
            Kind::ScriptLinkBroken,
            Remedy::Activate,
            format!(
                "dovecot.sieve leads to {}, which is missing",
                target.display()
            ),
        );
    }
    Ok(())
}
