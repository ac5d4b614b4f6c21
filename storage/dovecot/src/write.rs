//! From an image to the index files that Dovecot opens.

use facteur_model::{Flag, Guid};

use crate::{
    MailboxImage, MessageImage,
    bytes::{aligned, put},
    extensions::{DBOX, KEYWORDS, MODSEQ},
    header::{INDEX_HEADER, INDEX_MAJOR, INDEX_MINOR, LITTLE_ENDIAN, LOG_HEADER, LogHeader, at},
};

/// The log's number. A log without one before it begins the mailbox anew, whatever the index says:
/// ours comes after a first one that has been removed, as in every mailbox that is not new.
const LOG_SEQ: u32 = 2;
/// Where a record keeps its MODSEQ: behind the UID and the flags, aligned.
const MODSEQ_AT: usize = 8;
/// Where it keeps its keywords.
const KEYWORDS_AT: usize = 16;

/// A mailbox's index files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `dovecot.index`
    pub index: Vec<u8>,
    /// `dovecot.index.log`
    pub log: Vec<u8>,
}

/// Writes an image as Dovecot's index, made at `now` (Unix seconds). Messages must ascend by UID. A
/// mailbox without a GUID gets one from Dovecot.
pub fn write(image: &MailboxImage, now: u32) -> Written {
    let created = now.max(1);
    let log = LogHeader {
        minor: 0,
        size: LOG_HEADER,
        index_id: created,
        seq: LOG_SEQ,
        previous_seq: LOG_SEQ - 1,
        previous_offset: low(LOG_HEADER),
        initial_modseq: image.highest_modseq.value().max(1),
    };
    // Whole groups of 32: room for keywords to come, and every record stays aligned.
    let keyword_bytes = image.keywords.len().div_ceil(32) * 4;
    let record_size = aligned(KEYWORDS_AT + keyword_bytes, 8);
    let mut index = header(image, created);
    extensions(&mut index, image, keyword_bytes);
    let header_size = low(index.len());
    put(&mut index, at::HEADER_SIZE, &header_size.to_le_bytes());
    put(&mut index, at::RECORD_SIZE, &low(record_size).to_le_bytes());
    index.reserve(image.messages.len() * record_size);
    for message in &image.messages {
        record(&mut index, image, message, record_size);
    }
    Written {
        index,
        log: log.encode(created),
    }
}

/// Sizes and counts in these files have four bytes.
fn low(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn header(image: &MailboxImage, created: u32) -> Vec<u8> {
    let next_uid = u32::try_from(image.next_uid.max(1)).unwrap_or(u32::MAX);
    let has = |flag: Flag| move |message: &&MessageImage| message.flags.contains(flag);
    let lacks = |flag: Flag| move |message: &&MessageImage| !message.flags.contains(flag);
    let messages = || image.messages.iter();
    let first = |found: Option<&MessageImage>| found.map_or(next_uid, |found| found.uid.value());
    let mut header = vec![0; INDEX_HEADER];
    put(&mut header, 0, &[INDEX_MAJOR, INDEX_MINOR]);
    put(
        &mut header,
        at::BASE_SIZE,
        &u16::try_from(INDEX_HEADER).unwrap_or(0).to_le_bytes(),
    );
    put(&mut header, at::COMPAT_FLAGS, &[LITTLE_ENDIAN]);
    for (place, value) in [
        (at::INDEX_ID, created),
        (at::UID_VALIDITY, image.uid_validity.value()),
        (at::NEXT_UID, next_uid),
        (at::MESSAGES, low(image.messages.len())),
        (at::SEEN, low(messages().filter(has(Flag::Seen)).count())),
        (
            at::DELETED,
            low(messages().filter(has(Flag::Deleted)).count()),
        ),
        (at::FIRST_RECENT, image.first_recent_uid.clamp(1, next_uid)),
        (at::FIRST_UNSEEN, first(messages().find(lacks(Flag::Seen)))),
        (
            at::FIRST_DELETED,
            first(messages().find(has(Flag::Deleted))),
        ),
        (at::LOG_SEQ, LOG_SEQ),
        (at::LOG_TAIL, low(LOG_HEADER)),
        (at::LOG_HEAD, low(LOG_HEADER)),
        // There is no older log.
        (at::LOG2_ROTATED, u32::MAX),
    ] {
        put(&mut header, place, &value.to_le_bytes());
    }
    header
}

fn extensions(index: &mut Vec<u8>, image: &MailboxImage, keyword_bytes: usize) {
    let mut dbox = [0; 24];
    if let Some(guid) = image.guid.as_ref().map(Guid::as_bytes) {
        put(&mut dbox, 4, guid);
    }
    extension(index, DBOX, &dbox, (0, 0, 0));
    let mut modseq = [0; 16];
    put(&mut modseq, 0, &image.highest_modseq.value().to_le_bytes());
    put(&mut modseq, 8, &LOG_SEQ.to_le_bytes());
    put(&mut modseq, 12, &low(LOG_HEADER).to_le_bytes());
    extension(index, MODSEQ, &modseq, (MODSEQ_AT, 8, 8));
    if !image.keywords.is_empty() {
        let names = keyword_names(&image.keywords);
        extension(index, KEYWORDS, &names, (KEYWORDS_AT, keyword_bytes, 1));
    }
}

/// An extension with its header's data, and where its part of a record lies, how long it is, and how
/// it is aligned.
fn extension(
    index: &mut Vec<u8>,
    name: &[u8],
    data: &[u8],
    (offset, size, align): (usize, usize, usize),
) {
    index.extend_from_slice(&low(data.len()).to_le_bytes());
    index.extend_from_slice(&0_u32.to_le_bytes());
    for number in [offset, size, align, name.len()] {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        index.extend_from_slice(&number.to_le_bytes());
    }
    index.extend_from_slice(name);
    index.resize(aligned(index.len(), 8), 0);
    index.extend_from_slice(data);
    index.resize(aligned(index.len(), 8), 0);
}

fn keyword_names(keywords: &[String]) -> Vec<u8> {
    let mut out = low(keywords.len()).to_le_bytes().to_vec();
    let mut offset = 0;
    for keyword in keywords {
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(&low(offset).to_le_bytes());
        offset += keyword.len() + 1;
    }
    for keyword in keywords {
        out.extend_from_slice(keyword.as_bytes());
        out.push(0);
    }
    out.resize(aligned(out.len(), 4), 0);
    out
}

fn record(index: &mut Vec<u8>, image: &MailboxImage, message: &MessageImage, size: usize) {
    let start = index.len();
    index.extend_from_slice(&message.uid.value().to_le_bytes());
    index.extend_from_slice(&[message.flags.bits(), 0, 0, 0]);
    index.extend_from_slice(&message.modseq.value().to_le_bytes());
    index.resize(start + size, 0);
    let set = image.keyword_sets.get(message.keywords as usize);
    for keyword in set.into_iter().flatten() {
        let byte = start + KEYWORDS_AT + usize::from(keyword / 8);
        if let Some(byte) = index.get_mut(byte) {
            *byte |= 1 << (keyword % 8);
        }
    }
}
