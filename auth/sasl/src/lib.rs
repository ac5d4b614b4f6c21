//! facteur-sasl.
