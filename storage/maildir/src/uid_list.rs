//! `dovecot-uidlist`: which UID each file of a folder has.
//!
//! The first line is `3 V<UIDVALIDITY> N<next UID> G<GUID>`, then one line a message, ascending:
//! `<UID> <extension>… :<base name>`. Version 1, of Dovecot 1.0 and Courier, has
//! `1 <UIDVALIDITY> <next UID>` and `<UID> <base name>`. Lines are appended; those of messages that
//! are gone stay until the file is written anew.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use facteur_disk::Disk;
use facteur_model::{Guid, Uid, UidValidity};

use crate::{FileName, Files};

/// Its name in a folder.
const NAME: &str = "dovecot-uidlist";
/// The first line is at most so long, and so is the last one.
const MAX_LINE: usize = 4096;

/// What the file says of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The next UID: above every one that was ever given out.
    pub uid_next: u64,
    /// The folder's GUID; version 1 has none.
    pub guid: Option<Guid>,
    /// Fields that we do not know, as they stand in the first line.
    pub other: Vec<u8>,
}

/// The whole file.
#[derive(Debug, Clone)]
pub struct UidList {
    /// Of the folder.
    pub head: Head,
    /// Its messages, and some that are gone.
    pub files: Files,
    /// Whether lines can be appended to the file as it is: its version is 3, and no line is damaged
    /// or torn.
    pub is_sound: bool,
}

/// The first line.
struct First {
    head: Head,
    version: u8,
    is_sound: bool,
}

impl Head {
    fn parse(line: &[u8]) -> Option<First> {
        let (version, fields) = line.split_at_checked(2)?;
        match version {
            b"1 " => Self::parse_version_1(fields),
            b"3 " => Self::parse_version_3(fields),
            _ => None,
        }
    }

    fn parse_version_1(fields: &[u8]) -> Option<First> {
        let mut fields = std::str::from_utf8(fields).ok()?.split_ascii_whitespace();
        let mut number = || fields.next()?.parse::<u32>().ok().filter(|n| *n > 0);
        let head = Self {
            uid_validity: number().and_then(UidValidity::new)?,
            uid_next: number()?.into(),
            guid: None,
            other: Vec::new(),
        };
        Some(First {
            head,
            version: 1,
            is_sound: false,
        })
    }

    fn parse_version_3(fields: &[u8]) -> Option<First> {
        let mut uid_validity = None;
        let (mut uid_next, mut guid, mut other) = (None, None, Vec::new());
        for field in fields.split(|byte| *byte == b' ') {
            let Some((key, value)) = field.split_first() else {
                continue;
            };
            let text = || std::str::from_utf8(value).ok();
            match key {
                b'V' => {
                    uid_validity = text()
                        .and_then(|v| v.parse().ok())
                        .and_then(UidValidity::new)
                }
                b'N' => uid_next = text().and_then(|n| n.parse().ok()).filter(|next| *next > 0),
                b'G' => guid = text().and_then(Guid::parse),
                _ => {
                    if !other.is_empty() {
                        other.push(b' ');
                    }
                    other.extend_from_slice(field);
                }
            }
        }
        let head = Self {
            uid_validity: uid_validity?,
            uid_next: u64::from(uid_next.unwrap_or(1u32)),
            guid,
            other,
        };
        Some(First {
            is_sound: uid_next.is_some() && guid.is_some(),
            head,
            version: 3,
        })
    }

    /// The first line, with a GUID.
    fn encode(&self, guid: Guid, uid_next: u64) -> Vec<u8> {
        let mut line = format!("3 V{} N{uid_next} G{guid}", self.uid_validity).into_bytes();
        if !self.other.is_empty() {
            line.push(b' ');
            line.extend_from_slice(&self.other);
        }
        line.push(b'\n');
        line
    }

    /// Reads what the file of the folder `dir` says of it, without its messages: `None` when it is
    /// missing or makes no sense.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(disk: &Disk, dir: &Path) -> io::Result<Option<Self>> {
        let file = match disk.open(&UidList::path(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut chunk = [0; MAX_LINE];
        let mut read = |offset| {
            let n = file.read_at(&mut chunk, offset)?;
            Ok::<_, io::Error>(chunk.get(..n).unwrap_or_default().to_vec())
        };
        let begin = read(0)?;
        let Some(end) = memchr::memchr(b'\n', &begin) else {
            return Ok(None);
        };
        let Some(first) = begin.get(..end).and_then(Self::parse) else {
            return Ok(None);
        };
        let mut head = first.head;
        let size = file.size()?;
        let tail = read(size.saturating_sub(MAX_LINE as u64).max(end as u64))?;
        let mut lines = tail.split(|byte| *byte == b'\n');
        // What comes before the first line end is cut; what follows the last one is torn, or nothing.
        lines.next();
        lines.next_back();
        for line in lines {
            if let Some(line) = Line::parse(line, first.version) {
                head.uid_next = head.uid_next.max(u64::from(line.uid.value()) + 1);
            }
        }
        Ok(Some(head))
    }
}

/// A message's line.
struct Line<'a> {
    uid: Uid,
    extensions: &'a [u8],
    base: &'a [u8],
    /// Whether it says what it would if we wrote it.
    is_sound: bool,
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8], version: u8) -> Option<Self> {
        let at = memchr::memchr(b' ', line)?;
        let (uid, rest) = line.split_at_checked(at)?;
        let digits = uid.iter().all(u8::is_ascii_digit);
        let uid: u32 = std::str::from_utf8(uid)
            .ok()
            .filter(|_| digits)?
            .parse()
            .ok()?;
        // Dovecot takes the highest number for a mistake.
        let uid = Uid::new(uid).filter(|_| uid < u32::MAX)?;
        let rest = rest.trim_ascii_start();
        let (extensions, name) = if version == 1 {
            (&b""[..], rest)
        } else {
            let at = match rest.first()? {
                b':' => 0,
                _ => memchr::memmem::find(rest, b" :")? + 1,
            };
            let (extensions, name) = rest.split_at_checked(at)?;
            (extensions.trim_ascii_end(), name.get(1..)?)
        };
        let base = FileName::parse(name)?.base();
        // Dovecot removes fields that are none.
        let is_sound = base.len() == name.len()
            && extensions.split(|byte| *byte == b' ').all(|field| {
                extensions.is_empty() || field.first().is_some_and(u8::is_ascii_uppercase)
            });
        Some(Self {
            uid,
            extensions,
            base,
            is_sound,
        })
    }
}

impl UidList {
    /// Its path in the folder `dir`.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join(NAME)
    }

    /// Reads the file of the folder `dir`: `None` when it is missing or makes no sense.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(disk: &Disk, dir: &Path) -> io::Result<Option<Self>> {
        match disk.read(&Self::path(dir)) {
            Ok(bytes) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Of the file's bytes: `None` when its first line makes no sense. Lines that make none are
    /// passed over.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let First {
            mut head,
            version,
            mut is_sound,
        } = Head::parse(lines.next()?)?;
        // What follows the last line end is torn, or nothing.
        is_sound &= lines.next_back()?.is_empty();
        let mut files = Files::default();
        for line in lines {
            let line = Line::parse(line, version);
            is_sound &= line.is_some_and(|line| {
                line.is_sound & files.push(line.uid, line.extensions, line.base)
            });
        }
        let past_last = files.last().map_or(1, |uid| u64::from(uid.value()) + 1);
        head.uid_next = head.uid_next.max(past_last);
        Some(Self {
            head,
            files,
            is_sound,
        })
    }

    /// The file's bytes, for a folder with this GUID.
    pub fn encode(&self, guid: Guid) -> Vec<u8> {
        let past_last = self
            .files
            .last()
            .map_or(1, |uid| u64::from(uid.value()) + 1);
        let mut bytes = self.head.encode(guid, self.head.uid_next.max(past_last));
        for file in self.files.iter() {
            Self::push_line(&mut bytes, file.uid(), file.extensions(), file.base());
        }
        bytes
    }

    /// Appends a message's line to `bytes`.
    pub fn push_line(bytes: &mut Vec<u8>, uid: Uid, extensions: &[u8], base: &[u8]) {
        // Writing to a Vec cannot fail.
        let _ = write!(bytes, "{uid} ");
        if !extensions.is_empty() {
            bytes.extend_from_slice(extensions);
            bytes.push(b' ');
        }
        bytes.push(b':');
        bytes.extend_from_slice(base);
        bytes.push(b'\n');
    }

    /// Writes the file of the folder `dir`, durably: without it every message would get a new UID.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn write(&self, disk: &Disk, dir: &Path, guid: Guid) -> io::Result<()> {
        disk.write_atomically(&Self::path(dir), &self.encode(guid))
    }

    /// Writes the file of the folder `dir`, durable only with what is synced later: until then all
    /// that it says must be known from elsewhere.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn write_unsynced(&self, disk: &Disk, dir: &Path, guid: Guid) -> io::Result<()> {
        disk.write_unsynced(&Self::path(dir), &self.encode(guid))
    }

    /// Whether lines can be appended to the file of the folder `dir`, as far as its beginning and its
    /// end tell: there is one, of version 3, and its last line is whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn can_append(disk: &Disk, dir: &Path) -> io::Result<bool> {
        let file = match disk.open(&Self::path(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let mut chunk = [0; MAX_LINE];
        let read = file.read_at(&mut chunk, 0)?;
        let begin = chunk.get(..read).unwrap_or_default();
        let first = memchr::memchr(b'\n', begin).and_then(|end| Head::parse(begin.get(..end)?));
        let mut last = [0];
        let size = file.size()?;
        let whole = file.read_at(&mut last, size.saturating_sub(1))? == 1 && last == *b"\n";
        Ok(whole && first.is_some_and(|first| first.version == 3 && first.is_sound))
    }

    /// Appends lines to the sound file of the folder `dir`, durable only with what is synced later.
    ///
    /// # Errors
    /// When they cannot be written: the file may not be sound any more.
    pub fn append(disk: &Disk, dir: &Path, lines: &[u8]) -> io::Result<()> {
        disk.append(&Self::path(dir))?.write_all(lines)
    }
}

#[cfg(test)]
mod tests;
