//! facteur-pop3.
