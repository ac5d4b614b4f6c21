//! Verbs that `imap-codec` parses whole.

use facteur_wire::Secret;
use imap_codec::{
    CommandCodec,
    decode::Decoder as _,
    imap_types::{
        command::{CommandBody, SelectParameter, StoreModifier},
        flag::{StoreResponse, StoreType},
        mailbox::Mailbox,
        sequence::{SeqOrUid, Sequence, SequenceSet as CodecSet},
    },
};

use crate::{
    Command, FlagList, FlagsAction, MailboxArgument, MailboxSet, SequenceRange, SequenceSet, Store,
    cursor::{Malformed, Parsed},
};

const ARGUMENTS: Malformed = Malformed("other arguments");

/// Reads a command; `line` is without its last CRLF.
pub(crate) fn parse(line: &[u8]) -> Parsed<Command> {
    let mut whole = Vec::with_capacity(line.len() + 2);
    whole.extend_from_slice(line);
    whole.extend_from_slice(b"\r\n");
    let parsed = match CommandCodec::default().decode(&whole) {
        Ok(([], command)) => convert(command.body),
        _ => Err(ARGUMENTS),
    };
    // LOGIN's password stood in it.
    zero(&mut whole);
    parsed
}

fn zero(bytes: &mut Vec<u8>) {
    drop(Secret::new(std::mem::take(bytes)));
}

fn convert(body: CommandBody<'_>) -> Parsed<Command> {
    Ok(match body {
        CommandBody::Capability => Command::Capability,
        CommandBody::Noop => Command::Noop,
        CommandBody::Logout => Command::Logout,
        CommandBody::StartTLS => Command::StartTls,
        CommandBody::Login { username, password } => Command::Login {
            username: username.as_ref().to_vec(),
            password: Secret::new(password.declassify().as_ref().to_vec()),
        },
        CommandBody::Enable { capabilities } => Command::Enable(
            capabilities
                .as_ref()
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
        CommandBody::Id { parameters } => Command::Id(
            parameters
                .unwrap_or_default()
                .into_iter()
                .map(|(field, value)| {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    (
                        text(field.as_ref()),
                        value.0.map(|value| text(value.as_ref())),
                    )
                })
                .collect(),
        ),
        CommandBody::Namespace => Command::Namespace,
        CommandBody::Idle => Command::Idle,
        CommandBody::Check => Command::Check,
        CommandBody::Close => Command::Close,
        CommandBody::Unselect => Command::Unselect,
        CommandBody::GetQuota { root } => Command::GetQuota(root.as_ref().to_vec()),
        CommandBody::GetQuotaRoot { mailbox } => Command::GetQuotaRoot(name(&mailbox)),
        CommandBody::SetQuota { root, .. } => Command::SetQuota(root.as_ref().to_vec()),
        other => return mailbox_or_message(other),
    })
}

fn mailbox_or_message(body: CommandBody<'_>) -> Parsed<Command> {
    Ok(match body {
        CommandBody::Select {
            mailbox,
            parameters,
        } => select(&mailbox, &parameters, false)?,
        CommandBody::Examine {
            mailbox,
            parameters,
        } => select(&mailbox, &parameters, true)?,
        CommandBody::Create { mailbox } => Command::Create(name(&mailbox)),
        CommandBody::Delete { mailbox } => Command::Delete(name(&mailbox)),
        CommandBody::Rename { from, to } => Command::Rename {
            from: name(&from),
            to: name(&to),
        },
        CommandBody::Subscribe { mailbox } => Command::Subscribe(name(&mailbox)),
        CommandBody::Unsubscribe { mailbox } => Command::Unsubscribe(name(&mailbox)),
        CommandBody::Expunge => Command::Expunge(None),
        CommandBody::ExpungeUid { sequence_set } => Command::Expunge(Some(set(&sequence_set))),
        CommandBody::Copy {
            sequence_set,
            mailbox,
            uid,
        } => Command::Copy(mailbox_set(&sequence_set, &mailbox, uid)),
        CommandBody::Move {
            sequence_set,
            mailbox,
            uid,
        } => Command::Move(mailbox_set(&sequence_set, &mailbox, uid)),
        CommandBody::Store {
            sequence_set,
            kind,
            response,
            flags,
            uid,
            modifiers,
        } => Command::Store(Store {
            uid,
            set: set(&sequence_set),
            action: match kind {
                StoreType::Replace => FlagsAction::Replace,
                StoreType::Add => FlagsAction::Add,
                StoreType::Remove => FlagsAction::Remove,
            },
            silent: response == StoreResponse::Silent,
            flags: FlagList(flags.iter().map(ToString::to_string).collect()).without_recent()?,
            unchanged_since: modifiers
                .iter()
                .map(|StoreModifier::UnchangedSince(modseq)| *modseq)
                .next_back(),
        }),
        _ => return Err(ARGUMENTS),
    })
}

fn select(
    mailbox: &Mailbox<'_>,
    parameters: &[SelectParameter],
    read_only: bool,
) -> Parsed<Command> {
    let mut condstore = false;
    for parameter in parameters {
        match parameter {
            SelectParameter::CondStore => condstore = true,
            SelectParameter::QResync { .. } => {
                return Err(Malformed("the parameter CONDSTORE; QRESYNC is not enabled"));
            }
        }
    }
    Ok(Command::Select {
        mailbox: name(mailbox),
        read_only,
        condstore,
    })
}

fn mailbox_set(messages: &CodecSet, mailbox: &Mailbox<'_>, uid: bool) -> MailboxSet {
    MailboxSet {
        uid,
        set: set(messages),
        mailbox: name(mailbox),
    }
}

fn name(mailbox: &Mailbox<'_>) -> MailboxArgument {
    match mailbox {
        Mailbox::Inbox => MailboxArgument::new(b"INBOX"),
        Mailbox::Other(other) => MailboxArgument::new(other.as_ref()),
    }
}

fn set(messages: &CodecSet) -> SequenceSet {
    let number = |end: &SeqOrUid| match end {
        SeqOrUid::Value(number) => Some(*number),
        SeqOrUid::Asterisk => None,
    };
    let range = |sequence: &Sequence| match sequence {
        Sequence::Single(only) => SequenceRange {
            first: number(only),
            last: number(only),
        },
        Sequence::Range(first, last) => SequenceRange {
            first: number(first),
            last: number(last),
        },
    };
    SequenceSet(messages.0.as_ref().iter().map(range).collect())
}
