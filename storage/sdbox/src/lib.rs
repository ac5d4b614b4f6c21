//! facteur-sdbox.
