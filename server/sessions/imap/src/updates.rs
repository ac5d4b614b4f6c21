//! Telling a client what changed (RFC 3501 §5.2, §7.3, §7.4).

use std::sync::Arc;

use bytes::BytesMut;
use facteur_imap::write::{self, FetchWriter};
use facteur_model::{Flag, Keyword, ModSeq, Uid, UidSet};
use facteur_store::{Changes, MessageState, Snapshot};

use crate::{io::FLUSH_AT, outcome::Closed, selected::Selected, session::Session};

/// What a client knows of some messages already: by which modification sequence it was told of
/// each last, in UID order.
pub(crate) type Told = Vec<(Uid, ModSeq)>;

impl Session {
    /// Tells what changed since the client was last told. Where EXPUNGE is not allowed and there
    /// is one to tell, it waits, and new messages do: the numbers the client uses stay as they are.
    pub(crate) async fn updates(&mut self, expunge_allowed: bool) -> Result<(), Closed> {
        self.updates_but(expunge_allowed, Told::new()).await
    }

    /// The same without what the client knows.
    pub(crate) async fn updates_but(
        &mut self,
        expunge_allowed: bool,
        told: Told,
    ) -> Result<(), Closed> {
        let Some(user) = self.user.as_deref_mut() else {
            return Ok(());
        };
        let Some(selected) = user.selected.as_mut() else {
            return Ok(());
        };
        if selected.mailbox.is_deleted() {
            return Err(Closed::Bye("Selected mailbox is gone"));
        }
        let mut later = selected.mailbox.snapshot();
        if Arc::ptr_eq(&later, &selected.snapshot) {
            return Ok(());
        }
        let mut changes = selected.snapshot.changes_to(&later);
        if !expunge_allowed && !changes.expunged.is_empty() {
            changes.expunged.clear();
            changes.added = 0;
            later = Arc::new(selected.snapshot.refreshed(&later, &changes.changed));
        }
        if changes.added > 0 {
            // Whoever hears of a message first has it as \Recent.
            let mailbox = selected.mailbox.clone();
            let claim = !selected.read_only;
            let recent = self
                .service
                .bridge
                .run(move || mailbox.recent(claim))
                .await
                .unwrap_or_default();
            for (first, last) in recent.ranges() {
                selected.recent.insert_range(first..=last);
            }
        }
        let known = selected.snapshot.uid_next();
        selected.snapshot = Arc::clone(&later);
        self.tell(&later, known, &changes, &told).await
    }

    /// Writes what changed up to `later`, which is the client's now; `known` is above every UID that it
    /// knew before.
    async fn tell(
        &mut self,
        later: &Snapshot,
        known: u64,
        changes: &Changes,
        told: &Told,
    ) -> Result<(), Closed> {
        // From the last to the first, so that each number is still what it was.
        for sequence in changes.expunged.iter().rev() {
            write::numbered(&mut self.out, *sequence, "EXPUNGE");
            self.flush_when_full().await?;
        }
        let Some(user) = self.user.as_deref_mut() else {
            return Ok(());
        };
        let (condstore, Some(selected)) = (user.condstore, &mut user.selected) else {
            return Ok(());
        };
        if changes.added > 0 {
            write::numbered(&mut self.out, later.len(), "EXISTS");
            write::numbered(&mut self.out, selected.recent_count(), "RECENT");
        }
        selected.tell_keywords(&mut self.out);
        if changes.changed.is_empty() {
            return Ok(());
        }
        let recent = selected.recent.clone();
        let mut told = told.iter().peekable();
        for (sequence, message) in later.select(&changes.changed) {
            while told.next_if(|(uid, _)| *uid < message.uid).is_some() {}
            let knows = told.peek() == Some(&&(message.uid, message.modseq));
            if knows || u64::from(message.uid.value()) >= known {
                continue;
            }
            let mut fetch = FetchWriter::begin(&mut self.out, sequence);
            fetch.uid(message.uid.value());
            write_flags(&mut fetch, later, message, &recent);
            if condstore {
                fetch.modseq(message.modseq.value());
            }
            fetch.end();
            self.flush_when_full().await?;
        }
        Ok(())
    }

    /// Another session may have changed a million messages.
    async fn flush_when_full(&mut self) -> Result<(), Closed> {
        match self.out.len() >= FLUSH_AT {
            true => self.flush().await,
            false => Ok(()),
        }
    }
}

impl Selected {
    /// FLAGS and PERMANENTFLAGS again, when there are new keywords: a client must know of one
    /// before it sees it (RFC 3501 §7.2.6).
    pub(crate) fn tell_keywords(&mut self, out: &mut BytesMut) {
        if self.snapshot.known_keywords().len() != self.keywords_told {
            self.write_flag_lists(out);
        }
    }

    /// `FLAGS` and `PERMANENTFLAGS` (RFC 3501 §7.1, §7.2.6).
    pub(crate) fn write_flag_lists(&mut self, out: &mut BytesMut) {
        let keywords = self.snapshot.known_keywords();
        self.keywords_told = keywords.len();
        let mut list = String::new();
        let mut name = |flag: &str| {
            if !list.is_empty() {
                list.push(' ');
            }
            list.push_str(flag);
        };
        Flag::ALL.iter().for_each(|flag| name(flag.as_str()));
        keywords.iter().for_each(|keyword| name(keyword.as_str()));
        out.extend_from_slice(format!("* FLAGS ({list})\r\n").as_bytes());
        let permanent = match self.read_only {
            true => "[PERMANENTFLAGS ()] Read-only mailbox".to_owned(),
            false => format!("[PERMANENTFLAGS ({list} \\*)] Flags permitted"),
        };
        write::status(out, None, write::Condition::Ok, &permanent);
    }
}

/// Writes a message's FLAGS, `\Recent` among them.
pub(crate) fn write_flags(
    fetch: &mut FetchWriter<'_>,
    snapshot: &Snapshot,
    message: &MessageState,
    recent: &UidSet,
) {
    // One lifetime for what is static and what is the snapshot's.
    fn name<'a>(flag: Flag) -> &'a str {
        flag.as_str()
    }
    let keywords = snapshot.keywords(message.keywords).iter();
    let recent = recent.contains(message.uid).then_some("\\Recent");
    let system = message.flags.iter().map(name);
    fetch.flags(system.chain(keywords.map(Keyword::as_str)).chain(recent));
}
