//! ManageSieve (RFC 5804), server side, without I/O: bytes in, [`Event`]s and output out.
//!
//! [`Session`] knows the grammar, the states and the capabilities. Scripts, passwords and what a
//! script may say are the driver's.

mod capability;
mod command;
mod decoder;
mod reply;
mod script_name;
mod session;

pub use capability::Capabilities;
pub use command::{Command, CommandError};
pub use decoder::{Argument, DecodeError, Decoder, Limits, Line};
pub use reply::{Code, push_string};
pub use script_name::{ScriptName, ScriptNameError};
pub use session::{Event, Next, Session};

#[cfg(test)]
mod tests;
