//! What Dovecot knew of a mailbox.

use facteur_model::{Flags, Guid, ModSeq, Uid, UidValidity};

/// A mailbox as Dovecot's index shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxImage {
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT; up to 2^32.
    pub next_uid: u64,
    /// HIGHESTMODSEQ.
    pub highest_modseq: ModSeq,
    /// The mailbox's GUID.
    pub guid: Option<Guid>,
    /// Messages from this UID on have been shown to no session yet.
    pub first_recent_uid: u32,
    /// The mailbox's keywords, as Dovecot spells them; some may be in no use, some no keywords of IMAP.
    pub keywords: Vec<String>,
    /// Which sets of keywords its messages have, as positions in `keywords`, ascending. The first is
    /// the empty one.
    pub keyword_sets: Vec<Vec<u16>>,
    /// Its messages by UID.
    pub messages: Vec<MessageImage>,
}

/// One message as Dovecot's index shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageImage {
    /// Its UID.
    pub uid: Uid,
    /// Its system flags.
    pub flags: Flags,
    /// Its keywords: a position in [`MailboxImage::keyword_sets`].
    pub keywords: u32,
    /// Its last change.
    pub modseq: ModSeq,
}

impl MailboxImage {
    /// The message with this UID.
    pub fn message(&self, uid: Uid) -> Option<&MessageImage> {
        let at = self.messages.binary_search_by_key(&uid, |m| m.uid).ok()?;
        self.messages.get(at)
    }

    /// The names of a set's keywords.
    pub fn keyword_names(&self, set: u32) -> impl Iterator<Item = &str> {
        let set = self.keyword_sets.get(set as usize).map_or(&[][..], |s| s);
        let name = |at: &u16| self.keywords.get(usize::from(*at)).map(String::as_str);
        set.iter().filter_map(name)
    }
}
