//! facteur-session-imap.
