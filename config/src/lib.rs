//! The configuration: one TOML file, typed, each key declared once with its default and its
//! documentation (see `sections`).
//!
//! Known to the daemon only, which maps every key to the part that it is for; nothing here knows
//! what a key does.

mod check;
mod edit;
mod load;
mod problem;
mod reference;
mod section;
mod setting;

/// Every section, a file each.
pub mod sections;

pub use edit::{EditError, set};
pub use load::{Config, Loaded, Origin};
pub use problem::{Problem, Problems};
pub use reference::{Entry, entries, explain, key_names, to_toml, wrapped};
pub use section::{KeyInfo, Section};
pub use setting::{Map, Mode, Period, Setting, Size};
