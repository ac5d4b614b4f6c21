//! An account's index compared with its files. Nothing is changed.
//!
//! Which files there are is taken down at one moment, while nobody changes them, and the index of that
//! moment is copied. The copy is read and the files are opened afterwards, beside everybody else.

use std::{io, path::Path, sync::Arc};

use facteur_disk::EntryKind;
use facteur_format::Identity;
use facteur_index::{Index, IndexError, MailboxRow, MessageRow};
use facteur_model::{AccountSpec, MailboxName, ModSeq, Uid, UidSet};
use facteur_sdbox::MessageFile;
use serde::{Deserialize, Serialize};

use super::{Copy, Findings, Kind, Progress, Remedy, is_there, size};
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
    if !is_there(shared, spec)? {
        checked.never_used = true;
        return Ok(checked);
    }
    // What the journal has is brought into index and files: they are compared as they will be.
    checkpoint::run(shared)?;
    let layout = Layout::of(spec);
    layout.refuse_other(&shared.disk)?;
    let (found, copy, in_use) = shared.with_slot(spec, |held| match held {
        Some(owner) if !owner.is_broken() => {
            let _state = owner.lock()?;
            let copy = owner.index(shared, |_| Ok(Copy::of(shared, layout.home())?))?;
            Ok((find(shared, &layout)?, Some(copy), true))
        }
        _ => {
            let there = size(shared, &index_path(layout.home()))? > 0;
            let copy = there.then(|| Copy::of(shared, layout.home())).transpose()?;
            Ok((find(shared, &layout)?, copy, false))
        }
    })?;
    let index = open(shared, copy.as_ref(), &mut checked.findings)?;
    let mut listed = list(found, index.as_ref(), &mut checked)?;
    drop(index);
    drop(copy);
    if in_use {
        listed.iter_mut().for_each(Listed::leave_out_ending);
    }
    let total = listed.iter().map(|listed| listed.files.len() as u64).sum();
    for mailbox in listed {
        examine(shared, &layout, &mailbox, &mut checked, &mut |done| {
            progress(done, total);
        })?;
    }
    scripts(shared, &layout, &mut checked.findings)?;
    Ok(checked)
}

/// Opens the copy of an index, if there was one.
fn open(
    shared: &Arc<Shared>,
    copy: Option<&Copy<'_>>,
    findings: &mut Findings,
) -> Result<Option<Index>, StoreError> {
    let Some(copy) = copy else {
        findings.note(
            Kind::IndexMissing,
            Remedy::NextUse,
            "there is no index: the account's next use makes one from the files, without flags",
        );
        return Ok(None);
    };
    match Index::open(&shared.disk, copy.path()) {
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

/// A mailbox's folder as it was at one moment.
struct Found {
    name: MailboxName,
    identity: Option<Identity>,
    files: Vec<(Uid, Located)>,
}

/// Takes down what folders there are and which files.
fn find(shared: &Arc<Shared>, layout: &Layout) -> Result<Vec<Found>, StoreError> {
    let disk = &shared.disk;
    let mut found = Vec::new();
    for folder in layout.folders(disk)?.into_iter().filter(|f| f.is_mailbox) {
        found.push(Found {
            identity: layout.identify(disk, &folder.name)?,
            files: layout.message_files(disk, &folder.name)?,
            name: folder.name,
        });
    }
    Ok(found)
}

/// Joins what was found with what the index says of it.
fn list(
    found: Vec<Found>,
    index: Option<&Index>,
    checked: &mut Checked,
) -> Result<Vec<Listed>, StoreError> {
    let findings = &mut checked.findings;
    let mut sound = index;
    let mut known = Vec::new();
    if let Some(index) = index {
        match index.mailboxes() {
            Ok(rows) => {
                known = rows;
                contradictions(index, &found, findings)?;
            }
            Err(IndexError::Damaged(cause)) => {
                damaged(findings, &cause);
                sound = None;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut listed = Vec::new();
    for folder in found {
        let row = identify(&folder, &mut known, sound.is_some(), findings);
        let told = match (sound, &row) {
            (Some(index), Some(row)) => messages(index, row, findings)?,
            _ => None,
        };
        let Found { name, files, .. } = folder;
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
    index: &Index,
    found: &[Found],
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
    for Found { name, identity, .. } in found {
        if let Some(identity) = identity {
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
    found: &Found,
    known: &mut Vec<MailboxRow>,
    sound: bool,
    findings: &mut Findings,
) -> Option<MailboxRow> {
    let name = &found.name;
    let Some(identity) = found.identity else {
        findings.note_in(
            name,
            None,
            Kind::UidValidityMissing,
            Remedy::Restore,
            "the uidvalidity file is missing or damaged: without it the mailbox's next use gives it a new UIDVALIDITY, and clients fetch all of it again",
        );
        return None;
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
            return None;
        }
        None if sound => {
            let detail = "the index does not know the mailbox";
            findings.note_in(name, None, Kind::MailboxUnknown, Remedy::Rebuild, detail);
        }
        _ => {}
    }
    row
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
        return match found.damage {
            Some(damage) => Err(damage.into()),
            None => Ok((found.scanned.size, true)),
        };
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
