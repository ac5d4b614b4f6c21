//! facteur-password.
