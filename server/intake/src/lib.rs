//! May it come in? Recipients, restrictions, address rewriting, routing; and the commit that a 250
//! stands for.
//!
//! Parsing is `facteur-smtp`'s, the socket `facteur-session-smtp`'s, mailboxes `facteur-delivery`'s.
//!
//! A message goes through [`Intake::begin`] (MAIL), [`Intake::recipient`] (RCPT),
//! [`Intake::body_start`] (DATA, BDAT), [`Intake::body`] and [`Intake::finish`].

mod body;
mod client;
mod finish;
mod header;
mod judge;
mod notice;
mod options;
mod received;
mod recipient;
mod reply_for;
mod restriction;
mod room;
mod routing;
mod transaction;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use facteur_delivery::Deliverer;
use facteur_login::Authenticator;
use facteur_runtime::Bridge;
use facteur_store::Store;

pub use client::Client;
pub use finish::Finished;
pub use judge::Refusal;
pub use options::Options;
pub use restriction::{Restriction, Restrictions, UnknownRestriction};
pub use routing::{NoPostmaster, Route, Router};
pub use transaction::Transaction;

/// What intake works with.
#[derive(Clone)]
pub struct Parts {
    /// Resolves recipients.
    pub router: Router,
    /// Tells whose address a sender is.
    pub authenticator: Authenticator,
    /// Where mail lies.
    pub store: Store,
    /// Plans what a message does to local recipients.
    pub deliverer: Deliverer,
    /// To the store.
    pub bridge: Bridge,
}

/// Decides what comes in. Clones share it.
#[derive(Clone)]
pub struct Intake {
    options: Arc<Options>,
    defaults: Arc<Defaults>,
    parts: Arc<Parts>,
    room: Arc<room::Room>,
}

/// The restrictions of listeners without their own.
#[derive(Debug)]
struct Defaults {
    smtp: Restrictions,
    submission: Restrictions,
    lmtp: Restrictions,
}

impl Intake {
    /// With `options`, over `parts`.
    pub fn new(options: Options, parts: Parts) -> Self {
        Self {
            options: Arc::new(options),
            defaults: Arc::new(Defaults {
                smtp: Restrictions::smtp(),
                submission: Restrictions::submission(),
                lmtp: Restrictions::lmtp(),
            }),
            parts: Arc::new(parts),
            room: Arc::new(room::Room::new()),
        }
    }
}
