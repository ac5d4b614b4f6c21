//! What every format on disk must keep to: the store's contract, seen through its public face.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is surprised"
)]

use facteur_model::MailFormat;

/// The format of the accounts.
const FORMAT: MailFormat = MailFormat::Sdbox;

mod append;
mod change;
mod checkpoint;
mod compressed;
mod crash;
mod damage;
mod folder;
mod forget;
mod headers;
mod leftover;
mod leftover_folders;
mod maintenance;
mod points;
mod power;
mod quota;
mod race;
mod rebuild;
mod redelivery;
mod run;
mod script;
mod sdbox;
mod sync_order;
mod world;
