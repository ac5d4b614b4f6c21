//! Scripts run over messages.

mod extensions;
mod language;
mod properties;
mod world;
