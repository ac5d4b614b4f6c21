//! facteur-mapped.
