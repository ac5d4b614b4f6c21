//! facteur-dsn.
