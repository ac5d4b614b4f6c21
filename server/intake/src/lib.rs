//! May it come in? Recipients, restrictions, address rewriting, routing; and the commit that a 250
//! stands for.
//!
//! Parsing is `facteur-smtp`'s, the socket `facteur-session-smtp`'s, mailboxes `facteur-delivery`'s.

mod routing;

pub use routing::{Route, Router};
