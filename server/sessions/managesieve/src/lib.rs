//! facteur-session-managesieve.
