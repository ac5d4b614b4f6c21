//! Commands, and which parser reads which verb.

use facteur_wire::Secret;

use crate::{
    Fetch, FlagList, List, MailboxArgument, Search, SequenceSet, StatusItem, Tag, authenticate,
    codec,
    cursor::{Cursor, Malformed, Parsed},
    fetch, list, search, status,
};

/// A command with its arguments (RFC 3501 §6 and the extensions named). APPEND is not one: its
/// literal streams, see [`crate::Event::Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE (RFC 4959 for the initial response)
    Authenticate {
        /// SASL mechanism, as written.
        mechanism: String,
        /// In base64; `=` is an empty one.
        initial_response: Option<Secret>,
    },
    /// LOGIN
    Login {
        /// As sent.
        username: Vec<u8>,
        /// As sent.
        password: Secret,
    },
    /// ENABLE (RFC 5161)
    Enable(Vec<String>),
    /// ID (RFC 2971): what the client says of itself
    Id(Vec<(String, Option<String>)>),
    /// NAMESPACE (RFC 2342)
    Namespace,
    /// SELECT and EXAMINE
    Select {
        /// Which.
        mailbox: MailboxArgument,
        /// EXAMINE.
        read_only: bool,
        /// The parameter CONDSTORE (RFC 7162 §3.1.8).
        condstore: bool,
    },
    /// CREATE
    Create(MailboxArgument),
    /// DELETE
    Delete(MailboxArgument),
    /// RENAME
    Rename {
        /// The old name.
        from: MailboxArgument,
        /// The new one.
        to: MailboxArgument,
    },
    /// SUBSCRIBE
    Subscribe(MailboxArgument),
    /// UNSUBSCRIBE
    Unsubscribe(MailboxArgument),
    /// LIST
    List(List),
    /// LSUB
    Lsub(List),
    /// STATUS
    Status {
        /// Which.
        mailbox: MailboxArgument,
        /// What of it.
        items: Vec<StatusItem>,
    },
    /// GETQUOTA (RFC 9208 §4.2): the quota root
    GetQuota(Vec<u8>),
    /// GETQUOTAROOT
    GetQuotaRoot(MailboxArgument),
    /// SETQUOTA
    SetQuota(Vec<u8>),
    /// IDLE (RFC 2177)
    Idle,
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT (RFC 3691)
    Unselect,
    /// EXPUNGE; with a set of UIDs, UID EXPUNGE (RFC 4315 §2.1)
    Expunge(Option<SequenceSet>),
    /// SEARCH, UID SEARCH
    Search(Search),
    /// FETCH, UID FETCH
    Fetch(Fetch),
    /// STORE, UID STORE
    Store(Store),
    /// COPY, UID COPY
    Copy(MailboxSet),
    /// MOVE, UID MOVE (RFC 6851)
    Move(MailboxSet),
}

/// What COPY and MOVE take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxSet {
    /// Whether the set is of UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub mailbox: MailboxArgument,
}

/// What STORE takes (RFC 3501 §6.4.6, RFC 7162 §3.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Whether the set is of UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// What to do with the flags named.
    pub action: FlagsAction,
    /// `.SILENT`
    pub silent: bool,
    /// The flags.
    pub flags: FlagList,
    /// UNCHANGEDSINCE
    pub unchanged_since: Option<u64>,
}

/// What STORE does with the flags it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagsAction {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// A command that could not be read: the tag to answer with, if there is one, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) tag: Option<Tag>,
    pub(crate) text: String,
}

/// Reads one complete command. `line` has its literals and ends where the last line's CRLF begins.
pub(crate) fn parse(line: &[u8]) -> Result<(Tag, Command), Refused> {
    let mut cursor = Cursor::new(line);
    let tag = match Tag::take(&mut cursor) {
        Ok(tag) if cursor.take_if(b' ') => tag,
        _ => {
            return Err(Refused {
                tag: None,
                text: "A command begins with a tag and a space".to_owned(),
            });
        }
    };
    let verb = match verb(&mut cursor) {
        Ok(verb) => verb,
        Err(malformed) => {
            return Err(Refused {
                tag: Some(tag),
                text: malformed.to_string(),
            });
        }
    };
    match arguments(&verb, &mut cursor, line) {
        Ok(Some(command)) => Ok((tag, command)),
        Ok(None) => Err(Refused {
            tag: Some(tag),
            text: format!("Unknown command {verb}"),
        }),
        Err(malformed) => Err(Refused {
            tag: Some(tag),
            text: format!("{verb}: {malformed}"),
        }),
    }
}

/// The verb in capitals; with `UID ` before it where the client put that.
pub(crate) fn verb(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let name = |cursor: &mut Cursor<'_>| {
        let name = cursor.take_while(|b| b.is_ascii_alphanumeric());
        match std::str::from_utf8(name) {
            // No verb is longer; an attacker's need not come back in the reply.
            Ok(name) if (1..=20).contains(&name.len()) => Ok(name.to_ascii_uppercase()),
            _ => Err(Malformed("a command")),
        }
    };
    let first = name(cursor)?;
    if first != "UID" || !cursor.take_if(b' ') {
        return Ok(first);
    }
    Ok(format!("UID {}", name(cursor)?))
}

fn arguments(verb: &str, cursor: &mut Cursor<'_>, line: &[u8]) -> Parsed<Option<Command>> {
    let (uid, name) = match verb.strip_prefix("UID ") {
        Some(name) => (true, name),
        None => (false, verb),
    };
    Ok(Some(match name {
        "FETCH" => Command::Fetch(fetch::parse(cursor, uid)?),
        "SEARCH" => Command::Search(search::parse(cursor, uid)?),
        "STORE" | "COPY" | "MOVE" | "EXPUNGE" => return codec::parse(line).map(Some),
        _ if uid => return Ok(None),
        "LIST" => Command::List(list::parse_extended(cursor)?),
        "LSUB" => Command::Lsub(list::parse(cursor)?),
        "STATUS" => status::parse(cursor)?,
        "AUTHENTICATE" => authenticate::parse(cursor)?,
        "CAPABILITY" | "NOOP" | "LOGOUT" | "STARTTLS" | "LOGIN" | "ENABLE" | "ID" | "NAMESPACE"
        | "SELECT" | "EXAMINE" | "CREATE" | "DELETE" | "RENAME" | "SUBSCRIBE" | "UNSUBSCRIBE"
        | "GETQUOTA" | "GETQUOTAROOT" | "SETQUOTA" | "IDLE" | "CHECK" | "CLOSE" | "UNSELECT" => {
            return codec::parse(line).map(Some);
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests;
