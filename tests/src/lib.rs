//! facteur-tests.
