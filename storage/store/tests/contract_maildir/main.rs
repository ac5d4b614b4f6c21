//! The store's contract again, with Maildir as the format; and what only a Maildir has: other
//! programs in it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is surprised"
)]

use facteur_model::MailFormat;

/// The format of the accounts.
const FORMAT: MailFormat = MailFormat::Maildir;

#[path = "../contract/append.rs"]
mod append;
#[path = "../contract/change.rs"]
mod change;
#[path = "../contract/checkpoint.rs"]
mod checkpoint;
#[path = "../contract/compressed.rs"]
mod compressed;
#[path = "../contract/crash.rs"]
mod crash;
#[path = "../contract/damage.rs"]
mod damage;
#[path = "../contract/folder.rs"]
mod folder;
#[path = "../contract/forget.rs"]
mod forget;
#[path = "../contract/headers.rs"]
mod headers;
#[path = "../contract/leftover.rs"]
mod leftover;
#[path = "../contract/leftover_folders.rs"]
mod leftover_folders;
mod lost;
#[path = "../contract/maintenance.rs"]
mod maintenance;
mod outside;
mod outside_folders;
#[path = "../contract/points.rs"]
mod points;
#[path = "../contract/power.rs"]
mod power;
#[path = "../contract/quota.rs"]
mod quota;
#[path = "../contract/race.rs"]
mod race;
#[path = "../contract/rebuild.rs"]
mod rebuild;
#[path = "../contract/redelivery.rs"]
mod redelivery;
#[path = "../contract/run.rs"]
mod run;
#[path = "../contract/script.rs"]
mod script;
#[path = "../contract/sync_order.rs"]
mod sync_order;
mod watch;
#[path = "../contract/world.rs"]
mod world;
