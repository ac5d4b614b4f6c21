//! What every format on disk must keep to: the store's contract, seen through its public face.

mod append;
mod change;
mod crash;
mod folder;
mod rebuild;
mod script;
mod world;
