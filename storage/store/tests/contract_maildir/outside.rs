//! What other programs do in a Maildir while sessions have it open.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use facteur_model::{Flag, FlagOperation, Flags, Keyword, Uid};
use facteur_store::StoreError;

use crate::world::{MAIL, World, batch, change, flags, listed, name, text, uids};

fn seen() -> Flags {
    Flags::EMPTY.with(Flag::Seen)
}

/// Renames a file as a program does that sets flags.
fn set_flags(file: &Path, letters: &str) -> PathBuf {
    let name = file.file_name().unwrap().to_str().unwrap();
    let base = name.split(':').next().unwrap();
    let folder = file.parent().unwrap().parent().unwrap();
    let to = folder.join("cur").join(format!("{base}:2,{letters}"));
    fs::rename(file, &to).unwrap();
    to
}

/// Drops a message as another program does; gives its path.
pub(crate) fn drop_in(world: &World, mailbox: &str, base: &str) -> PathBuf {
    let mails = world.mails("bob", mailbox);
    let tmp = mails.join("tmp").join(base);
    fs::write(&tmp, MAIL).unwrap();
    let path = mails.join("new").join(base);
    fs::rename(tmp, &path).unwrap();
    path
}

#[test]
fn messages_dropped_renamed_and_removed_are_noticed_and_told() {
    let world = World::new();
    let store = world.open();
    for _ in 0..3 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let woken = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&woken);
    let _watching = inbox.subscribe(Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let before = inbox.snapshot();
    drop_in(&world, "INBOX", "1000.M1.elsewhere");
    drop_in(&world, "INBOX", "1001.M1.elsewhere");
    let files = world.files("bob", "INBOX");
    // The two that were dropped are the first by name.
    set_flags(&files[2], "S");
    fs::remove_file(&files[3]).unwrap();
    inbox.notice().unwrap();
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    assert_eq!(listed(&inbox), [1, 3, 4, 5]);
    assert_eq!(flags(&inbox, 1).0, seen());
    assert_eq!(text(&inbox, 4), MAIL);
    let changes = before.changes_to(&inbox.snapshot());
    assert_eq!((changes.added, &changes.expunged[..]), (2, &[2][..]));
    assert_eq!(changes.changed, uids(&[1]));
    assert!(inbox.snapshot().highest_modseq() > before.highest_modseq());
    let status = world.account(&store, "bob").status(&name("INBOX")).unwrap();
    assert_eq!((status.messages, status.unseen, status.uid_next), (4, 3, 6));
    assert_eq!(world.account(&store, "bob").usage().unwrap().messages, 4);
    // It is a change as any other: the next owner finds the same.
    let shown: Vec<_> = inbox.snapshot().iter().copied().collect();
    drop(inbox);
    store.close().unwrap();
    drop(store);
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(inbox.snapshot().iter().copied().collect::<Vec<_>>(), shown);
}

#[test]
fn own_changes_are_no_outside_changes() {
    let world = World::new();
    let store = world.open();
    for _ in 0..3 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let add = change(FlagOperation::Add, &[Flag::Seen], &["one", "two"]);
    inbox.store(&uids(&[1, 2]), &add).unwrap();
    inbox.copy(&uids(&[2]), &name("INBOX")).unwrap();
    inbox.expunge(&uids(&[1]), true).unwrap();
    world.deliver(&store, "bob", "INBOX");
    let before = inbox.snapshot();
    for _ in 0..2 {
        inbox.notice().unwrap();
        assert!(Arc::ptr_eq(&inbox.snapshot(), &before));
        store.checkpoint().unwrap();
    }
    inbox.notice().unwrap();
    assert!(Arc::ptr_eq(&inbox.snapshot(), &before));
    assert_eq!(listed(&inbox), [2, 3, 4, 5]);
}

#[test]
fn a_checkpoint_brings_flags_into_names_and_uids_into_the_list() {
    let (world, store) = World::with_mail(&["bob", "bob"]);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let add = change(FlagOperation::Add, &[Flag::Seen, Flag::Flagged], &["later"]);
    inbox.store(&uids(&[2]), &add).unwrap();
    // A STORE waits for no rename.
    let plain = |files: Vec<PathBuf>| files.iter().all(|f| !f.to_str().unwrap().contains(":2,"));
    assert!(plain(world.files("bob", "INBOX")));
    store.checkpoint().unwrap();
    let mails = world.mails("bob", "INBOX");
    let files = world.files("bob", "INBOX");
    let named = files[1].file_name().unwrap().to_str().unwrap();
    assert!(
        files[1].starts_with(mails.join("cur")) && named.ends_with(":2,FSa"),
        "{named}"
    );
    let keywords = fs::read_to_string(mails.join("dovecot-keywords")).unwrap();
    assert_eq!(keywords, "0 later\n");
    let list = fs::read_to_string(mails.join("dovecot-uidlist")).unwrap();
    let lines: Vec<&str> = list.lines().skip(1).collect();
    let base = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.split(':').next().unwrap().to_owned()
    };
    assert_eq!(
        lines,
        [
            format!("1 :{}", base(&files[0])),
            format!("2 :{}", base(&files[1]))
        ]
    );
    inbox.expunge(&uids(&[2]), true).unwrap();
    assert_eq!(world.files("bob", "INBOX").len(), 2);
    store.checkpoint().unwrap();
    assert_eq!(world.files("bob", "INBOX").len(), 1);
}

/// The account was let go of with them, and the flag was gone with the journal's record.
#[test]
fn an_account_whose_names_cannot_be_written_is_not_let_go_of_without_them() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    world.deliver(&store, "bob", "INBOX");
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let add = change(FlagOperation::Add, &[Flag::Seen], &[]);
    inbox.store(&uids(&[1]), &add).unwrap();
    drop(inbox);
    faults.break_point("rename", std::io::ErrorKind::StorageFull);
    store.checkpoint().unwrap();
    // It would be let go of by this.
    let synced = store.sync_account(&world.spec("bob"));
    assert!(matches!(synced, Err(StoreError::NoSpace)), "{synced:?}");
    faults.heal();
    store.checkpoint().unwrap();
    drop(store);
    let store = world.open();
    assert_eq!(flags(&world.mailbox(&store, "bob", "INBOX"), 1).0, seen());
}

#[test]
fn flags_set_here_and_elsewhere_at_once_are_all_kept() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let add = change(FlagOperation::Add, &[Flag::Flagged], &["mine"]);
    inbox.store(&uids(&[1]), &add).unwrap();
    let file = set_flags(&world.files("bob", "INBOX")[0], "RS");
    inbox.notice().unwrap();
    let all = seen().with(Flag::Flagged).with(Flag::Answered);
    assert_eq!(flags(&inbox, 1), (all, vec!["mine".to_owned()]));
    store.checkpoint().unwrap();
    assert!(!file.exists());
    let file = &world.files("bob", "INBOX")[0];
    assert!(
        file.to_str().unwrap().ends_with(":2,FRSa"),
        "{}",
        file.display()
    );
    // Taken away elsewhere, they are gone.
    set_flags(file, "R");
    inbox.notice().unwrap();
    let left = (Flags::EMPTY.with(Flag::Answered), Vec::new());
    assert_eq!(flags(&inbox, 1), left);
}

#[test]
fn a_message_renamed_elsewhere_is_read_copied_and_expunged_without_a_look_before() {
    let world = World::new();
    let store = world.open();
    for _ in 0..4 {
        world.deliver(&store, "bob", "INBOX");
    }
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let files = world.files("bob", "INBOX");
    set_flags(&files[0], "S");
    assert!(text(&inbox, 1).ends_with(MAIL));
    assert_eq!(flags(&inbox, 1).0, seen());
    set_flags(&files[1], "T");
    inbox.copy(&uids(&[2]), &name("Spam")).unwrap();
    let spam = world.mailbox(&store, "bob", "Spam");
    assert_eq!(flags(&spam, 1).0, Flags::EMPTY.with(Flag::Deleted));
    // Expunged here, then renamed elsewhere: it goes all the same.
    inbox.expunge(&uids(&[3]), true).unwrap();
    let renamed = set_flags(&files[2], "F");
    inbox.notice().unwrap();
    assert_eq!(listed(&inbox), [1, 2, 4]);
    store.checkpoint().unwrap();
    assert!(!renamed.exists());
    // Removed elsewhere: gone, and said so.
    fs::remove_file(&files[3]).unwrap();
    let gone = inbox.read(Uid::new(4).unwrap());
    assert!(matches!(gone, Err(StoreError::Gone)));
    assert_eq!(listed(&inbox), [1, 2]);
}

#[test]
fn a_message_moved_elsewhere_from_one_folder_to_another_is_a_new_one_there() {
    let (world, store) = World::with_mail(&["bob", "bob"]);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let trash = world.mailbox(&store, "bob", "Trash");
    let file = &world.files("bob", "INBOX")[0];
    let name = file.file_name().unwrap().to_str().unwrap();
    let to = world
        .mails("bob", "Trash")
        .join("cur")
        .join(format!("{name}:2,S"));
    fs::rename(file, to).unwrap();
    inbox.notice().unwrap();
    trash.notice().unwrap();
    assert_eq!((listed(&inbox), listed(&trash)), (vec![2], vec![1]));
    assert_eq!(flags(&trash, 1).0, seen());
    // A second look finds nothing, and neither does a start after a kill.
    drop((inbox, trash, store));
    let store = world.open();
    assert_eq!(listed(&world.mailbox(&store, "bob", "INBOX")), [2]);
    assert_eq!(listed(&world.mailbox(&store, "bob", "Trash")), [1]);
}

/// The record of its delivery was done again at the next start, and the message was back.
#[test]
fn a_message_removed_elsewhere_stays_gone_after_a_kill() {
    let world = World::new();
    let store = world.open();
    world.deliver(&store, "bob", "INBOX");
    let inbox = world.mailbox(&store, "bob", "INBOX");
    fs::remove_file(&world.files("bob", "INBOX")[0]).unwrap();
    inbox.notice().unwrap();
    assert_eq!(listed(&inbox), [0; 0]);
    drop((inbox, store));
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(listed(&inbox), [0; 0]);
    inbox.notice().unwrap();
    assert_eq!(listed(&inbox), [0; 0]);
}

#[test]
fn a_look_that_is_killed_at_any_call_gives_no_uid_twice_and_loses_nothing() {
    for call in 0.. {
        let world = World::in_memory();
        let store = world.open();
        world.deliver(&store, "bob", "INBOX");
        world.deliver(&store, "bob", "INBOX");
        store.close().unwrap();
        drop(store);
        let files = world.files("bob", "INBOX");
        let mut seen_uids = Vec::new();
        let (disk, faults) = facteur_disk::Disk::crashing(call);
        if let Ok(store) = world.open_on(disk)
            && let Ok(account) = store.account(&world.spec("bob"))
            && let Ok(inbox) = account.open(&name("INBOX"))
        {
            drop_in(&world, "INBOX", "3000.M1.elsewhere");
            set_flags(&files[1], "F");
            let _ = inbox.notice().and_then(|()| store.checkpoint());
            seen_uids = listed(&inbox);
        }
        let struck = faults.struck();
        let store = world.open();
        let inbox = world.mailbox(&store, "bob", "INBOX");
        let dropped = world.files("bob", "INBOX").len() - 2;
        let now = listed(&inbox);
        assert_eq!(now.len(), 2 + dropped, "call {call}: {now:?}");
        assert!(now.starts_with(&[1, 2]), "call {call}: {now:?}");
        assert!(
            seen_uids.iter().all(|uid| now.contains(uid)),
            "call {call}: {seen_uids:?} {now:?}"
        );
        if !struck {
            assert!(call > 30, "{call}");
            return;
        }
    }
}

/// Whoever came while another took in many had them as well, and both went on.
#[test]
fn messages_that_two_sessions_notice_at_once_come_in_once() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    world.deliver(&store, "bob", "INBOX");
    // More than one record takes.
    for at in 0..500 {
        drop_in(&world, "INBOX", &format!("{at}.M1.elsewhere"));
    }
    let syncs = faults.counts()["sync_data"];
    faults.hold("sync_data");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| inbox.notice().unwrap());
        faults.await_calls("sync_data", syncs + 1);
        drop_in(&world, "INBOX", "1000.M1.elsewhere");
        let second = scope.spawn(|| inbox.notice().unwrap());
        // It has the account, and waits for the first one's record.
        while store.usage_at_hand(&world.spec("bob").id).is_some() {
            std::thread::yield_now();
        }
        faults.release("sync_data");
        first.join().unwrap();
        second.join().unwrap();
    });
    inbox.notice().unwrap();
    assert_eq!(world.files("bob", "INBOX").len(), 502);
    assert_eq!(listed(&inbox), Vec::from_iter(1..=502));
}

/// Its letter was given to another keyword, and its messages had that.
#[test]
fn a_keyword_that_another_program_gives_a_letter_keeps_it() {
    let (world, store) = World::with_mail(&["bob", "bob"]);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    let add = |uid, keyword| {
        let add = change(FlagOperation::Add, &[], &[keyword]);
        inbox.store(&uids(&[uid]), &add).unwrap();
        store.checkpoint().unwrap();
    };
    add(1, "first");
    let path = world.mails("bob", "INBOX").join("dovecot-keywords");
    let noted = |text: &str| fs::write(&path, text).unwrap();
    noted("0 first\n1 theirs\n");
    add(1, "ours");
    let read = || fs::read_to_string(&path).unwrap();
    assert_eq!(read(), "0 first\n1 theirs\n2 ours\n");
    // And while nobody here needs a letter.
    noted("0 first\n1 theirs\n2 ours\n3 more\n");
    let file = world.files("bob", "INBOX").pop().unwrap();
    set_flags(&file, "bd");
    inbox.notice().unwrap();
    let both = vec!["more".to_owned(), "theirs".to_owned()];
    assert_eq!(flags(&inbox, 2), (Flags::EMPTY, both));
}

#[test]
fn a_delivery_to_a_folder_that_nobody_has_open_does_not_look_at_it() {
    let world = World::new();
    let (store, faults) = world.open_with_faults();
    world.deliver(&store, "bob", "INBOX");
    let looks = || faults.counts().get("read_dir").copied().unwrap_or_default();
    let before = looks();
    for _ in 0..5 {
        world.deliver(&store, "bob", "INBOX");
    }
    store.checkpoint().unwrap();
    assert_eq!(looks(), before);
    assert_eq!(
        listed(&world.mailbox(&store, "bob", "INBOX")),
        [1, 2, 3, 4, 5, 6]
    );
}

/// Its name lacked a letter for the keyword, and got one together with the flags of the delivery.
#[test]
fn flags_that_another_program_gives_a_message_with_a_new_keyword_stay() {
    for opened in [false, true] {
        let world = World::new();
        let store = world.open();
        let mut append = world.append("bob", "INBOX");
        append.keywords = vec![Keyword::parse("new").unwrap()];
        let before = opened.then(|| world.mailbox(&store, "bob", "INBOX"));
        store.commit(batch([append])).unwrap();
        set_flags(&world.files("bob", "INBOX")[0], "S");
        store.checkpoint().unwrap();
        drop(before);
        let inbox = world.mailbox(&store, "bob", "INBOX");
        let expected = vec!["new".to_owned()];
        assert_eq!(flags(&inbox, 1), (seen(), expected), "opened: {opened}");
        let file = world.files("bob", "INBOX").pop().unwrap();
        let file = file.to_str().unwrap();
        assert!(file.ends_with(":2,Sa"), "opened: {opened}: {file}");
    }
}

#[test]
fn status_tells_what_was_dropped() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    assert_eq!(account.status(&name("INBOX")).unwrap().messages, 0);
    drop_in(&world, "INBOX", "3000.M1.elsewhere");
    let status = account.status(&name("INBOX")).unwrap();
    assert_eq!((status.messages, status.recent, status.uid_next), (1, 1, 2));
}
