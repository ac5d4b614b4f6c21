//! facteur-index.
