//! Mailboxes whose files say that they are one: somebody copied a folder on disk, and its GUID with it;
//! or a folder has a second name, by a link.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use facteur_disk::{Disk, EntryKind};
use facteur_format::Identity;
use facteur_model::{Guid, MailboxName};

use crate::format::Layout;

/// Says which of these mailboxes are copies of others. The eldest is the original; where the file system
/// does not say, the first. Second names of a folder are left out: nobody could tell whose a file is that
/// two mailboxes have, and each would take the other's UIDs.
pub(crate) fn find(
    disk: &Disk,
    layout: &Layout,
    identified: &mut Vec<(MailboxName, Identity)>,
) -> io::Result<BTreeSet<MailboxName>> {
    let mut by_guid: BTreeMap<Guid, Vec<usize>> = BTreeMap::new();
    for (at, (_, identity)) in identified.iter().enumerate() {
        by_guid.entry(identity.guid).or_default().push(at);
    }
    let (mut copies, mut seconds) = (BTreeSet::new(), BTreeSet::new());
    for alike in by_guid.values().filter(|alike| alike.len() > 1) {
        let mut folders = Vec::with_capacity(alike.len());
        for at in alike {
            let Some((name, _)) = identified.get(*at) else {
                continue;
            };
            let path = layout.folder(name);
            let is_link = disk.kind(&path)? == Some(EntryKind::Link);
            folders.push((disk.made(&path)?, disk.identity(&path)?, is_link, *at));
        }
        // They come by their names.
        folders.sort_unstable();
        let mut places = BTreeSet::new();
        for (_, place, _, at) in folders {
            let Some((name, _)) = identified.get(at) else {
                continue;
            };
            if !places.insert(place) {
                tracing::warn!(path = %layout.folder(name).display(), "folder is skipped: it is a link to another mailbox's");
                seconds.insert(name.clone());
            } else if places.len() > 1 {
                copies.insert(name.clone());
            }
        }
    }
    identified.retain(|(name, _)| !seconds.contains(name));
    Ok(copies)
}
