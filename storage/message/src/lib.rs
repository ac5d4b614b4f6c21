//! facteur-message.
