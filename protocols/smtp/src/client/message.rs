//! What is to be sent.

use facteur_address::Address;

use crate::command::BodyType;

/// The envelope of a message, and what the peer is told of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `None` is the null reverse-path.
    pub reverse_path: Option<Address>,
    /// At least one.
    pub forward_paths: Vec<Address>,
    /// The whole message in bytes, for SIZE.
    pub size: u64,
    /// What it is made of.
    pub body: BodyType,
}
