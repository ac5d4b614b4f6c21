//! facteur-managesieve.
