//! facteur-imap.
