//! facteur-disk.
