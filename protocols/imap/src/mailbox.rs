//! A mailbox name as an argument.

use facteur_utf7::Utf7Error;

use crate::cursor::{Cursor, Parsed};

/// A mailbox name as the client wrote it, in modified UTF-7 (RFC 3501 §5.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxArgument(pub(crate) Vec<u8>);

impl MailboxArgument {
    /// Wraps what stood on the wire.
    pub fn new(wire: &[u8]) -> Self {
        Self(wire.to_vec())
    }

    /// The name in UTF-8.
    ///
    /// # Errors
    /// When it is not modified UTF-7.
    pub fn decode(&self) -> Result<String, Utf7Error> {
        facteur_utf7::decode(&self.0)
    }

    /// As it stood on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.astring().map(|name| Self(name.into_owned()))
    }
}
