//! Names of mailboxes ("folders"), in the form that every part of the store shares.

use std::{fmt, sync::Arc};

/// A mailbox's name: UTF-8, levels separated by `/`, `INBOX` in capitals whatever the client wrote
/// (RFC 9051 §5.1). A name that parsed is safe to map to a path below the account's home.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(Arc<str>);

/// Why a name is not a mailbox's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailboxNameError {
    /// Nothing, or an empty level: `""`, `"/a"`, `"a//b"`, `"a/"`.
    #[error("mailbox name has an empty level")]
    EmptyLevel,
    /// A level that a file system reserves, or that the formats on disk keep for themselves.
    #[error("mailbox name has a level that the store reserves")]
    Reserved,
    /// A control character.
    #[error("mailbox name has a control character")]
    Control,
    /// Longer than the limits.
    #[error("mailbox name is too long")]
    TooLong,
}

impl MailboxName {
    /// The separator between levels.
    pub const SEPARATOR: char = '/';
    /// Longest name, in bytes as the disk has it (modified UTF-7): with the account's home and a
    /// message's file name it must fit a path.
    pub const MAX_LEN: usize = 3072;
    /// Longest level, in bytes as the disk has it: it must fit a file name.
    pub const MAX_LEVEL_LEN: usize = 255;
    /// Most levels.
    pub const MAX_LEVELS: usize = 64;

    /// The mailbox every account has.
    pub fn inbox() -> Self {
        Self(Arc::from("INBOX"))
    }

    /// Checks and canonicalises a name.
    ///
    /// # Errors
    /// [`MailboxNameError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, MailboxNameError> {
        // Nothing so long fits, whatever it is made of: no need to count.
        if text.len() > 2 * Self::MAX_LEN {
            return Err(MailboxNameError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(MailboxNameError::Control);
        }
        let mut levels: Vec<&str> = text.split(Self::SEPARATOR).collect();
        if levels.iter().any(|level| level.is_empty()) {
            return Err(MailboxNameError::EmptyLevel);
        }
        let encoded = levels.iter().map(|level| encoded_len(level));
        if levels.len() > Self::MAX_LEVELS
            || encoded.clone().any(|len| len > Self::MAX_LEVEL_LEN)
            || encoded.sum::<usize>() + levels.len() - 1 > Self::MAX_LEN
        {
            return Err(MailboxNameError::TooLong);
        }
        if levels
            .iter()
            .any(|level| matches!(*level, "." | ".." | "dbox-Mails" | "uidvalidity"))
        {
            return Err(MailboxNameError::Reserved);
        }
        if let Some(first) = levels.first_mut()
            && first.eq_ignore_ascii_case("INBOX")
        {
            *first = "INBOX";
        }
        Ok(Self(Arc::from(levels.join("/"))))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// Its levels, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split(Self::SEPARATOR)
    }

    /// The mailbox one level up, if it has one.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once(Self::SEPARATOR)
            .map(|(parent, _)| Self(Arc::from(parent)))
    }

    /// Whether it lies below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(&*other.0)
            .is_some_and(|rest| rest.starts_with(Self::SEPARATOR))
    }
}

/// The length of a level in modified UTF-7 (RFC 3501 §5.1.3), in bytes: `&` takes two, a run of
/// what is not printable US-ASCII its UTF-16 in base64 between two marks.
fn encoded_len(level: &str) -> usize {
    let mut len = 0;
    let mut units = 0;
    let run = |units: &mut usize| match std::mem::take(units) {
        0 => 0,
        units => (units * 16).div_ceil(6) + 2,
    };
    for c in level.chars() {
        match c {
            ' '..='~' => len += run(&mut units) + if c == '&' { 2 } else { 1 },
            c => units += c.len_utf16(),
        }
    }
    len + run(&mut units)
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a mailbox is for (RFC 6154 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::All,
        Self::Archive,
        Self::Drafts,
        Self::Flagged,
        Self::Junk,
        Self::Sent,
        Self::Trash,
    ];

    /// As it stands on the wire, with its backslash.
    pub fn as_str(self) -> &'static str {
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

    /// From its wire form, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|r#use| r#use.as_str().eq_ignore_ascii_case(text))
    }
}
