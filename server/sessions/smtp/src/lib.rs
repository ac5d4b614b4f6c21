//! facteur-session-smtp.
