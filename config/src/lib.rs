//! facteur-config.
