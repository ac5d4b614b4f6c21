//! The way back: Dovecot sees in an exported tree all that we knew.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use bytes::Bytes;
use facteur_model::{Flag, FlagOperation, Flags, Guid, InternalDate, Keyword, MailboxName, UidSet};
use facteur_store::{
    Account, Append, Batch, ExportFormat, Exported, FlagChange, QuotaCheck, Store, StoreError,
};

use crate::doveadm::{Dovecot, FOLDERS, ShownMailbox, ours};

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn append(dovecot: &Dovecot, store: &Store, mailbox: &str, text: &str, keywords: &[&str]) {
    let mut staging = store.stage();
    staging.write(text.as_bytes()).unwrap();
    let append = Append {
        account: dovecot.spec(),
        mailbox: name(mailbox),
        create: true,
        prefix: Bytes::new(),
        body: staging.finish().unwrap(),
        flags: [Flag::Flagged, Flag::Draft].into_iter().collect(),
        keywords: keywords
            .iter()
            .map(|k| Keyword::parse(k).unwrap())
            .collect(),
        internal_date: InternalDate::from_unix(987_654_321),
        delivery: Guid::random().unwrap(),
        repeated: false,
        quota: QuotaCheck::Ignore,
    };
    let batch = Batch {
        appends: vec![append],
        ..Batch::default()
    };
    store.commit(batch).unwrap();
}

fn change(
    account: &Account,
    mailbox: &str,
    uids: std::ops::RangeInclusive<u32>,
    keywords: &[&str],
) {
    let mailbox = account.open(&name(mailbox)).unwrap();
    let uids: UidSet = mailbox
        .snapshot()
        .iter()
        .map(|state| state.uid)
        .filter(|uid| uids.contains(&uid.value()))
        .collect();
    let change = FlagChange {
        operation: FlagOperation::Add,
        flags: Flags::EMPTY.with(Flag::Deleted),
        keywords: keywords
            .iter()
            .map(|k| Keyword::parse(k).unwrap())
            .collect(),
        unchanged_since: None,
    };
    mailbox.store(&uids, &change).unwrap();
}

/// An account that Dovecot began and we went on with; what it holds.
fn lived_in(dovecot: &Dovecot, folders: &[&str]) -> (Store, BTreeMap<String, ShownMailbox>) {
    dovecot.live(600);
    let store = dovecot.store();
    let account = store.account(&dovecot.spec()).unwrap();
    for folder in FOLDERS.iter().filter(|folder| !folders.contains(folder)) {
        account.delete(&name(folder)).unwrap();
    }
    append(
        dovecot,
        &store,
        "Made/by us & new",
        "Subject: ours\r\n\r\nbody\r\n",
        &["$Junk"],
    );
    for at in 0..40 {
        let keyword = format!("keyword{at}");
        append(
            dovecot,
            &store,
            "INBOX",
            &format!("Subject: {at}\r\n\r\n{at}\r\n"),
            &[&keyword],
        );
    }
    change(&account, "Archive", 100..=220, &["later", "WORK"]);
    let archive = account.open(&name("Archive")).unwrap();
    let some: UidSet = archive
        .snapshot()
        .iter()
        .skip(3)
        .step_by(9)
        .map(|s| s.uid)
        .collect();
    archive.move_to(&some, &name("Made/by us & new")).unwrap();
    let expunged: UidSet = archive.snapshot().iter().rev_uids().take(5).collect();
    archive.expunge(&expunged, true).unwrap();
    account
        .set_subscribed(&name("Made/by us & new"), true)
        .unwrap();
    account.put_script("mine", b"keep;\r\n").unwrap();
    account.put_script("other", b"discard;\r\n").unwrap();
    account.set_active_script(Some("mine")).unwrap();
    let shown = account
        .folders()
        .unwrap()
        .into_iter()
        .filter(|folder| folder.selectable);
    let shown = shown.map(|folder| {
        let mailbox = folder.name.as_str().to_owned();
        let shown = ours(&account, &dovecot.home, &mailbox);
        (mailbox, shown)
    });
    let shown = shown.collect();
    drop((account, archive));
    (store, shown)
}

/// UIDs from the end.
trait RevUids {
    fn rev_uids(self) -> impl Iterator<Item = facteur_model::Uid>;
}

impl<'s, I: Iterator<Item = &'s facteur_store::MessageState>> RevUids for I {
    fn rev_uids(self) -> impl Iterator<Item = facteur_model::Uid> {
        let mut uids: Vec<_> = self.map(|state| state.uid).collect();
        uids.reverse();
        uids.into_iter()
    }
}

/// Every file below a folder, and what is in it; our index, which is in use, is left out.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let key = path.display().to_string();
            if meta.is_dir() {
                left.push(path);
            } else if meta.is_symlink() {
                found.insert(
                    key,
                    std::fs::read_link(&path)
                        .unwrap()
                        .into_os_string()
                        .into_encoded_bytes(),
                );
            } else if !key.contains("/index.db") {
                found.insert(key, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn export(dovecot: &Dovecot, store: &Store, format: ExportFormat, to: &Path) -> Exported {
    let before = tree(&dovecot.home);
    let mut told = Vec::new();
    let exported = store
        .export_account(&dovecot.spec(), format, to, &mut |done, total| {
            told.push((done, total))
        })
        .unwrap();
    assert!(tree(&dovecot.home) == before, "the original was changed");
    assert!(
        told.iter()
            .enumerate()
            .all(|(at, (done, _))| *done == at as u64 + 1)
    );
    assert_eq!(told.last(), Some(&(exported.messages, exported.messages)));
    exported
}

fn subscriptions(dovecot: &Dovecot, location: &str) -> BTreeSet<String> {
    let listed = dovecot.doveadm_at(location, &["mailbox", "list", "-s"], b"");
    String::from_utf8(listed)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn dovecot_sees_everything_in_an_exported_sdbox_tree() {
    let Some(dovecot) = Dovecot::new("") else {
        return;
    };
    let (store, expected) = lived_in(&dovecot, &FOLDERS);
    let to = dovecot.dir().join("copy");
    let exported = export(&dovecot, &store, ExportFormat::LinkedSdbox, &to);
    let messages: usize = expected.values().map(|shown| shown.messages.len()).sum();
    assert_eq!(exported.messages, messages as u64);
    assert_eq!(exported.linked, exported.messages);
    assert_eq!(
        (exported.mailboxes, exported.scripts),
        (expected.len() as u64, 2)
    );
    let location = format!("sdbox:{}", to.display());
    let check = |when: &str| {
        for (mailbox, shown) in &expected {
            assert_eq!(
                dovecot.shown(&location, mailbox),
                *shown,
                "{mailbox}, {when}"
            );
        }
    };
    check("as exported");
    for mailbox in expected.keys() {
        dovecot.doveadm_at(&location, &["index", mailbox], b"");
    }
    check("indexed");
    for mailbox in expected.keys() {
        dovecot.doveadm_at(&location, &["force-resync", mailbox], b"");
    }
    check("resynced");
    // The same with files of its own.
    let other = dovecot.dir().join("other copy");
    let copied = export(&dovecot, &store, ExportFormat::Sdbox, &other);
    assert_eq!((copied.messages, copied.linked), (exported.messages, 0));
    let archive = format!("sdbox:{}", other.display());
    assert_eq!(dovecot.shown(&archive, "Archive"), expected["Archive"]);
    let subscribed = subscriptions(&dovecot, &location);
    for mailbox in [FOLDERS[1], FOLDERS[2], "Made/by us & new"] {
        assert!(subscribed.contains(mailbox), "{subscribed:?}");
    }
    assert_eq!(
        std::fs::read(to.join("dovecot.sieve")).unwrap(),
        b"keep;\r\n"
    );
    assert!(to.join("sieve/other.sieve").exists());
    // New mail goes on where we stopped, and a new mailbox is a new one.
    dovecot.doveadm_at(
        &location,
        &["save", "-m", "INBOX"],
        b"Subject: after\r\n\r\nx\r\n",
    );
    let inbox = dovecot.shown(&location, "INBOX");
    let last = inbox.messages.keys().last().copied().unwrap();
    assert_eq!(u64::from(last), expected["INBOX"].uid_next);
    dovecot.doveadm_at(&location, &["mailbox", "create", "Later"], b"");
    let later = dovecot.shown(&location, "Later").uid_validity;
    assert!(expected.values().all(|shown| shown.uid_validity < later));
    // And we take it over again.
    let spec = facteur_model::AccountSpec {
        id: facteur_model::AccountId::new("copy@example.test"),
        home: to.clone(),
        ..dovecot.spec()
    };
    let account = store.account(&spec).unwrap();
    for (mailbox, shown) in expected.iter().filter(|(mailbox, _)| *mailbox != "INBOX") {
        assert_eq!(ours(&account, &to, mailbox), *shown, "{mailbox}");
    }
}

#[test]
fn dovecot_sees_everything_in_an_exported_maildir() {
    let Some(dovecot) = Dovecot::new("") else {
        return;
    };
    // Maildir++ has no name for the one with a dot.
    let without_dot: Vec<&str> = FOLDERS.into_iter().filter(|f| !f.contains('.')).collect();
    let (store, expected) = lived_in(&dovecot, &without_dot);
    let to = dovecot.dir().join("copy");
    let exported = export(&dovecot, &store, ExportFormat::Maildir, &to);
    assert_eq!(exported.linked, 0);
    // 26 letters, 42 keywords.
    assert_eq!(exported.lost_keywords.len(), 16);
    let lost: BTreeSet<&str> = exported
        .lost_keywords
        .iter()
        .map(|lost| lost.strip_prefix("INBOX: ").unwrap())
        .collect();
    let location = format!("maildir:{}", to.display());
    for (mailbox, shown) in &expected {
        let mut found = dovecot.shown(&location, mailbox);
        for (flags, _, _) in found.messages.values_mut() {
            flags.retain(|flag| !lost.contains(flag.as_str()));
        }
        let mut wanted = ShownMailbox {
            messages: shown.messages.clone(),
            guid: shown.guid.clone(),
            ..*shown
        };
        for (flags, _, _) in wanted.messages.values_mut() {
            flags.retain(|flag| mailbox != "INBOX" || !lost.contains(flag.as_str()));
        }
        assert_eq!(found, wanted, "{mailbox}");
    }
    let subscribed = subscriptions(&dovecot, &location);
    assert!(subscribed.contains("Made/by us & new"), "{subscribed:?}");
}

#[test]
fn an_export_that_cannot_be_leaves_nothing() {
    let Some(dovecot) = Dovecot::new("") else {
        return;
    };
    dovecot.live(8);
    let store = dovecot.store();
    let to = dovecot.dir().join("copy");
    let mut ignore = |_, _| {};
    let refused = store.export_account(&dovecot.spec(), ExportFormat::Maildir, &to, &mut ignore);
    assert!(matches!(refused, Err(StoreError::Cannot(_))), "{refused:?}");
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 0);
    std::fs::write(to.join("there"), b"already").unwrap();
    let refused = store.export_account(&dovecot.spec(), ExportFormat::Sdbox, &to, &mut ignore);
    assert!(matches!(refused, Err(StoreError::Cannot(_))), "{refused:?}");
    assert!(to.join("there").exists());
    let nobody = facteur_model::AccountSpec {
        home: dovecot.dir().join("nobody"),
        ..dovecot.spec()
    };
    let other = dovecot.dir().join("other");
    let refused = store.export_account(&nobody, ExportFormat::Sdbox, &other, &mut ignore);
    assert!(matches!(refused, Err(StoreError::Cannot(_))), "{refused:?}");
    assert!(!other.exists() && !nobody.home.exists());
}
