//! `[mailbox.NAME]`: a mailbox that every account has.

use crate::{section::section, setting::choice};

choice! {
    /// Whether a mailbox is made by itself.
    Auto {
        /// Not made: it only has its special use when the user makes it.
        No = "no",
        /// Made.
        Create = "create",
        /// Made and subscribed.
        Subscribe = "subscribe",
    }
}

choice! {
    /// What a mailbox is for (RFC 6154 §2).
    SpecialUse {
        /// Every message.
        All = "\\All",
        /// Messages put away.
        Archive = "\\Archive",
        /// Messages being written.
        Drafts = "\\Drafts",
        /// Messages marked as important.
        Flagged = "\\Flagged",
        /// Spam.
        Junk = "\\Junk",
        /// Messages that were sent.
        Sent = "\\Sent",
        /// Messages that were deleted.
        Trash = "\\Trash",
    }
}

impl SpecialUse {
    /// As it stands in LIST.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }
}

section! {
    /// A mailbox that every account has, by its name. With any such section only those in the file
    /// exist; without, Drafts, Sent, Archive, Junk and Trash.
    Mailbox {
        /// Whether it is made by itself.
        auto: Auto = Auto::No,
        /// What it is for.
        special_use: Option<SpecialUse> = None,
    }
}

impl Mailbox {
    /// Those of a server that names none.
    pub fn defaults() -> Vec<(String, Self)> {
        [
            ("Drafts", SpecialUse::Drafts),
            ("Sent", SpecialUse::Sent),
            ("Archive", SpecialUse::Archive),
            ("Junk", SpecialUse::Junk),
            ("Trash", SpecialUse::Trash),
        ]
        .map(|(name, special_use)| {
            let mailbox = Self {
                auto: Auto::Subscribe,
                special_use: Some(special_use),
            };
            (name.to_owned(), mailbox)
        })
        .into()
    }
}
