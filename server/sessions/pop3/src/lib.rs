//! facteur-session-pop3.
