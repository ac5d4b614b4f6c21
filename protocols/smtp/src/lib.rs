//! facteur-smtp.
