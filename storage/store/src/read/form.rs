//! In which form a message's octets lie in its file.

use std::{
    borrow::Borrow,
    io::{self, Read},
};

use facteur_compression::{Decompressor, Method};
use facteur_disk::DiskFile;
use facteur_sdbox::{MessageFile, Metadata};

/// How the octets are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Plain,
    /// Compressed, and how many they are when not.
    Compressed(Method, u64),
}

impl Form {
    /// Of a message whose RFC822.SIZE is `size`: the metadata behind it is read only when its first
    /// bytes leave a doubt.
    ///
    /// # Errors
    /// As `read(2)`; [`io::ErrorKind::InvalidData`] for a compression that is not known.
    pub(crate) fn of(message: &MessageFile, size: u64) -> io::Result<Self> {
        if message.looks.is_none() && message.stored_size == size {
            return Ok(Self::Plain);
        }
        Self::by(message, &message.metadata()?)
    }

    /// Of a message in a Maildir, whose name says this size when not compressed.
    ///
    /// # Errors
    /// As `read(2)`.
    pub(crate) fn in_maildir(
        message: &facteur_maildir::MessageFile,
        plain_size: Option<u64>,
    ) -> io::Result<Self> {
        let Some(method) = message.looks else {
            return Ok(Self::Plain);
        };
        match plain_size.filter(|plain| *plain != message.stored_size) {
            Some(plain) => Ok(Self::Compressed(method, plain)),
            // The name does not say, or the sizes happen to be equal.
            None => Ok(match plain_size_of(message, method)? {
                Some(plain) => Self::Compressed(method, plain),
                None => Self::Plain,
            }),
        }
    }

    /// The same when the metadata was read already.
    pub(crate) fn by(message: &MessageFile, metadata: &Metadata) -> io::Result<Self> {
        let stored = message.stored_size;
        let plain = metadata.plain_size.filter(|plain| *plain != stored);
        match (message.looks, plain) {
            (None, Some(_)) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the message is compressed in an unknown way",
            )),
            (None, None) => Ok(Self::Plain),
            (Some(method), Some(plain)) => Ok(Self::Compressed(method, plain)),
            // Dovecot does not say the plain size when it happens to be the compressed one.
            (Some(method), None) => Ok(match decompresses(message, method, stored)? {
                true => Self::Compressed(method, stored),
                false => Self::Plain,
            }),
        }
    }
}

/// Whether a message is compressed and `size` octets long when not.
fn decompresses(message: &MessageFile, method: Method, size: u64) -> io::Result<bool> {
    let mut plain = Decompressor::new(method, Stored::of(message), size)?;
    match io::copy(&mut plain, &mut io::sink()) {
        Ok(read) => Ok(read == size),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
        Err(error) => Err(error),
    }
}

/// Most octets that a message of which nobody says how many it has decompresses to.
const MAX_PLAIN: u64 = 1 << 30;

/// What a message decompresses to; `None` when it does not.
fn plain_size_of(
    message: &facteur_maildir::MessageFile,
    method: Method,
) -> io::Result<Option<u64>> {
    let stored = Stored::new(&message.file, 0, message.stored_size);
    let mut plain = Decompressor::new(method, stored, MAX_PLAIN)?;
    match io::copy(&mut plain, &mut io::sink()) {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

/// The octets as they lie in the file.
#[derive(Debug)]
pub(crate) struct Stored<F> {
    file: F,
    at: u64,
    end: u64,
}

impl<'m> Stored<&'m DiskFile> {
    pub(crate) fn of(message: &'m MessageFile) -> Self {
        Self::new(&message.file, message.offset, message.stored_size)
    }
}

impl<F> Stored<F> {
    pub(crate) fn new(file: F, offset: u64, size: u64) -> Self {
        Self {
            file,
            at: offset,
            end: offset.saturating_add(size),
        }
    }
}

impl<F: Borrow<DiskFile>> Read for Stored<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let most = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        let space = out.get_mut(..most).unwrap_or_default();
        let read = self.file.borrow().read_at(space, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
