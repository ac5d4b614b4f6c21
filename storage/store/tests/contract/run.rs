//! Work on a store that a fault may interrupt, and what must be there after it.

use std::{collections::BTreeMap, io};

use facteur_disk::PowerLoss;
use facteur_model::{Flag, FlagOperation, MailFormat, ModSeq, Uid, UidValidity};
use facteur_spool::{Entry, SpoolError};
use facteur_store::{Append, Batch, Body, MemoryEntry, Store, StoreError};

use crate::world::{World, batch, change, entry, name, text, uids};

/// How many steps a run has.
pub(crate) const STEPS: usize = 20;

/// Where each message is: account, mailbox, its token.
type Census = BTreeMap<(String, String, String), u32>;

/// What was done before the fault, and what is to be found after it.
pub(crate) struct Run {
    pub(crate) world: World,
    relayed: Entry,
    /// Steps that returned without an error.
    pub(crate) acknowledged: Vec<&'static str>,
    pub(crate) failures: Vec<StoreError>,
    pub(crate) uids: Vec<(&'static str, &'static str, Uid)>,
    /// Who records it, and when each step had returned: the moment, how many steps and UIDs.
    pub(crate) power: Option<PowerLoss>,
    pub(crate) moments: Vec<(usize, usize, usize)>,
    /// What only the index has need not be there.
    pub(crate) index_lost: bool,
    /// The HIGHESTMODSEQ of bob's INBOX that was seen after a step.
    modseqs: Vec<(&'static str, ModSeq)>,
    /// The UIDVALIDITY of a mailbox that a client made.
    made: Option<UidValidity>,
}

impl Run {
    pub(crate) fn new() -> Self {
        let world = World::in_memory();
        let store = world.open();
        for token in ["p1", "p2", "p3", "p4", "p5"] {
            store
                .commit(batch([append(&world, "bob", "INBOX", token)]))
                .unwrap();
        }
        store
            .commit(batch([append(&world, "bob", "Trash", "p6")]))
            .unwrap();
        world.account(&store, "bob").create(&name("Kept")).unwrap();
        world
            .account(&store, "bob")
            .create(&name("Old/Below"))
            .unwrap();
        store.close().unwrap();
        Self {
            world,
            relayed: entry("far@remote.test"),
            acknowledged: Vec::new(),
            failures: Vec::new(),
            uids: Vec::new(),
            power: None,
            moments: Vec::new(),
            index_lost: false,
            modseqs: Vec::new(),
            made: None,
        }
    }

    fn step(&mut self, step: &'static str, work: impl FnOnce(&mut Self) -> Result<(), StoreError>) {
        match work(self) {
            Ok(()) => self.acknowledged.push(step),
            Err(error) => self.failures.push(error),
        }
        if let Some(power) = &self.power {
            power.observe().unwrap();
            let (steps, uids) = (self.acknowledged.len(), self.uids.len());
            self.moments.push((power.moments(), steps, uids));
        }
    }

    /// Everything that changes a store, one after the other.
    pub(crate) fn perform(&mut self, store: &Store) {
        self.step("single", |run| run.deliver(store, "bob", "INBOX", "single"));
        self.step("batch", |run| {
            let world = &run.world;
            let appends = [
                ("bob", "INBOX"),
                ("bob", "Spam"),
                ("carol", "INBOX"),
                ("bob", "Made"),
            ];
            let appends = appends.map(|(who, mailbox)| append(world, who, mailbox, "batch"));
            let done = store.commit(Batch {
                appends: appends.to_vec(),
                spool: vec![(run.relayed.clone(), Body::Memory(crate::world::MAIL.into()))],
                ..Batch::default()
            })?;
            run.uids.push(("bob", "INBOX", done.appended[0].uid));
            run.uids.push(("bob", "Spam", done.appended[1].uid));
            Ok(())
        });
        let inbox = |run: &Self| store.account(&run.world.spec("bob"))?.open(&name("INBOX"));
        self.step("copy", |run| {
            inbox(run)?.copy(&uids(&[1, 2]), &name("Spam")).map(|_| ())
        });
        self.step("move", |run| {
            inbox(run)?
                .move_to(&uids(&[3, 4]), &name("Trash"))
                .map(|_| ())
        });
        self.step("flags", |run| {
            let seen = change(FlagOperation::Add, &[Flag::Seen], &[]);
            let inbox = inbox(run)?;
            inbox.store(&uids(&[1]), &seen)?;
            run.modseqs
                .push(("flags", inbox.snapshot().highest_modseq()));
            Ok(())
        });
        self.step("expunge", |run| {
            inbox(run)?.expunge(&uids(&[1, 5]), true).map(|_| ())
        });
        self.step("rename", |run| {
            store
                .account(&run.world.spec("bob"))?
                .rename(&name("Trash"), &name("Bin/Trash"))
        });
        self.step("delete", |run| {
            store
                .account(&run.world.spec("bob"))?
                .delete(&name("Old/Below"))
        });
        self.step("script", |run| {
            let account = store.account(&run.world.spec("bob"))?;
            account.put_script("main", b"keep;")?;
            account.set_active_script(Some("main"))
        });
        self.perform_more(store);
        self.step("checkpoint", |_| store.checkpoint());
        self.step("last", |run| run.deliver(store, "carol", "INBOX", "last"));
    }

    fn perform_more(&mut self, store: &Store) {
        let bob = |run: &Self| store.account(&run.world.spec("bob"));
        self.step("large", |run| {
            let mut staging = store.stage();
            staging.write(&[b'x'; 5000])?;
            let mut append = append(&run.world, "bob", "INBOX", "large");
            append.body = staging.finish()?;
            store.commit(batch([append])).map(|_| ())
        });
        // A copy of a copy, whose original and whose folder go. One that failed had a UID, too.
        self.step("create", |run| {
            bob(run)?.create(&name("Source"))?;
            run.made = Some(bob(run)?.status(&name("Source"))?.uid_validity);
            Ok(())
        });
        self.step("gather", |run| {
            let inbox = bob(run)?.open(&name("INBOX"))?;
            inbox.copy(&uids(&[2]), &name("Source")).map(|_| ())
        });
        self.step("scatter", |run| {
            let source = bob(run)?.open(&name("Source"))?;
            source.copy(&uids(&[1, 2, 3]), &name("Kept")).map(|_| ())
        });
        self.step("drop", |run| bob(run)?.delete(&name("Source")));
        self.step("keywords", |run| {
            let kept = change(FlagOperation::Add, &[Flag::Flagged], &["$Kept"]);
            let inbox = bob(run)?.open(&name("INBOX"))?;
            inbox.store(&uids(&[2]), &kept)?;
            run.modseqs
                .push(("keywords", inbox.snapshot().highest_modseq()));
            Ok(())
        });
        self.step("subscriptions", |run| {
            bob(run)?.set_subscribed(&name("INBOX"), true)?;
            bob(run)?.set_subscribed(&name("Spam"), false)
        });
        self.step("memory", |run| {
            let memory = MemoryEntry {
                account: run.world.spec("bob"),
                key: [7; 32],
                expires_at: i64::MAX,
            };
            let batch = Batch {
                memory: vec![memory],
                ..Batch::default()
            };
            store.commit(batch).map(|_| ())
        });
        self.step("held", |run| {
            let held = facteur_spool::Change {
                held: Some(true),
                ..facteur_spool::Change::default()
            };
            match store.spool().update(&run.relayed.queue_id, &held) {
                Ok(()) => Ok(()),
                // It never came in, or waits to be put there.
                Err(SpoolError::Gone) => Err(StoreError::Gone),
                Err(SpoolError::Io(error)) => Err(error.into()),
                Err(other) => Err(StoreError::Io(io::Error::other(other))),
            }
        });
    }

    fn check_more(&self, store: &Store, count: &impl Fn(&str, &str, &str) -> u32) {
        let acknowledged = |step| self.acknowledged.contains(&step);
        let least = |step| u32::from(acknowledged(step));
        let bob = self.world.account(store, "bob");
        let large = count("bob", "INBOX", "large");
        assert!((least("large")..=1).contains(&large), "large: {large}");
        let scattered = count("bob", "Kept", "p2");
        let gathered = least("scatter").min(least("gather"));
        assert!((gathered..=1).contains(&scattered), "scatter: {scattered}");
        if acknowledged("create") && bob.has_mailbox(&name("Source")).unwrap() {
            let now = bob.status(&name("Source")).unwrap().uid_validity;
            assert_eq!(Some(now), self.made);
        }
        if acknowledged("drop") {
            assert!(!bob.has_mailbox(&name("Source")).unwrap());
        }
        if acknowledged("subscriptions") {
            let subscribed = bob.subscriptions().unwrap();
            assert!(subscribed.contains(&name("INBOX")), "{subscribed:?}");
            assert!(!subscribed.contains(&name("Spam")), "{subscribed:?}");
        }
        // Flags are durable with what the journal is synced for next.
        let names_say = crate::FORMAT == MailFormat::Maildir && acknowledged("checkpoint");
        let known = !self.index_lost || names_say;
        if acknowledged("keywords") && acknowledged("memory") && known {
            let inbox = bob.open(&name("INBOX")).unwrap();
            let snapshot = inbox.snapshot();
            let message = snapshot.by_uid(Uid::new(2).unwrap()).unwrap();
            let keywords = snapshot.keywords(message.keywords);
            assert!(message.flags.contains(Flag::Flagged));
            assert!(keywords.iter().any(|keyword| keyword.as_str() == "$Kept"));
        }
        if acknowledged("memory") && !self.index_lost {
            assert!(bob.remembers(&[7; 32], 0).unwrap());
        }
        // The flags may be lost with the machine; what was seen of them is not given to others.
        let now = bob.open(&name("INBOX")).unwrap().snapshot();
        for (_, seen) in self.modseqs.iter().filter(|(step, _)| acknowledged(step)) {
            assert!(
                now.highest_modseq() >= *seen,
                "MODSEQ {seen:?} is given again"
            );
        }
        if acknowledged("held") && acknowledged("batch") {
            assert!(store.spool().entry(&self.relayed.queue_id).unwrap().held);
        }
    }

    fn deliver(
        &mut self,
        store: &Store,
        who: &'static str,
        mailbox: &'static str,
        token: &str,
    ) -> Result<(), StoreError> {
        let done = store.commit(batch([append(&self.world, who, mailbox, token)]))?;
        self.uids.push((who, mailbox, done.appended[0].uid));
        Ok(())
    }

    /// How often each message is where; `tidy` if nothing may be left under a temporary name.
    fn census(&self, store: &Store, tidy: bool) -> Census {
        let mut census = Census::new();
        for who in ["bob", "carol"] {
            let account = self.world.account(store, who);
            let mut usage = (0, 0);
            for folder in account.folders().unwrap().iter().filter(|f| f.selectable) {
                let mailbox = account.open(&folder.name).unwrap();
                let status = account.status(&folder.name).unwrap();
                assert_eq!(status.messages, mailbox.snapshot().len());
                usage.0 += status.size;
                for message in mailbox.snapshot().iter() {
                    let bytes = text(&mailbox, message.uid.value());
                    let token = String::from_utf8(bytes).unwrap();
                    let token = token.lines().next().unwrap().to_owned();
                    let key = (who.to_owned(), folder.name.to_string(), token);
                    *census.entry(key).or_default() += 1;
                    usage.1 += 1;
                }
                if tidy {
                    assert_eq!(self.world.temporary(who), [""; 0]);
                }
            }
            let told = account.usage().unwrap();
            assert_eq!((told.bytes, told.messages), usage, "usage of {who}");
        }
        census
    }

    /// Checks all that must hold, in a store opened after the fault.
    pub(crate) fn check(&self, store: &Store) {
        let census = self.census(store, true);
        let count = |who: &str, mailbox: &str, token: &str| {
            let key = (who.to_owned(), mailbox.to_owned(), format!("T: {token}"));
            census.get(&key).copied().unwrap_or(0)
        };
        let acknowledged = |step| self.acknowledged.contains(&step);
        let least = |step| u32::from(acknowledged(step));

        let single = count("bob", "INBOX", "single");
        assert!((least("single")..=1).contains(&single), "single: {single}");
        let last = count("carol", "INBOX", "last");
        assert!((least("last")..=1).contains(&last), "last: {last}");

        let spooled = u32::from(store.spool().entry(&self.relayed.queue_id).is_ok());
        assert!((least("batch")..=1).contains(&spooled), "batch: {spooled}");
        for (who, mailbox) in [
            ("bob", "INBOX"),
            ("bob", "Spam"),
            ("carol", "INBOX"),
            ("bob", "Made"),
        ] {
            assert_eq!(
                count(who, mailbox, "batch"),
                spooled,
                "batch in {who} {mailbox}"
            );
        }

        let copied = [count("bob", "Spam", "p1"), count("bob", "Spam", "p2")];
        let whole = [0, 1].contains(&copied[0]) && copied[0] >= least("copy");
        assert!(whole && copied[0] == copied[1], "copy: {copied:?}");
        assert_eq!(count("bob", "INBOX", "p2"), 1, "the original stays");

        for token in ["p3", "p4"] {
            let there = count("bob", "Trash", token) + count("bob", "Bin/Trash", token);
            let here = count("bob", "INBOX", token);
            assert_eq!(here + there, 1, "moved message {token}");
            assert!(there >= least("move"), "moved message {token}");
        }
        assert_eq!(
            count("bob", "Trash", "p6") + count("bob", "Bin/Trash", "p6"),
            1
        );

        for token in ["p1", "p5"] {
            let left = count("bob", "INBOX", token);
            assert!(left <= 1 - least("expunge"), "expunge: {token} {left}");
        }
        let bob = self.world.account(store, "bob");
        if acknowledged("rename") {
            assert_eq!(count("bob", "Bin/Trash", "p6"), 1);
        }
        if acknowledged("delete") {
            assert!(!bob.has_mailbox(&name("Old/Below")).unwrap());
        }
        if acknowledged("script") {
            let (name, text) = bob.active_script().unwrap().unwrap();
            assert_eq!((&*name, &*text), ("main", &b"keep;"[..]));
        }
        self.check_more(store, &count);
        // The store works on, and gives no UID twice.
        for (who, mailbox) in [("bob", "INBOX"), ("bob", "Spam"), ("carol", "INBOX")] {
            let next = self.world.deliver(store, who, mailbox);
            for (w, m, uid) in &self.uids {
                assert!(
                    (*w, *m) != (who, mailbox) || next > *uid,
                    "UID {next} in {who} {mailbox}"
                );
            }
        }
    }

    /// The store works on in the process in which something failed.
    pub(crate) fn check_later(&self, store: &Store) {
        for who in ["bob", "carol"] {
            self.world.deliver(store, who, "INBOX");
        }
        // After a checkpoint nothing has a temporary name; a file system that failed to sync gets none.
        let tidy = store.checkpoint().is_ok();
        self.census(store, tidy);
    }
}

/// A message that begins with its token, into a mailbox that is made if need be.
pub(crate) fn append(world: &World, who: &str, mailbox: &str, token: &str) -> Append {
    let mut append = world.append(who, mailbox);
    append.prefix = format!("T: {token}\r\n").into();
    append.create = true;
    append
}
